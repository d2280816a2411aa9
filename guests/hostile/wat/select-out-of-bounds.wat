;; A list that begins in memory and ends outside.
(func $select (param $cache i64) (param $partial i64) (result i32)
  (i32.store (i32.const 16) (i32.const 0x1fff8))
  (i32.store (i32.const 20) (i32.const 2))
  (i32.const 16))
