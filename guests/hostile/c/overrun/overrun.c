// Calls itself with large frames: its own stack in linear memory runs over its data, and then off the memory.

#include "../quiet.h"

static uint64_t dive(uint64_t depth, uint64_t end) {
  volatile uint64_t frame[512];
  for (size_t i = 0; i < 512; i += 64) frame[i] = depth;
  return depth == end ? depth : dive(depth + 1, end) + frame[depth % 8 * 64];
}

static void strike(void) {
  volatile uint64_t end = UINT64_MAX;
  end = dive(0, end);
}
