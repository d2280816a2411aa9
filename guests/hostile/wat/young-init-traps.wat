;; Traps in `init` as long as the host's clock is below ten seconds, as it would be in a process that has just started.
(func $init (param $role i32) (param $max i32) (param $lifetime i64) (param $ptr i32) (param $len i32) (result i32)
  (if (i64.lt_u (call $now_ms) (i64.const 10000)) (then (unreachable)))
  (i32.store8 (i32.const 16) (i32.const 0))
  (i64.store (i32.const 24) (i64.const 7))
  (i32.const 16))
