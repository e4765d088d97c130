// What planning an instruction takes, whatever its kind.
#ifndef BITTRUE_PLANNER_H_
#define BITTRUE_PLANNER_H_

#include <stdint.h>

#include <memory>
#include <vector>

#include "bittrue.h"
#include "dispatch.h"
#include "kernels.h"
#include "memory.h"
#include "operands.h"
#include "plan.h"
#include "program.h"

namespace bittrue {

class Planner {
 public:
  Planner(const Program& program, Isa isa, uint32_t threads, uint64_t file_bytes)
      : program_(program), isa_(isa), threads_(threads), file_bytes_(file_bytes) {}

  Plan make();

  // --- the instruction at hand -------------------------------------------------------------------

  Isa isa() const { return isa_; }
  uint32_t input_count() const { return at_->input_count; }
  const Tensor& x(uint32_t input = 0) const { return program_.tensors[at_->inputs[input]]; }
  const Tensor& y() const { return program_.tensors[at_->output]; }
  int32_t param(uint32_t index) const { return at_->param(index); }

  template <typename T>
  const T* in(uint32_t input) const {
    return reinterpret_cast<const T*>(plan_.at(program_, x(input)));
  }

  template <typename T>
  T* out() const {
    return reinterpret_cast<T*>(plan_.at(program_, y()));
  }

  // x and y as pictures.
  Shape picture() const {
    return {x().dim(0), x().dim(1), x().dim(2), x().dim(3), y().dim(1), y().dim(2), y().dim(3)};
  }

  // Strides, dilations and pads from parameter `first`.
  Window window(int64_t kernel_h, int64_t kernel_w, uint32_t first) const {
    return {kernel_h,         kernel_w,         param(first),     param(first + 1),
            param(first + 2), param(first + 3), param(first + 4), param(first + 5)};
  }

  // zero_point, lo and hi from parameter `first`.
  Range range(uint32_t first) const { return {param(first), param(first + 1), param(first + 2)}; }

  // --- what the plan keeps -----------------------------------------------------------------------

  template <typename Args>
  Args* keep(const Args& args = {}) {
    plan_.args.push_back(std::make_shared<Args>(args));
    return static_cast<Args*>(plan_.args.back().get());
  }

  template <typename T>
  T* keep_packed(Memory memory) {
    plan_.packed.push_back(std::move(memory));
    return reinterpret_cast<T*>(plan_.packed.back().data());
  }

  // Count bytes of packed weights; false, and nothing counted, where they would be too many.
  bool count_packed(uint64_t nbytes);

  // Where `writer` and `reader` will point to: scratch of so many bytes, which the instructions
  // share.
  void keep_scratch(uint64_t nbytes, void** writer, const void** reader);

  // One kernel call; `cost` in element operations says over how many threads.
  void add(Kernel kernel, const void* args, int64_t units, int64_t cost);

  // The call of the instruction's own kernel, a row of the kernel table.
  void add_kernel(uint32_t row, const void* args, int64_t units, int64_t cost);

  // The whole instruction as one call of its general kernel.
  void add_general(const void* args, int64_t units, int64_t cost);

 private:
  const Program& program_;
  Isa isa_;
  uint32_t threads_;
  uint64_t file_bytes_;
  const Instruction* at_ = nullptr;
  Plan plan_;
  uint64_t scratch_bytes_ = 0;
  std::vector<const void**> scratch_readers_;
  std::vector<void**> scratch_writers_;
};

// A guess, not a size: elements may be 2^40, and as many operations for each.
int64_t cost_of(int64_t elements, int64_t operations);

// The planner of each kind: a kind without its function does not link.
#define INSTRUCTION(name, code, inputs, constants, outputs, params, in_place) \
  void plan_##name(Planner& at);
#include "instructions.inc"

}  // namespace bittrue

#endif  // BITTRUE_PLANNER_H_
