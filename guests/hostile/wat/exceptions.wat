;; An exception, which guests may not throw.
(tag $oops (param i64))
(func $lookup (param $cache i64) (param $partial i64) (param $id i64) (result i32)
  (throw $oops (local.get $id)))
