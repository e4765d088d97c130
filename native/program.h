// A .bte file, checked: docs/format.md. Reading allocates only after lengths have been checked.
#ifndef BITTRUE_PROGRAM_H_
#define BITTRUE_PROGRAM_H_

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

#include "instructions.h"

namespace bittrue {

struct Buffer {
  bool constant;
  uint64_t offset, nbytes;
};

struct Tensor {
  std::string name;
  uint32_t dtype, rank;
  uint32_t dims[6];
  uint32_t buffer;
  int32_t zero_point;
  float scale;
  uint64_t nbytes;

  int64_t dim(uint32_t axis) const { return (int64_t)dims[axis]; }
  int64_t count() const;
};

struct Instruction {
  const InstructionRow* row;
  uint64_t at;  // byte of the file
  uint32_t input_count;
  const uint32_t* inputs;  // into Program::words
  uint32_t output;
  const uint32_t* params;

  int32_t param(uint32_t index) const { return (int32_t)params[index]; }
};

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

struct Program {
  uint64_t arena_bytes = 0;
  std::vector<Buffer> buffers;
  std::vector<Tensor> tensors;
  std::vector<uint32_t> words;
  std::vector<Instruction> instructions;
  std::vector<uint32_t> inputs, outputs;
  const uint8_t* constants = nullptr;  // into the file
  Vectors vectors;

  const void* constant(const Tensor& tensor) const {
    return constants + buffers[tensor.buffer].offset;
  }
};

// Read a file that lies at a multiple of 64. The program points into it.
// Throws Failure(BITTRUE_FORMAT) with the byte that breaks a rule.
Program read_program(const uint8_t* file, uint64_t nbytes);

// What has been found in the values of a constant, so that many instructions on a long one take one
// look at it.
struct ConstantFacts {
  bool finite = false;    // as float32
  bool adds_up = false;   // pairs of int32 are weights of a resize
  bool measured = false;  // as int32: from `least` to `most`
  int32_t least = 0, most = 0;
};

// Check every rule that docs/format.md states for an instruction (verify.cc). `facts` of each
// buffer are used and added to. Throws Failure(BITTRUE_FORMAT).
void verify_instruction(const Program& program, const Instruction& instruction,
                        std::vector<ConstantFacts>* facts);

}  // namespace bittrue

#endif  // BITTRUE_PROGRAM_H_
