;; A list at an odd address.
(func $select (param $cache i64) (param $partial i64) (result i32)
  (i32.store (i32.const 16) (i32.const 33))
  (i32.store (i32.const 20) (i32.const 1))
  (i32.const 16))
