;; Asks for the folders that a command is given.
(import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $get_directories (param i32)))
(func $lookup (param $cache i64) (param $partial i64) (param $id i64) (result i32)
  (call $get_directories (i32.const 16))
  (unreachable))
