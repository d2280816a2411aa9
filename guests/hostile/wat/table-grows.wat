;; Takes table elements until they are refused, and traps then.
(table $table 1 funcref)
(func $lookup (param $cache i64) (param $partial i64) (param $id i64) (result i32)
  (loop $again
    (br_if $again (i32.ne (table.grow $table (ref.null func) (i32.const 100)) (i32.const -1))))
  (unreachable))
