// A .bte file, checked: docs/format.md. Reading allocates only after lengths have been checked.
#ifndef BITTRUE_PROGRAM_H_
#define BITTRUE_PROGRAM_H_

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

#include "bittrue.h"
#include "instructions.h"
#include "vectors.h"

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
  int64_t item() const { return dtype <= BITTRUE_INT8 ? 1 : 4; }  // bytes of an element
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

}  // namespace bittrue

#endif  // BITTRUE_PROGRAM_H_
