// The rules of docs/format.md for each instruction. What passes here cannot make a kernel read or
// write outside its tensors.
#include <string.h>

#include <algorithm>
#include <string>

#include "bittrue.h"
#include "failure.h"
#include "program.h"

namespace bittrue {
namespace {

constexpr int64_t MOST_WINDOW = 1 << 15;
constexpr int64_t MOST_PRODUCTS = 65536;     // of one sum: 65536 * 255 * 128 < 2^31
constexpr int64_t MOST_POOL_TAPS = 1 << 23;  // of one average: 2^23 * 255 < 2^31
constexpr int64_t MOST_DEPTH = 33025;        // of one product of codes: 33025 * 255 * 255 < 2^31
constexpr int32_t RESIZE_ONE = 2048;         // what the weights of two neighbours add up to

// Word `index` of words with blanks between, without a "?" at its end.
std::string word_at(const char* words, uint32_t index) {
  while (index-- > 0) words = strchr(words, ' ') + 1;
  return std::string(words, strcspn(words, " ?"));
}

const char* type_name(uint32_t dtype) {
  constexpr const char* NAMES[] = {"uint8", "int8", "int32", "float32"};
  return NAMES[dtype - 1];
}

class Verifier {
 public:
  Verifier(const Program& program, const Instruction& instruction,
           std::vector<ConstantFacts>* facts)
      : program_(program), at_(instruction), facts_(facts) {}

  void verify() const {
    verify_places();
    switch (at_.row->kind) {
      case Kind::CONV:
        return verify_conv();
      case Kind::ADD:
        return verify_binary(BITTRUE_UINT8, 2);
      case Kind::MUL:
      case Kind::DIV:
        return verify_binary(BITTRUE_UINT8, 1);
      case Kind::MIN:
      case Kind::MAX:
        return verify_binary(BITTRUE_UINT8, 2);
      case Kind::COMPARE:
        return verify_compare();
      case Kind::MATMUL:
        return verify_matmul();
      case Kind::RESIZE_LINEAR:
        return verify_resize();
      case Kind::TABLE:
        return verify_table();
      case Kind::MAX_POOL:
        return verify_max_pool();
      case Kind::AVG_POOL:
        return verify_avg_pool();
      case Kind::GATHER_2D:
        return verify_gather();
      case Kind::COPY:
        return verify_copy();
      case Kind::FILL:
        return verify_fill();
      case Kind::QUANTIZE:
        return verify_scaled(BITTRUE_FLOAT32, BITTRUE_UINT8);
      case Kind::DEQUANTIZE:
        return verify_scaled(BITTRUE_UINT8, BITTRUE_FLOAT32);
      case Kind::F32_BINARY:
        require_function(std::size(BINARY_FUNCTIONS));
        return verify_binary(BITTRUE_FLOAT32, 0);
      case Kind::F32_UNARY:
        require_function(std::size(UNARY_FUNCTIONS));
        [[fallthrough]];
      case Kind::F32_SOFTMAX:
        require_type(0, BITTRUE_FLOAT32);
        require_y(BITTRUE_FLOAT32);
        return require_equal_shape();
      case Kind::F32_WHERE:
        require_y(BITTRUE_FLOAT32);
        return require_broadcast(BITTRUE_FLOAT32, 3, y().rank);
      case Kind::F32_REDUCE:
        return verify_reduce();
      case Kind::F32_MATMUL:
        return verify_f32_matmul();
    }
  }

 private:
  const Tensor& x(uint32_t input = 0) const { return program_.tensors[at_.inputs[input]]; }
  const Tensor& y() const { return program_.tensors[at_.output]; }
  const char* name() const { return at_.row->name; }
  std::string role(uint32_t input) const { return word_at(at_.row->inputs, input); }
  // All tensors on one buffer have the same bytes.
  ConstantFacts& facts(uint32_t input) const { return (*facts_)[x(input).buffer]; }

  // Byte of the file at which an input's index, or a parameter, stands.
  uint64_t at_input(uint32_t input) const { return at_.at + 16 + 4ull * input; }
  uint64_t at_param(uint32_t param) const {
    return at_.at + 16 + 4ull * (at_.input_count + 1 + param);
  }

  // --- where tensors lie -------------------------------------------------------------------------

  void verify_places() const {
    const Buffer& target = program_.buffers[y().buffer];
    if (target.constant) {
      fail(BITTRUE_FORMAT, at_input(at_.input_count), "%s writes tensor '%.80s', a constant",
           name(), y().name.c_str());
    }
    for (uint32_t i = 0; i < at_.input_count; i++) {
      if (i >= at_.row->input_count - at_.row->constants &&
          !program_.buffers[x(i).buffer].constant) {
        fail(BITTRUE_FORMAT, at_input(i), "%s: %s, tensor '%.80s', must be a constant", name(),
             role(i).c_str(), x(i).name.c_str());
      }
      verify_overlap(i);
    }
  }

