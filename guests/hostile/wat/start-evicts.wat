;; Calls the host before there is a cache: no callback runs.
(start $start)
(func $start
  (call $evict (i64.const 1)))
