// Instructions element by element.
#include <algorithm>

#include "planner.h"

namespace bittrue {
namespace {

constexpr int64_t UNARY_RUN = 4096;
constexpr int64_t BINARY_RUN = 16384;

struct Axes {
  int64_t count, size[6], stride[3][6];
};

// The axes of y without those of length 1, neighbours joined where the first `inputs` inputs allow
// it; the last one only where `join_last`, and not so long that threads could not share.
Axes joined_axes(const Planner& at, uint32_t inputs, bool join_last) {
  Axes found{};  // from the last to the first
  int64_t stride[3] = {1, 1, 1};
  for (uint32_t axis = at.y().rank; axis-- > 0;) {
    const int64_t length = at.y().dim(axis), last = found.count - 1;
    int64_t step[3] = {};
    bool joins = last >= 0;
    for (uint32_t i = 0; i < inputs; i++) {
      step[i] = at.x(i).dim(axis) == 1 ? 0 : stride[i];
      stride[i] *= at.x(i).dim(axis);
      joins = joins && step[i] == found.stride[i][last] * found.size[last];
    }
    if (length == 1) continue;
    const bool inner = found.count == 1;
    if (joins && (!inner || (join_last && found.size[0] * length <= BINARY_RUN))) {
      found.size[last] *= length;
      continue;
    }
    found.size[found.count] = length;
    for (uint32_t i = 0; i < inputs; i++) found.stride[i][found.count] = step[i];
    found.count++;
  }
  if (found.count == 0) found.size[found.count++] = 1;
  std::reverse(found.size, found.size + found.count);
  for (auto& side : found.stride) std::reverse(side, side + found.count);
  return found;
}

// Add what has its operands and function.
void add_binary(Planner& at, BinaryArgs* args, int64_t cost) {
  args->a = at.in<uint8_t>(binary::A);
  args->b = at.in<uint8_t>(binary::B);
  args->y = at.out<uint8_t>();
  const Axes axes = joined_axes(at, 2, args->channels == 1);
  args->axes = axes.count;
  std::copy_n(axes.size, 6, args->size);
  std::copy_n(axes.stride[0], 6, args->a_stride);
  std::copy_n(axes.stride[1], 6, args->b_stride);
  at.add_general(args, at.y().count() / args->size[args->axes - 1], cost);
}

BinaryArgs* keep_codes(Planner& at) {
  auto* args = at.keep<BinaryArgs>();
  const Tensor& multiplier = at.x(binary::MULTIPLIER);
  args->multiplier = at.in<float>(binary::MULTIPLIER);
  args->channels = multiplier.dim(multiplier.rank - 1);
  args->zero_a = at.param(binary::ZERO_A);
  args->zero_b = at.param(binary::ZERO_B);
  return args;
}

void plan_codes(Planner& at) {
  BinaryArgs* args = keep_codes(at);
  args->range = at.range(binary::RANGE);
  add_binary(at, args, at.y().count());
}

// Add what runs over x as one line, in runs of `channels` elements where there are several.
void add_unary(Planner& at, UnaryArgs* args, int64_t channels, int64_t cost) {
  args->x = at.in<uint8_t>(unary::X);
  args->y = at.out<uint8_t>();
  const int64_t count = at.y().count();
  args->channels = channels;
  args->run = channels > 1 ? channels : std::min(count, UNARY_RUN);
  args->units = (count + args->run - 1) / args->run;
  args->last_run = count - (args->units - 1) * args->run;
  at.add_general(args, args->units, cost);
}

void plan_scaled(Planner& at) {
  auto* args = at.keep<UnaryArgs>();
  args->table = at.in<uint8_t>(unary::SCALE);
  args->zero_point = at.param(unary::ZERO_POINT);
  add_unary(at, args, at.x(unary::SCALE).dim(0), at.y().count());
}

}  // namespace

void plan_ADD(Planner& at) { plan_codes(at); }

void plan_MUL(Planner& at) { plan_codes(at); }

void plan_DIV(Planner& at) { plan_codes(at); }

void plan_MIN(Planner& at) { plan_codes(at); }

void plan_MAX(Planner& at) { plan_codes(at); }

void plan_COMPARE(Planner& at) {
  BinaryArgs* args = keep_codes(at);
  args->function = at.param(binary::COMPARE_FUNCTION);
  add_binary(at, args, at.y().count());
}

void plan_F32_BINARY(Planner& at) {
  auto* args = at.keep<BinaryArgs>();
  args->channels = 1;
  args->function = at.param(FUNCTION);
  add_binary(at, args, at.y().count() / 4);
}

void plan_F32_WHERE(Planner& at) {
  const Axes axes = joined_axes(at, 3, true);
  auto* args = at.keep<WhereArgs>();
  for (uint32_t i = 0; i < 3; i++) {
    args->input[i] = at.in<float>(i);
    std::copy_n(axes.stride[i], 6, args->stride[i]);
  }
  args->y = at.out<float>();
  args->axes = axes.count;
  std::copy_n(axes.size, 6, args->size);
  at.add_general(args, at.y().count() / args->size[args->axes - 1], at.y().count() / 4);
}

void plan_F32_UNARY(Planner& at) {
  auto* args = at.keep<UnaryArgs>();
  args->function = at.param(FUNCTION);
  add_unary(at, args, 1, 8 * at.y().count());
}

void plan_TABLE(Planner& at) {
  auto* args = at.keep<UnaryArgs>();
  args->table = at.in<uint8_t>(unary::TABLE);
  add_unary(at, args, at.x(unary::TABLE).dim(0), at.y().count());
}

void plan_QUANTIZE(Planner& at) { plan_scaled(at); }

void plan_DEQUANTIZE(Planner& at) { plan_scaled(at); }

}  // namespace bittrue
