;; A stack of its own, which guests may not switch to.
(type $function (func))
(type $continuation (cont $function))
