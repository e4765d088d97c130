// The rules of docs/format.md for each instruction. What passes them cannot make a kernel read or
// write outside its tensors.
#ifndef BITTRUE_VERIFY_H_
#define BITTRUE_VERIFY_H_

#include <stdint.h>

#include <string>
#include <vector>

#include "bittrue.h"
#include "operands.h"
#include "program.h"

namespace bittrue {

// What has been found in the values of a constant, so that many instructions on a long one take one
// look at it.
struct ConstantFacts {
  bool finite = false;    // as float32
  bool adds_up = false;   // pairs of int32 are weights of a resize
  bool measured = false;  // as int32: from `least` to `most`
  int32_t least = 0, most = 0;
};

// One instruction, and the words for what must hold of it. Every require_... throws
// Failure(BITTRUE_FORMAT) with the byte of the input or parameter that is wrong.
class Verifier {
 public:
  Verifier(const Program& program, const Instruction& instruction,
           std::vector<ConstantFacts>* facts)
      : program_(program), at_(instruction), facts_(facts) {}

  const InstructionRow& row() const { return *at_.row; }
  uint32_t input_count() const { return at_.input_count; }
  const Tensor& x(uint32_t input = 0) const { return program_.tensors[at_.inputs[input]]; }
  const Tensor& y() const { return program_.tensors[at_.output]; }
  int32_t param(uint32_t index) const { return at_.param(index); }

  // Byte of the file at which an input's index, or a parameter, stands.
  uint64_t at_input(uint32_t input) const { return at_.at + 16 + 4ull * input; }
  uint64_t at_y() const { return at_input(at_.input_count); }
  uint64_t at_param(uint32_t param) const { return at_y() + 4 + 4ull * param; }
  std::string param_name(uint32_t param) const;

  // Constants where they must be, and an output that overlaps no input, but where it may.
  void require_places() const;

  void require_type(uint32_t input, uint32_t dtype) const;
  void require_rank(uint32_t input, uint32_t rank) const;
  void require_dim(uint32_t input, uint32_t axis, int64_t dim) const;
  void require_y(uint32_t dtype) const;
  void require_y_rank(uint32_t rank) const;
  void require_y_dim(uint32_t axis, int64_t dim) const;
  // x has y's shape.
  void require_equal_shape() const;
  // x and y are pictures of one batch.
  void require_picture() const;
  // Axis `axis` of `input` must be 1 or the channels of y.
  void require_channels(uint32_t input, uint32_t axis) const;
  // The first `count` inputs are of type `dtype`, and their first `axes` axes broadcast to y's.
  void require_broadcast(uint32_t dtype, uint32_t count, uint32_t axes) const;

  // Classes and gather indices: int32 [length], each 0 to most - 1.
  void require_indices(uint32_t input, int64_t length, int64_t most) const;
  // Places of two neighbours: int32 [length, 2], each 0 to most - 1.
  void require_neighbours(uint32_t input, int64_t length, int64_t most) const;
  // Their weights: int32 [length, 2], at least 0, each pair adding up to 2048.
  void require_weights(uint32_t input, int64_t length) const;
  void require_finite(uint32_t input) const;
  // Zero points of two inputs, and float32 multipliers: [K], or [2, K] where `rows` is 2.
  void require_multipliers(uint32_t rows) const;

  void require_param(uint32_t param, int64_t least, int64_t most) const;
  // Parameter FUNCTION is the number of one of `count` functions.
  void require_function(size_t count) const;
  // Strides, dilations and pads from parameter `first`.
  void require_window(uint32_t first) const;
  // zero_point lo hi from parameter `first`, `most` being 255 for codes.
  void require_range(uint32_t first, int64_t most) const;
  // y is uint8 with a range from parameter `first`, or float32 with one of zeros.
  void require_y_range(uint32_t first) const;

 private:
  const char* name() const { return row().name; }
  std::string role(uint32_t input) const;
  // All tensors on one buffer have the same bytes.
  ConstantFacts& facts(uint32_t input) const { return (*facts_)[x(input).buffer]; }
  const int32_t* require_pairs(uint32_t input, int64_t length) const;
  void require_apart(uint32_t input) const;
  void require_values(uint32_t input, const int32_t* values, int64_t length, int64_t most) const;

  const Program& program_;
  const Instruction& at_;
  std::vector<ConstantFacts>* facts_;
};

// The rules of each kind: a kind without its function does not link.
#define INSTRUCTION(name, code, inputs, constants, outputs, params, in_place) \
  void verify_##name(const Verifier& at);
#include "instructions.inc"

// Check every rule that docs/format.md states for an instruction. `facts` of each buffer are used
// and added to. Throws Failure(BITTRUE_FORMAT).
void verify_instruction(const Program& program, const Instruction& instruction,
                        std::vector<ConstantFacts>* facts);

constexpr int64_t MOST_WINDOW = 1 << 15;

}  // namespace bittrue

#endif  // BITTRUE_VERIFY_H_
