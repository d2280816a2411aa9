;; Fills and copies the whole of a large memory, over and over. Each instruction is a single one.
(memory $memory 256)
(func $lookup (param $cache i64) (param $partial i64) (param $id i64) (result i32)
  (loop $again
    (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x1000000))
    (memory.copy (i32.const 0) (i32.const 1) (i32.const 0xffffff))
    (br $again))
  (unreachable))
