;; A second memory, which threads could share.
(memory $memory 2)
(memory $second 1 1 shared)
