;; A message that is in memory, and is longer than one call may carry.
(memory $memory 16)
(func $lookup (param $cache i64) (param $partial i64) (param $id i64) (result i32)
  (call $log (i32.const 3) (i32.const 0) (i32.const 0x100000))
  (unreachable))
