// Changes to .bte files that know their structure, so that they get past the checksum and the
// lengths to the rules behind them, and often past those to the kernels.
#ifndef BITTRUE_FUZZ_MUTATE_H_
#define BITTRUE_FUZZ_MUTATE_H_

#include <stdint.h>

#include "parts.h"

namespace bittrue_fuzz {

// SplitMix64: the same numbers from the same seed, everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  // 0 to count - 1; 0 for a count of 0.
  uint32_t below(uint64_t count) { return count == 0 ? 0 : (uint32_t)(next() % count); }
  bool one_in(uint32_t count) { return below(count) == 0; }

 private:
  uint64_t state_;
};

// One to four changes, then (but for one file in 64) the right checksum.
Bytes mutate(const uint8_t* file, size_t nbytes, Random* random);

// Both programs one after the other in one file; empty where they cannot be taken apart.
Bytes join(const uint8_t* first, size_t first_bytes, const uint8_t* second, size_t second_bytes);

}  // namespace bittrue_fuzz

#endif  // BITTRUE_FUZZ_MUTATE_H_
