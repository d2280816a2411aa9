;; A message that is no UTF-8: an overlong zero, a surrogate, and bytes that never occur.
(data (i32.const 64) "\c0\80 \ed\a0\80 \ff\fe")
(func $lookup (param $cache i64) (param $partial i64) (param $id i64) (result i32)
  (call $log (i32.const 3) (i32.const 64) (i32.const 9))
  (unreachable))
