// The rules of docs/format.md for instructions on pictures, [N, H, W, C].
#include "failure.h"
#include "verify.h"

namespace bittrue {
namespace {

constexpr int64_t MOST_PRODUCTS = 65536;     // of one sum: 65536 * 255 * 128 < 2^31
constexpr int64_t MOST_POOL_TAPS = 1 << 23;  // of one average: 2^23 * 255 < 2^31

void require_kernel(const Verifier& at) {
  const Tensor& weight = at.x(conv::WEIGHT);
  const uint64_t products = weight.nbytes / (uint64_t)weight.dim(0);
  if (weight.dim(1) > MOST_WINDOW || weight.dim(2) > MOST_WINDOW ||
      products > (uint64_t)MOST_PRODUCTS) {
    fail(BITTRUE_FORMAT, at.at_input(conv::WEIGHT),
         "CONV: %lld x %lld x %lld products a sum; 65536 and a kernel of 2^15 are the most",
         (long long)weight.dim(1), (long long)weight.dim(2), (long long)weight.dim(3));
  }
}

void require_groups(const Verifier& at) {
  at.require_param(conv::GROUPS, 1, at.x().dim(3));
  const int64_t groups = at.param(conv::GROUPS);
  const int64_t from = at.x().dim(3), to = at.x(conv::WEIGHT).dim(0);
  if (from % groups != 0 || to % groups != 0) {
    fail(BITTRUE_FORMAT, at.at_param(conv::GROUPS),
         "CONV: %lld groups do not divide %lld and %lld channels", (long long)groups,
         (long long)from, (long long)to);
  }
  at.require_dim(conv::WEIGHT, 3, from / groups);
}

void require_pool(const Verifier& at) {
  at.require_type(pool::X, BITTRUE_UINT8);
  at.require_y(BITTRUE_UINT8);
  at.require_picture();
  at.require_y_dim(3, at.x().dim(3));
  at.require_param(pool::KERNEL_H, 1, MOST_WINDOW);
  at.require_param(pool::KERNEL_W, 1, MOST_WINDOW);
  at.require_window(pool::WINDOW);
}

}  // namespace

void verify_CONV(const Verifier& at) {
  at.require_type(conv::X, BITTRUE_UINT8);
  at.require_picture();
  at.require_type(conv::WEIGHT, BITTRUE_INT8);
  at.require_rank(conv::WEIGHT, 4);
  at.require_window(conv::WINDOW);
  require_groups(at);
  require_kernel(at);
  const int64_t channels = at.x(conv::WEIGHT).dim(0);
  at.require_y_dim(3, channels);
  at.require_type(conv::BIAS, BITTRUE_INT32);
  at.require_rank(conv::BIAS, 3);
  at.require_dim(conv::BIAS, 2, channels);
  at.require_indices(conv::ROW_CLASS, at.y().dim(1), at.x(conv::BIAS).dim(0));
  at.require_indices(conv::COL_CLASS, at.y().dim(2), at.x(conv::BIAS).dim(1));
  at.require_rank(conv::MULTIPLIER, 1);
  at.require_dim(conv::MULTIPLIER, 0, channels);
  at.require_finite(conv::MULTIPLIER);
  at.require_y_range(conv::RANGE);
}

void verify_MAX_POOL(const Verifier& at) { require_pool(at); }

void verify_AVG_POOL(const Verifier& at) {
  require_pool(at);
  const int64_t taps = (int64_t)at.param(pool::KERNEL_H) * at.param(pool::KERNEL_W);
  if (taps > MOST_POOL_TAPS) {
    fail(BITTRUE_FORMAT, at.at_param(pool::KERNEL_H),
         "AVG_POOL: %lld taps a sum, 2^23 are the most", (long long)taps);
  }
  at.require_param(pool::ZERO_X, 0, 255);
  at.require_range(pool::RANGE, 255);
  at.require_rank(pool::MULTIPLIER, 2);
  at.require_finite(pool::MULTIPLIER);
  at.require_indices(pool::ROW_CLASS, at.y().dim(1), at.x(pool::MULTIPLIER).dim(0));
  at.require_indices(pool::COL_CLASS, at.y().dim(2), at.x(pool::MULTIPLIER).dim(1));
}

void verify_GATHER_2D(const Verifier& at) {
  at.require_picture();
  at.require_y(at.x().dtype);
  at.require_y_dim(3, at.x().dim(3));
  at.require_indices(gather::ROWS, at.y().dim(1), at.x().dim(1));
  at.require_indices(gather::COLS, at.y().dim(2), at.x().dim(2));
}

void verify_RESIZE_LINEAR(const Verifier& at) {
  at.require_type(resize::X, BITTRUE_UINT8);
  at.require_y(BITTRUE_UINT8);
  at.require_picture();
  at.require_y_dim(3, at.x().dim(3));
  at.require_neighbours(resize::ROWS, at.y().dim(1), at.x().dim(1));
  at.require_weights(resize::ROW_WEIGHT, at.y().dim(1));
  at.require_neighbours(resize::COLS, at.y().dim(2), at.x().dim(2));
  at.require_weights(resize::COL_WEIGHT, at.y().dim(2));
}

}  // namespace bittrue
