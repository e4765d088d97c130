// Instructions on pictures but CONV: one unit of work is a row of y.
#include <algorithm>

#include "planner.h"

namespace bittrue {
namespace {

PoolArgs* keep_pool(Planner& at) {
  auto* args = at.keep<PoolArgs>();
  args->x = at.in<uint8_t>(pool::X);
  args->y = at.out<uint8_t>();
  args->shape = at.picture();
  args->window = at.window(at.param(pool::KERNEL_H), at.param(pool::KERNEL_W), pool::WINDOW);
  return args;
}

void add_pool(Planner& at, const PoolArgs* args) {
  const Shape& s = args->shape;
  const int64_t taps = std::min(args->window.kernel_h * args->window.kernel_w, s.h * s.w);
  at.add_general(args, s.n * s.oh, cost_of(at.y().count(), taps));
}

}  // namespace

void plan_MAX_POOL(Planner& at) { add_pool(at, keep_pool(at)); }

void plan_AVG_POOL(Planner& at) {
  PoolArgs* args = keep_pool(at);
  args->row_class = at.in<int32_t>(pool::ROW_CLASS);
  args->col_class = at.in<int32_t>(pool::COL_CLASS);
  args->multiplier = at.in<float>(pool::MULTIPLIER);
  args->col_classes = at.x(pool::MULTIPLIER).dim(1);
  args->zero_x = at.param(pool::ZERO_X);
  args->range = at.range(pool::RANGE);
  add_pool(at, args);
}

void plan_GATHER_2D(Planner& at) {
  auto* args = at.keep<GatherArgs>();
  args->x = at.in<uint8_t>(gather::X);
  args->y = at.out<uint8_t>();
  args->rows = at.in<int32_t>(gather::ROWS);
  args->cols = at.in<int32_t>(gather::COLS);
  args->shape = at.picture();
  args->pixel_bytes = at.x().dim(3) * at.x().item();
  at.add_general(args, args->shape.n * args->shape.oh, (int64_t)at.y().nbytes / 4);
}

void plan_RESIZE_LINEAR(Planner& at) {
  auto* args = at.keep<ResizeArgs>();
  args->x = at.in<uint8_t>(resize::X);
  args->y = at.out<uint8_t>();
  args->rows = at.in<int32_t>(resize::ROWS);
  args->row_weight = at.in<int32_t>(resize::ROW_WEIGHT);
  args->cols = at.in<int32_t>(resize::COLS);
  args->col_weight = at.in<int32_t>(resize::COL_WEIGHT);
  args->shape = at.picture();
  at.add_general(args, args->shape.n * args->shape.oh, at.y().count());
}

}  // namespace bittrue
