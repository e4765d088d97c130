// Conformance vectors: the inputs of one, made as docs/format.md says, and its hashes.
#ifndef BITTRUE_VECTORS_H_
#define BITTRUE_VECTORS_H_

#include <stdint.h>

#include <vector>

#include "bittrue.h"

namespace bittrue {

struct FileLayout;
struct Program;

// The conformance vectors of a file: how each one's inputs are made, and the sha256 of every
// tensor.
struct Vectors {
  enum Pattern : uint32_t { RANDOM, LOWEST, HIGHEST };
  static constexpr uint64_t RANGE_BYTES = 8, HEAD_BYTES = 16, HASH_BYTES = 32;

  uint32_t count = 0;
  const uint8_t* section = nullptr;    // into the file; null where there are none
  std::vector<uint32_t> hashed;        // tensors in the arena, in their order
  std::vector<uint64_t> input_starts;  // of each input: elements of those before it

  // Where vector `index` starts.
  const uint8_t* row(uint32_t index) const {
    return section + RANGE_BYTES * input_starts.size() +
           index * (HEAD_BYTES + HASH_BYTES * hashed.size());
  }
};

// The section VECTORS, checked, of a file whose tensors and inputs are read already.
// Throws Failure(BITTRUE_FORMAT) with the byte that breaks a rule.
Vectors read_vectors(const FileLayout& file, const Program& program);

// Vector `index` of a checked file.
bittrue_vector_info vector_info(const Vectors& vectors, uint32_t index);

// Write what a vector gives to an input: all bytes of its tensor.
void fill_input(const Program& program, uint32_t vector, uint32_t input, void* data);

// The 32 bytes that a tensor must hash to; null where there are none.
const uint8_t* find_hash(const Vectors& vectors, uint32_t vector, uint32_t tensor);

}  // namespace bittrue

#endif  // BITTRUE_VECTORS_H_
