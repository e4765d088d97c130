// Conformance vectors: the inputs of one, made as docs/format.md says, and its hashes.
#ifndef BITTRUE_VECTORS_H_
#define BITTRUE_VECTORS_H_

#include <stdint.h>

#include "bittrue.h"
#include "program.h"

namespace bittrue {

// Vector `index` of a checked file.
bittrue_vector_info vector_info(const Vectors& vectors, uint32_t index);

// Write what a vector gives to an input: all bytes of its tensor.
void fill_input(const Program& program, uint32_t vector, uint32_t input, void* data);

// The 32 bytes that a tensor must hash to; null where there are none.
const uint8_t* find_hash(const Vectors& vectors, uint32_t vector, uint32_t tensor);

}  // namespace bittrue

#endif  // BITTRUE_VECTORS_H_
