// Products of matrices, and what runs over the last axis.
#include "planner.h"

namespace bittrue {
namespace {

// a [..., m, k], y [..., m, n], and how the leading axes of a and b broadcast.
template <typename Args>
void lay_product(const Planner& at, Args* args) {
  const Tensor &a = at.x(binary::A), &b = at.x(binary::B), &y = at.y();
  const uint32_t leading = y.rank - 2;
  args->m = y.dim(leading);
  args->n = y.dim(leading + 1);
  args->k = a.dim(leading + 1);
  args->axes = leading;
  int64_t a_stride = args->m * args->k, b_stride = args->n * args->k;
  for (uint32_t axis = leading; axis-- > 0;) {
    args->size[axis] = y.dim(axis);
    args->a_stride[axis] = a.dim(axis) == 1 ? 0 : a_stride;
    args->b_stride[axis] = b.dim(axis) == 1 ? 0 : b_stride;
    a_stride *= a.dim(axis);
    b_stride *= b.dim(axis);
  }
}

}  // namespace

void plan_MATMUL(Planner& at) {
  auto* args = at.keep<MatmulArgs>();
  args->a = at.in<uint8_t>(binary::A);
  args->b = at.in<uint8_t>(binary::B);
  args->multiplier = at.in<float>(binary::MULTIPLIER);
  args->y = at.out<uint8_t>();
  args->channels = at.x(binary::MULTIPLIER).dim(0);
  lay_product(at, args);
  args->zero_a = at.param(binary::ZERO_A);
  args->zero_b = at.param(binary::ZERO_B);
  args->range = at.range(binary::RANGE);
  args->f32 = at.y().dtype == BITTRUE_FLOAT32;
  at.add_general(args, at.y().count() / args->n, at.y().count() / 16 * args->k);
}

void plan_F32_MATMUL(Planner& at) {
  auto* args = at.keep<F32MatmulArgs>();
  args->a = at.in<float>(binary::A);
  args->b = at.in<float>(binary::B);
  args->y = at.out<float>();
  lay_product(at, args);
  args->row_blocks = (args->m + MATMUL_ROWS - 1) / MATMUL_ROWS;
  const int64_t products = at.y().count() / (args->m * args->n);
  at.add_general(args, products * args->row_blocks, cost_of(at.y().count(), args->k));
}

void plan_F32_SOFTMAX(Planner& at) {
  auto* args = at.keep<SoftmaxArgs>();
  args->x = at.in<float>(0);
  args->y = at.out<float>();
  args->length = at.y().dim(at.y().rank - 1);
  at.add_general(args, at.y().count() / args->length, 8 * at.y().count());
}

void plan_F32_REDUCE(Planner& at) {
  auto* args = at.keep<ReduceArgs>();
  args->x = at.in<float>(0);
  args->y = at.out<float>();
  args->length = at.x().dim(at.x().rank - 1);
  args->function = at.param(FUNCTION);
  at.add_general(args, at.y().count(), at.x().count());
}

}  // namespace bittrue
