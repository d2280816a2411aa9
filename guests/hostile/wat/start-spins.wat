;; Never comes out of the start function.
(start $start)
(func $start
  (loop $again (br $again)))
