;; A `lookup` that gives a session straight, without an option.
(func $lookup (param $cache i64) (param $partial i64) (param $id i64) (result i64)
  (i64.const 1))
