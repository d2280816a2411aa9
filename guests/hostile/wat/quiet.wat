;; The core module that every attack in WAT is put into: it serves, remembers nothing, and finds nothing. An attack is
;; put behind the first paragraph, and replaces the paragraphs that define what it defines itself.
(module
  (import "innkeeper:session-cache/host@0.1.0" "describe" (func $describe (param $session i64) (param $result i32)))
  (import "innkeeper:session-cache/host@0.1.0" "evict" (func $evict (param $session i64)))
  (import "innkeeper:session-cache/host@0.1.0" "apply"
    (func $apply
      (param $fun i64) (param $partial i64) (param $id i64) (param $session i64) (param $acc i64) (result i64)))
  (import "innkeeper:session-cache/host@0.1.0" "now-ms" (func $now_ms (result i64)))
  (import "innkeeper:session-cache/host@0.1.0" "log" (func $log (param $level i32) (param $ptr i32) (param $len i32)))

  (export "memory" (memory $memory))
  (export "cabi_realloc" (func $realloc))
  (export "innkeeper:session-cache/callbacks@0.1.0#init" (func $init))
  (export "innkeeper:session-cache/callbacks@0.1.0#terminate" (func $terminate))
  (export "innkeeper:session-cache/callbacks@0.1.0#update" (func $update))
  (export "innkeeper:session-cache/callbacks@0.1.0#delete" (func $delete))
  (export "innkeeper:session-cache/callbacks@0.1.0#select-session" (func $select))
  (export "innkeeper:session-cache/callbacks@0.1.0#size" (func $size))
  (export "innkeeper:session-cache/callbacks@0.1.0#foldl" (func $foldl))
  (export "innkeeper:session-cache/callbacks@0.1.0#lookup" (func $lookup))

  ;; The first page is for results and for what an attack needs. What `$realloc` gives out lies behind it.
  (memory $memory 2)

  (global $free (mut i32) (i32.const 0x10000))

  ;; Takes nothing back: only `init` needs memory, once.
  (func $realloc (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and
      (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  ;; Ok, with 7 for the cache.
  (func $init (param $role i32) (param $max i32) (param $lifetime i64) (param $ptr i32) (param $len i32) (result i32)
    (i32.store8 (i32.const 16) (i32.const 0))
    (i64.store (i32.const 24) (i64.const 7))
    (i32.const 16))

  (func $terminate (param $cache i64))

  (func $update (param $cache i64) (param $partial i64) (param $id i64) (param $session i64))

  (func $delete (param $cache i64) (param $partial i64) (param $id i64))

  ;; An empty list, whose pointer is aligned.
  (func $select (param $cache i64) (param $partial i64) (result i32)
    (i32.store (i32.const 16) (i32.const 32))
    (i32.store (i32.const 20) (i32.const 0))
    (i32.const 16))

  (func $size (param $cache i64) (result i64)
    (i64.const 0))

  (func $foldl (param $fun i64) (param $acc0 i64) (param $cache i64) (result i64)
    (local.get $acc0))

  ;; None.
  (func $lookup (param $cache i64) (param $partial i64) (param $id i64) (result i32)
    (i32.store8 (i32.const 16) (i32.const 0))
    (i32.const 16))

)
