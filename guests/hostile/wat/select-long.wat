;; A list whose length in bytes does not fit in 32 bits.
(func $select (param $cache i64) (param $partial i64) (result i32)
  (i32.store (i32.const 16) (i32.const 32))
  (i32.store (i32.const 20) (i32.const 0xffffffff))
  (i32.const 16))
