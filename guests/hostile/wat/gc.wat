;; A type for the garbage collector that guests do not have.
(type $cell (struct (field $next (mut eqref))))
