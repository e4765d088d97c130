#include "verify.h"

#include <string.h>

#include <algorithm>

#include "failure.h"

namespace bittrue {
namespace {

constexpr int32_t RESIZE_ONE = 2048;  // what the weights of two neighbours add up to

// Word `index` of words with blanks between, without a "?" at its end.
std::string word_at(const char* words, uint32_t index) {
  while (index-- > 0) words = strchr(words, ' ') + 1;
  return std::string(words, strcspn(words, " ?"));
}

const char* type_name(uint32_t dtype) {
  constexpr const char* NAMES[] = {"uint8", "int8", "int32", "float32"};
  return NAMES[dtype - 1];
}

}  // namespace

std::string Verifier::role(uint32_t input) const { return word_at(at_.row->inputs, input); }

std::string Verifier::param_name(uint32_t param) const { return word_at(at_.row->params, param); }

// --- where tensors lie ---------------------------------------------------------------------------

void Verifier::require_places() const {
  const Buffer& target = program_.buffers[y().buffer];
  if (target.constant) {
    fail(BITTRUE_FORMAT, at_y(), "%s writes tensor '%.80s', a constant", name(), y().name.c_str());
  }
  for (uint32_t i = 0; i < at_.input_count; i++) {
    if (i >= at_.row->input_count - at_.row->constants && !program_.buffers[x(i).buffer].constant) {
      fail(BITTRUE_FORMAT, at_input(i), "%s: %s, tensor '%.80s', must be a constant", name(),
           role(i).c_str(), x(i).name.c_str());
    }
    require_apart(i);
  }
}

void Verifier::require_apart(uint32_t input) const {
  const Buffer& from = program_.buffers[x(input).buffer];
  const Buffer& to = program_.buffers[y().buffer];
  if (x(input).buffer == y().buffer) {
    if (at_.row->in_place && x(input).dtype == y().dtype && x(input).rank == y().rank &&
        memcmp(x(input).dims, y().dims, sizeof y().dims) == 0) {
      return;
    }
    fail(BITTRUE_FORMAT, at_input(input), "%s writes buffer %u while it reads it", name(),
         y().buffer);
  }
  if (!from.constant && from.offset < to.offset + to.nbytes &&
      to.offset < from.offset + from.nbytes) {
    fail(BITTRUE_FORMAT, at_input(input), "%s writes buffer %u, which overlaps %u that it reads",
         name(), y().buffer, x(input).buffer);
  }
}

// --- types and shapes ----------------------------------------------------------------------------

void Verifier::require_type(uint32_t input, uint32_t dtype) const {
  if (x(input).dtype != dtype) {
    fail(BITTRUE_FORMAT, at_input(input), "%s: %s must be %s, not %s", name(), role(input).c_str(),
         type_name(dtype), type_name(x(input).dtype));
  }
}

void Verifier::require_rank(uint32_t input, uint32_t rank) const {
  if (x(input).rank != rank) {
    fail(BITTRUE_FORMAT, at_input(input), "%s: %s must have %u axes, not %u", name(),
         role(input).c_str(), rank, x(input).rank);
  }
}

void Verifier::require_dim(uint32_t input, uint32_t axis, int64_t dim) const {
  if (x(input).dim(axis) != dim) {
    fail(BITTRUE_FORMAT, at_input(input), "%s: axis %u of %s must be %lld, not %lld", name(), axis,
         role(input).c_str(), (long long)dim, (long long)x(input).dim(axis));
  }
}

void Verifier::require_y(uint32_t dtype) const {
  if (y().dtype != dtype) {
    fail(BITTRUE_FORMAT, at_y(), "%s: y must be %s, not %s", name(), type_name(dtype),
         type_name(y().dtype));
  }
}

void Verifier::require_y_rank(uint32_t rank) const {
  if (y().rank != rank) {
    fail(BITTRUE_FORMAT, at_y(), "%s: y must have %u axes, not %u", name(), rank, y().rank);
  }
}

void Verifier::require_y_dim(uint32_t axis, int64_t dim) const {
  if (y().dim(axis) != dim) {
    fail(BITTRUE_FORMAT, at_y(), "%s: axis %u of y must be %lld, not %lld", name(), axis,
         (long long)dim, (long long)y().dim(axis));
  }
}

void Verifier::require_equal_shape() const {
  require_rank(0, y().rank);
  for (uint32_t axis = 0; axis < y().rank; axis++) require_dim(0, axis, y().dim(axis));
}

void Verifier::require_picture() const {
  require_rank(0, 4);
  require_y_rank(4);
  require_y_dim(0, x().dim(0));
}

void Verifier::require_channels(uint32_t input, uint32_t axis) const {
  if (x(input).dim(axis) != 1) require_dim(input, axis, y().dim(y().rank - 1));
}

void Verifier::require_broadcast(uint32_t dtype, uint32_t count, uint32_t axes) const {
  for (uint32_t i = 0; i < count; i++) {
    require_type(i, dtype);
    require_rank(i, y().rank);
  }
  for (uint32_t axis = 0; axis < axes; axis++) {
    int64_t longest = 1;
    for (uint32_t i = 0; i < count; i++) longest = std::max(longest, x(i).dim(axis));
    require_y_dim(axis, longest);
    for (uint32_t i = 0; i < count; i++) {
      if (x(i).dim(axis) != 1) require_dim(i, axis, longest);
    }
  }
}

// --- values of constants -------------------------------------------------------------------------

void Verifier::require_indices(uint32_t input, int64_t length, int64_t most) const {
  require_type(input, BITTRUE_INT32);
  require_rank(input, 1);
  require_dim(input, 0, length);
  require_values(input, static_cast<const int32_t*>(program_.constant(x(input))), length, most);
}

void Verifier::require_values(uint32_t input, const int32_t* values, int64_t length,
                              int64_t most) const {
  ConstantFacts& known = facts(input);
  if (!known.measured) {
    const auto [least, greatest] = std::minmax_element(values, values + length);
    known.measured = true, known.least = *least, known.most = *greatest;
  }
  if (known.least >= 0 && known.most < most) return;
  for (int64_t i = 0; i < length; i++) {
    if (values[i] < 0 || values[i] >= most) {
      fail(BITTRUE_FORMAT, at_input(input), "%s: %s[%lld] must be 0 to %lld, not %d", name(),
           role(input).c_str(), (long long)i, (long long)most - 1, values[i]);
    }
  }
}

void Verifier::require_finite(uint32_t input) const {
  require_type(input, BITTRUE_FLOAT32);
  if (facts(input).finite) return;
  const auto* values = static_cast<const uint32_t*>(program_.constant(x(input)));
  for (int64_t i = 0; i < x(input).count(); i++) {
    if ((values[i] & 0x7f800000u) == 0x7f800000u) {
      fail(BITTRUE_FORMAT, at_input(input), "%s: %s[%lld] is not finite", name(),
           role(input).c_str(), (long long)i);
    }
  }
  facts(input).finite = true;
}

const int32_t* Verifier::require_pairs(uint32_t input, int64_t length) const {
  require_type(input, BITTRUE_INT32);
  require_rank(input, 2);
  require_dim(input, 0, length);
  require_dim(input, 1, 2);
  return static_cast<const int32_t*>(program_.constant(x(input)));
}

void Verifier::require_neighbours(uint32_t input, int64_t length, int64_t most) const {
  require_values(input, require_pairs(input, length), 2 * length, most);
}

void Verifier::require_weights(uint32_t input, int64_t length) const {
  const int32_t* weights = require_pairs(input, length);
  if (facts(input).adds_up) return;
  for (int64_t i = 0; i < length; i++) {
    const int64_t first = weights[2 * i], second = weights[2 * i + 1];
    if (first < 0 || second < 0 || first + second != RESIZE_ONE) {
      fail(BITTRUE_FORMAT, at_input(input), "%s: %s[%lld] must add up to 2048, not %lld + %lld",
           name(), role(input).c_str(), (long long)i, (long long)first, (long long)second);
    }
  }
  facts(input).adds_up = true;
}

void Verifier::require_multipliers(uint32_t rows) const {
  for (const uint32_t zero : {binary::ZERO_A, binary::ZERO_B}) require_param(zero, 0, 255);
  require_rank(binary::MULTIPLIER, rows);
  if (rows == 2) require_dim(binary::MULTIPLIER, 0, 2);
  require_channels(binary::MULTIPLIER, rows - 1);
  require_finite(binary::MULTIPLIER);
}

// --- parameters ----------------------------------------------------------------------------------

void Verifier::require_param(uint32_t param, int64_t least, int64_t most) const {
  const int64_t value = at_.param(param);
  if (value < least || value > most) {
    fail(BITTRUE_FORMAT, at_param(param), "%s: %s must be %lld to %lld, not %lld", name(),
         param_name(param).c_str(), (long long)least, (long long)most, (long long)value);
  }
}

void Verifier::require_function(size_t count) const {
  if (at_.params[FUNCTION] >= count) {
    fail(BITTRUE_FORMAT, at_param(FUNCTION), "%s: there is no function %d", name(),
         at_.param(FUNCTION));
  }
}

void Verifier::require_window(uint32_t first) const {
  for (uint32_t i = 0; i < 4; i++) require_param(first + i, 1, MOST_WINDOW);
  for (uint32_t i = 4; i < 6; i++) require_param(first + i, -MOST_WINDOW, MOST_WINDOW);
}

void Verifier::require_range(uint32_t first, int64_t most) const {
  for (uint32_t i = 0; i < 3; i++) require_param(first + i, 0, most);
  require_param(first + 1, 0, at_.param(first + 2));
}

void Verifier::require_y_range(uint32_t first) const {
  if (y().dtype == BITTRUE_FLOAT32) return require_range(first, 0);
  require_y(BITTRUE_UINT8);
  require_range(first, 255);
}

void verify_instruction(const Program& program, const Instruction& instruction,
                        std::vector<ConstantFacts>* facts) {
  const Verifier verifier(program, instruction, facts);
  verifier.require_places();
  switch (instruction.row->kind) {
#define INSTRUCTION(name, code, inputs, constants, outputs, params, in_place) \
  case Kind::name:                                                            \
    return verify_##name(verifier);
#include "instructions.inc"
  }
}

}  // namespace bittrue
