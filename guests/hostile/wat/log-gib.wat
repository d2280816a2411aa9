;; A message of one GiB, one GiB into memory.
(func $lookup (param $cache i64) (param $partial i64) (param $id i64) (result i32)
  (call $log (i32.const 3) (i32.const 0x40000000) (i32.const 0x40000000))
  (unreachable))
