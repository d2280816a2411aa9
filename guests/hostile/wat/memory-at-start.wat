;; One page more than 16 MiB.
(memory $memory 257)
