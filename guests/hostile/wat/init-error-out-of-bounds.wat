;; Refuses with a text that is not in memory.
(func $init (param $role i32) (param $max i32) (param $lifetime i64) (param $ptr i32) (param $len i32) (result i32)
  (i32.store8 (i32.const 16) (i32.const 1))
  (i32.store (i32.const 24) (i32.const 0x7fffffff))
  (i32.store (i32.const 28) (i32.const 0x7fffffff))
  (i32.const 16))
