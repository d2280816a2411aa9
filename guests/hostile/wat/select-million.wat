;; Claims a million sessions, which lie in memory.
(memory $memory 128)
(func $select (param $cache i64) (param $partial i64) (result i32)
  (i32.store (i32.const 16) (i32.const 32))
  (i32.store (i32.const 20) (i32.const 1000000))
  (i32.const 16))
