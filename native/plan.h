// From a checked program to the kernel calls of one run: memory, packed weights, arguments.
#ifndef BITTRUE_PLAN_H_
#define BITTRUE_PLAN_H_

#include <stdint.h>

#include <memory>
#include <vector>

#include "cpu.h"
#include "kernels.h"
#include "memory.h"
#include "program.h"

namespace bittrue {

// One kernel call. Steps run one after the other; each is shared by `parts` threads.
struct Step {
  Kernel kernel;
  const void* args;
  int64_t units;
  uint32_t parts;
};

constexpr uint32_t NO_INSTRUCTION = UINT32_MAX;

struct Plan {
  std::vector<Step> steps;
  std::vector<uint32_t> step_end;     // of each instruction, into steps
  std::vector<uint32_t> kernels;      // of each instruction, a row of the kernel table
  std::vector<uint32_t> last_writer;  // of each buffer, or NO_INSTRUCTION
  Memory arena, scratch;
  std::vector<Memory> packed;
  uint64_t packed_bytes = 0;
  std::vector<std::shared_ptr<void>> args;  // what Step::args points to

  // Where a tensor's bytes are.
  uint8_t* at(const Program& program, const Tensor& tensor) const {
    const Buffer& buffer = program.buffers[tensor.buffer];
    return (buffer.constant ? const_cast<uint8_t*>(program.constants) : arena.data()) +
           buffer.offset;
  }
};

// Throws Failure(BITTRUE_MEMORY). `file_bytes` bounds the memory that packing may take.
Plan make_plan(const Program& program, Isa isa, uint32_t threads, uint64_t file_bytes);

}  // namespace bittrue

#endif  // BITTRUE_PLAN_H_
