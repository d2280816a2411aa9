// Writes over all of its own memory, through wild pointers: its data, its heap, its stack, and past the end.

#include "../quiet.h"

static void strike(void) {
  volatile uintptr_t start = 64;
  for (uintptr_t at = start;; at += sizeof(uint64_t)) *(volatile uint64_t *)at = ~at;
}
