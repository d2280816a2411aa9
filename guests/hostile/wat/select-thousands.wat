;; Claims nearly as many sessions as one result may carry: the numbers from one on.
(memory $memory 3)
(func $select (param $cache i64) (param $partial i64) (result i32)
  (local $at i32)
  (loop $again
    (i64.store offset=0x10000 (local.get $at) (i64.extend_i32_u (i32.shr_u (local.get $at) (i32.const 3))))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $again (i32.lt_u (local.get $at) (i32.const 64000))))
  (i32.store (i32.const 16) (i32.const 0x10000))
  (i32.store (i32.const 20) (i32.const 8000))
  (i32.const 16))
