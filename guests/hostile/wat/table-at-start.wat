;; As many elements as WebAssembly lets a table have.
(table $table 10000000 funcref)
