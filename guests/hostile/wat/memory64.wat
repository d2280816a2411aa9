;; A second memory, with addresses of 64 bits.
(memory $memory 2)
(memory $second i64 1)
