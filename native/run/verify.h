// bittrue-run --verify: does this machine compute the bits that the executable says?
#ifndef BITTRUE_RUN_VERIFY_H_
#define BITTRUE_RUN_VERIFY_H_

#include <stdint.h>

#include <string>
#include <vector>

#include "files.h"

namespace run {

// Run every vector with each instruction set and number of threads; print one line each. Returns
// whether all bits are the same.
// Throws Error(USAGE) if the executable holds no vectors: there is nothing to compare with.
bool verify(const std::string& path, const Bytes& file, const std::vector<std::string>& isas,
            const std::vector<uint32_t>& threads);

// The instruction sets that this CPU runs, slowest first.
std::vector<std::string> available_isas();

}  // namespace run

#endif  // BITTRUE_RUN_VERIFY_H_
