// What the harnesses share: a heap copy of a file, and runs of a program with every tensor tapped.
#ifndef BITTRUE_FUZZ_HARNESS_H_
#define BITTRUE_FUZZ_HARNESS_H_

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <vector>

#include "bittrue.h"
#include "parts.h"

// What libFuzzer calls; standalone.cc calls the same.
extern "C" {
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t* first, size_t first_size, const uint8_t* second,
                                 size_t second_size, uint8_t* to, size_t max_size, unsigned seed);
}

namespace bittrue_fuzz {

// Print what did not hold and abort, so that the fuzzer keeps the file.
void require(bool holds, const char* what);

// The file at a multiple of 64 in a block of its own that ends where the file ends.
class AlignedCopy {
 public:
  AlignedCopy(const uint8_t* file, size_t nbytes);
  const uint8_t* data() const { return block_.get(); }

 private:
  struct Free {
    void operator()(uint8_t* block) const;
  };
  std::unique_ptr<uint8_t, Free> block_;
};

struct Close {
  void operator()(bittrue_program* program) const { bittrue_close(program); }
};
using ProgramPtr = std::unique_ptr<bittrue_program, Close>;

// Open a file and check that code, program and error agree.
ProgramPtr open_program(const uint8_t* file, size_t nbytes, uint32_t flags, const char* isa,
                        uint32_t threads, bittrue_error* error);

// Whether the program is small enough to be run millions of times. What it costs cannot be told
// from outside but for a bound: no instruction does more than (elements of all tensors)^2.
bool is_small(const bittrue_program* program);

// Arguments of one run; what it gives is one block without room to spare.
class Call {
 public:
  Call(const bittrue_program* program, uint64_t seed);
  using Inputs = std::vector<bittrue_input>;
  Inputs inputs;
  std::vector<bittrue_output> outputs;
  std::vector<bittrue_tap> taps;
  int32_t run(bittrue_program* program, bittrue_error* error) const;
  // A tap forces its tensor to exist: run without any, on a program that has not run (one may read
  // what a run before left), and require the outputs that run() gave.
  void run_untapped(bittrue_program* program) const;
  // Make the inputs those of a conformance vector.
  void take_inputs(const bittrue_program* program, uint32_t vector);
  // Whether both calls received the same bytes.
  bool agrees(const Call& other) const;

 private:
  uint8_t* block(uint64_t nbytes);
  std::vector<std::unique_ptr<uint8_t[]>> blocks_;
  bittrue_output received_{};
};

// Ask for all that the first conformance vectors give, and run what is small on their inputs.
void use_vectors(bittrue_program* program, bool small);

// `mutated` if it fits into `max_size`, copied to `data`; else 0.
size_t put(const Bytes& mutated, uint8_t* data, size_t max_size);

}  // namespace bittrue_fuzz

#endif  // BITTRUE_FUZZ_HARNESS_H_
