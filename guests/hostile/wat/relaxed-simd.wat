;; An instruction whose result differs between machines.
(func $select (param $cache i64) (param $partial i64) (result i32)
  (drop (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 -1 -1)))
  (unreachable))