  void verify_overlap(uint32_t input) const {
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

  // --- types and shapes --------------------------------------------------------------------------

  void require_type(uint32_t input, uint32_t dtype) const {
    if (x(input).dtype != dtype) {
      fail(BITTRUE_FORMAT, at_input(input), "%s: %s must be %s, not %s", name(),
           role(input).c_str(), type_name(dtype), type_name(x(input).dtype));
    }
  }

  void require_rank(uint32_t input, uint32_t rank) const {
    if (x(input).rank != rank) {
      fail(BITTRUE_FORMAT, at_input(input), "%s: %s must have %u axes, not %u", name(),
           role(input).c_str(), rank, x(input).rank);
    }
  }

  void require_dim(uint32_t input, uint32_t axis, int64_t dim) const {
    if (x(input).dim(axis) != dim) {
      fail(BITTRUE_FORMAT, at_input(input), "%s: axis %u of %s must be %lld, not %lld", name(),
           axis, role(input).c_str(), (long long)dim, (long long)x(input).dim(axis));
    }
  }

  void require_y(uint32_t dtype) const {
    if (y().dtype != dtype) {
      fail(BITTRUE_FORMAT, at_input(at_.input_count), "%s: y must be %s, not %s", name(),
           type_name(dtype), type_name(y().dtype));
    }
  }

  void require_y_rank(uint32_t rank) const {
    if (y().rank != rank) {
      fail(BITTRUE_FORMAT, at_input(at_.input_count), "%s: y must have %u axes, not %u", name(),
           rank, y().rank);
    }
  }

  void require_y_dim(uint32_t axis, int64_t dim) const {
    if (y().dim(axis) != dim) {
      fail(BITTRUE_FORMAT, at_input(at_.input_count), "%s: axis %u of y must be %lld, not %lld",
           name(), axis, (long long)dim, (long long)y().dim(axis));
    }
  }

  void require_equal_shape() const {
    require_rank(0, y().rank);
    for (uint32_t axis = 0; axis < y().rank; axis++) require_dim(0, axis, y().dim(axis));
  }

  // Classes and gather indices: int32 [length], each 0 to most - 1.
  void require_indices(uint32_t input, int64_t length, int64_t most) const {
    require_type(input, BITTRUE_INT32);
    require_rank(input, 1);
    require_dim(input, 0, length);
    require_values(input, static_cast<const int32_t*>(program_.constant(x(input))), length, most);
  }

  void require_values(uint32_t input, const int32_t* values, int64_t length, int64_t most) const {
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

  void require_finite(uint32_t input) const {
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

  // --- parameters --------------------------------------------------------------------------------

  void require_param(uint32_t param, int64_t least, int64_t most) const {
    const int64_t value = at_.param(param);
    if (value < least || value > most) {
      fail(BITTRUE_FORMAT, at_param(param), "%s: %s must be %lld to %lld, not %lld", name(),
           word_at(at_.row->params, param).c_str(), (long long)least, (long long)most,
           (long long)value);
    }
  }

  // Parameter 0 is the number of one of so many functions.
  void require_function(size_t count) const {
    if (at_.params[0] >= count) {
      fail(BITTRUE_FORMAT, at_param(0), "%s: there is no function %d", name(), at_.param(0));
    }
  }

  // stride_h stride_w dilation_h dilation_w pad_top pad_left from parameter `first`.
  void require_window(uint32_t first) const {
    for (uint32_t i = 0; i < 4; i++) require_param(first + i, 1, MOST_WINDOW);
    for (uint32_t i = 4; i < 6; i++) require_param(first + i, -MOST_WINDOW, MOST_WINDOW);
  }

  // zero_point lo hi from parameter `first`, `most` being 255 for codes.
  void require_range(uint32_t first, int64_t most) const {
    for (uint32_t i = 0; i < 3; i++) require_param(first + i, 0, most);
    require_param(first + 1, 0, at_.param(first + 2));
  }

  // --- instructions ------------------------------------------------------------------------------

  void require_picture() const {
    require_rank(0, 4);
    require_y_rank(4);
    require_y_dim(0, x().dim(0));
  }

  void verify_conv() const {
    enum { X, WEIGHT, BIAS, ROW_CLASS, COL_CLASS, MULTIPLIER };
    require_type(X, BITTRUE_UINT8);
    require_picture();
    require_type(WEIGHT, BITTRUE_INT8);
    require_rank(WEIGHT, 4);
    require_window(0);
    const Tensor& weight = x(WEIGHT);
    require_param(6, 1, x().dim(3));
    const int64_t groups = at_.param(6), channels = weight.dim(0);
    if (x().dim(3) % groups != 0 || channels % groups != 0) {
      fail(BITTRUE_FORMAT, at_param(6), "CONV: %lld groups do not divide %lld and %lld channels",
           (long long)groups, (long long)x().dim(3), (long long)channels);
    }
    require_dim(WEIGHT, 3, x().dim(3) / groups);
    if (weight.dim(1) > MOST_WINDOW || weight.dim(2) > MOST_WINDOW ||
        weight.nbytes / (uint64_t)channels > (uint64_t)MOST_PRODUCTS) {
      fail(BITTRUE_FORMAT, at_input(WEIGHT),
           "CONV: %lld x %lld x %lld products a sum; 65536 and a kernel of 2^15 are the most",
           (long long)weight.dim(1), (long long)weight.dim(2), (long long)weight.dim(3));
    }
    require_y_dim(3, channels);
    require_type(BIAS, BITTRUE_INT32);
    require_rank(BIAS, 3);
    require_dim(BIAS, 2, channels);
    require_indices(ROW_CLASS, y().dim(1), x(BIAS).dim(0));
    require_indices(COL_CLASS, y().dim(2), x(BIAS).dim(1));
    require_rank(MULTIPLIER, 1);
    require_dim(MULTIPLIER, 0, channels);
    require_finite(MULTIPLIER);
    if (y().dtype == BITTRUE_FLOAT32) return require_range(7, 0);
    require_y(BITTRUE_UINT8);
    require_range(7, 255);
  }

  // The first `count` inputs are of type `dtype`, and their first `axes` axes broadcast to y's.
  void require_broadcast(uint32_t dtype, uint32_t count, uint32_t axes) const {
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

  // Two inputs of type `dtype` that broadcast to y; multipliers as ADD (2), MUL (1), none (0).
  void verify_binary(uint32_t dtype, uint32_t multipliers) const {
    require_pair(dtype);
    if (multipliers == 0) return;
    require_range(2, 255);
    require_multipliers(multipliers);
  }

  void require_pair(uint32_t dtype) const {
    require_y(dtype);
    require_broadcast(dtype, 2, y().rank);
  }

  // Zero points, parameters 0 and 1, and input 2: [K], or [2, K] where `multipliers` is 2.
  void require_multipliers(uint32_t multipliers) const {
    for (uint32_t i = 0; i < 2; i++) require_param(i, 0, 255);
    require_rank(2, multipliers);
    if (multipliers == 2) require_dim(2, 0, 2);
    require_channels(2, multipliers - 1);
    require_finite(2);
  }

  void verify_compare() const {
    require_pair(BITTRUE_UINT8);
    require_param(2, 0, (int64_t)std::size(COMPARE_FUNCTIONS) - 1);
    require_multipliers(2);
  }

  void verify_matmul() const {
    const uint32_t rank = y().rank;
    if (rank < 2) require_y_rank(2);
    require_broadcast(BITTRUE_UINT8, 2, rank - 2);
    const int64_t depth = x(0).dim(rank - 1);
    require_dim(1, rank - 1, depth);
    if (depth > MOST_DEPTH) {
      fail(BITTRUE_FORMAT, at_input(0), "MATMUL: %lld products a sum, 33025 are the most",
           (long long)depth);
    }
    require_y_dim(rank - 2, x(0).dim(rank - 2));
    require_y_dim(rank - 1, x(1).dim(rank - 2));
    require_multipliers(1);
    if (y().dtype == BITTRUE_FLOAT32) return require_range(2, 0);
    require_y(BITTRUE_UINT8);
    require_range(2, 255);
  }

  void verify_resize() const {
    require_type(0, BITTRUE_UINT8);
    require_y(BITTRUE_UINT8);
    require_picture();
    require_y_dim(3, x().dim(3));
    for (uint32_t axis = 0; axis < 2; axis++) {
      require_places(1 + 2 * axis, y().dim(1 + axis), x().dim(1 + axis));
      require_weights(2 + 2 * axis, y().dim(1 + axis));
    }
  }

  // Input `input`: int32 [length, 2].
  const int32_t* require_neighbours(uint32_t input, int64_t length) const {
    require_type(input, BITTRUE_INT32);
    require_rank(input, 2);
    require_dim(input, 0, length);
    require_dim(input, 1, 2);
    return static_cast<const int32_t*>(program_.constant(x(input)));
  }

  void require_places(uint32_t input, int64_t length, int64_t most) const {
    require_values(input, require_neighbours(input, length), 2 * length, most);
  }

  void require_weights(uint32_t input, int64_t length) const {
    const int32_t* weights = require_neighbours(input, length);
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

  // Axis `axis` of `input` must be 1 or the channels of y.
  void require_channels(uint32_t input, uint32_t axis) const {
    if (x(input).dim(axis) != 1) require_dim(input, axis, y().dim(y().rank - 1));
  }

  void verify_table() const {
    require_type(0, BITTRUE_UINT8);
    require_y(BITTRUE_UINT8);
    require_equal_shape();
    require_type(1, BITTRUE_UINT8);
    require_rank(1, 2);
    require_channels(1, 0);
    require_dim(1, 1, 256);
  }

  void require_pool() const {
    require_type(0, BITTRUE_UINT8);
    require_y(BITTRUE_UINT8);
    require_picture();
    require_y_dim(3, x().dim(3));
    for (uint32_t i = 0; i < 2; i++) require_param(i, 1, MOST_WINDOW);
    require_window(2);
  }

  void verify_max_pool() const { require_pool(); }

  void verify_avg_pool() const {
    require_pool();
    const int64_t taps = (int64_t)at_.param(0) * at_.param(1);
    if (taps > MOST_POOL_TAPS) {
      fail(BITTRUE_FORMAT, at_param(0), "AVG_POOL: %lld taps a sum, 2^23 are the most",
           (long long)taps);
    }
    require_param(8, 0, 255);
    require_range(9, 255);
    require_rank(3, 2);
    require_finite(3);
    require_indices(1, y().dim(1), x(3).dim(0));
    require_indices(2, y().dim(2), x(3).dim(1));
  }

  void verify_gather() const {
    require_picture();
    require_y(x().dtype);
    require_y_dim(3, x().dim(3));
    require_indices(1, y().dim(1), x().dim(1));
    require_indices(2, y().dim(2), x().dim(2));
  }

  // Every element that six axes from `first` (offset, then strides) reach must be in the tensor.
  void require_reach(uint32_t first, const Tensor& tensor) const {
    __int128 least = at_.param(first), most = least;  // below 2^66
    for (uint32_t axis = 0; axis < 6; axis++) {
      const __int128 reach = (__int128)(at_.param(axis) - 1) * at_.param(first + 1 + axis);
      (reach < 0 ? least : most) += reach;
    }
    if (least < 0 || most >= tensor.count()) {
      fail(BITTRUE_FORMAT, at_param(first),
           "COPY: %s reaches outside tensor '%.80s' of %lld elements",
           word_at(at_.row->params, first).c_str(), tensor.name.c_str(), (long long)tensor.count());
    }
  }

  void verify_copy() const {
    constexpr uint32_t SOURCE = 6, TARGET = 13;
    require_y(x().dtype);
    int64_t written = 1;
    for (uint32_t axis = 0; axis < 6; axis++) {
      require_param(axis, 1, INT32_MAX);
      if (at_.param(axis) > 1) require_param(TARGET + 1 + axis, 1, INT32_MAX);
      if (__builtin_mul_overflow(written, (int64_t)at_.param(axis), &written) ||
          written > y().count()) {
        fail(BITTRUE_FORMAT, at_param(axis), "COPY writes more elements than y has, %lld",
             (long long)y().count());
      }
    }
    require_reach(SOURCE, x());
    require_reach(TARGET, y());
    if (at_.input_count == 1) return;
    require_type(0, BITTRUE_UINT8);
    require_type(1, BITTRUE_UINT8);
    require_rank(1, 2);
    require_dim(1, 0, 1);
    require_dim(1, 1, 256);
  }

  void verify_fill() const {
    if (y().dtype == BITTRUE_FLOAT32) return;
    require_y(BITTRUE_UINT8);
    require_param(0, 0, 255);
  }

  // y has x's shape but for its last axis, which is 1.
  void verify_reduce() const {
    require_function(std::size(REDUCTIONS));
    require_type(0, BITTRUE_FLOAT32);
    require_y(BITTRUE_FLOAT32);
    require_rank(0, y().rank);
    for (uint32_t axis = 0; axis + 1 < y().rank; axis++) require_dim(0, axis, y().dim(axis));
    require_y_dim(y().rank - 1, 1);
  }

  void verify_f32_matmul() const {
    require_y(BITTRUE_FLOAT32);
    const uint32_t rank = y().rank;
    if (rank < 2) require_y_rank(2);
    require_broadcast(BITTRUE_FLOAT32, 2, rank - 2);
    require_dim(1, rank - 2, x(0).dim(rank - 1));
    require_y_dim(rank - 2, x(0).dim(rank - 2));
    require_y_dim(rank - 1, x(1).dim(rank - 1));
  }

  void verify_scaled(uint32_t from, uint32_t to) const {
    require_type(0, from);
    require_y(to);
    require_equal_shape();
    require_rank(1, 1);
    require_channels(1, 0);
    require_finite(1);
    require_param(0, 0, 255);
  }

  const Program& program_;
  const Instruction& at_;
  std::vector<ConstantFacts>* facts_;
};

}  // namespace

void verify_instruction(const Program& program, const Instruction& instruction,
                        std::vector<ConstantFacts>* facts) {
  Verifier(program, instruction, facts).verify();
}

}  // namespace bittrue
