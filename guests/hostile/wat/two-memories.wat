;; More memories than an instance may have.
(memory $memory 2)
(memory $second 1)
