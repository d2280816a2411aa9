;; Refuses with a text that is no UTF-8: an overlong zero, a surrogate, and bytes that never occur.
(data (i32.const 64) "refused \c0\80 \ed\a0\80 \ff\fe")
(func $init (param $role i32) (param $max i32) (param $lifetime i64) (param $ptr i32) (param $len i32) (result i32)
  (i32.store8 (i32.const 16) (i32.const 1))
  (i32.store (i32.const 24) (i32.const 64))
  (i32.store (i32.const 28) (i32.const 17))
  (i32.const 16))
