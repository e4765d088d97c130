// The rules of docs/format.md for products of matrices, and for what runs over the last axis.
#include "failure.h"
#include "verify.h"

namespace bittrue {
namespace {

constexpr int64_t MOST_DEPTH = 33025;  // of one product of codes: 33025 * 255 * 255 < 2^31

// a [..., m, k] and b, whose axes but the last two broadcast to y's, [..., m, n]; returns the rank.
uint32_t require_matrices(const Verifier& at, uint32_t dtype) {
  const uint32_t rank = at.y().rank;
  if (rank < 2) at.require_y_rank(2);
  at.require_broadcast(dtype, 2, rank - 2);
  return rank;
}

}  // namespace

void verify_MATMUL(const Verifier& at) {
  const uint32_t rank = require_matrices(at, BITTRUE_UINT8);
  const int64_t depth = at.x(binary::A).dim(rank - 1);
  at.require_dim(binary::B, rank - 1, depth);
  if (depth > MOST_DEPTH) {
    fail(BITTRUE_FORMAT, at.at_input(binary::A), "MATMUL: %lld products a sum, 33025 are the most",
         (long long)depth);
  }
  at.require_y_dim(rank - 2, at.x(binary::A).dim(rank - 2));
  at.require_y_dim(rank - 1, at.x(binary::B).dim(rank - 2));
  at.require_multipliers(1);
  at.require_y_range(binary::RANGE);
}

void verify_F32_MATMUL(const Verifier& at) {
  at.require_y(BITTRUE_FLOAT32);
  const uint32_t rank = require_matrices(at, BITTRUE_FLOAT32);
  at.require_dim(binary::B, rank - 2, at.x(binary::A).dim(rank - 1));
  at.require_y_dim(rank - 2, at.x(binary::A).dim(rank - 2));
  at.require_y_dim(rank - 1, at.x(binary::B).dim(rank - 1));
}

void verify_F32_SOFTMAX(const Verifier& at) {
  at.require_type(0, BITTRUE_FLOAT32);
  at.require_y(BITTRUE_FLOAT32);
  at.require_equal_shape();
}

// y has x's shape but for its last axis, which is 1.
void verify_F32_REDUCE(const Verifier& at) {
  at.require_function(std::size(REDUCTIONS));
  at.require_type(0, BITTRUE_FLOAT32);
  at.require_y(BITTRUE_FLOAT32);
  const uint32_t last = at.y().rank - 1;
  at.require_rank(0, at.y().rank);
  for (uint32_t axis = 0; axis < last; axis++) at.require_dim(0, axis, at.y().dim(axis));
  at.require_y_dim(last, 1);
}

}  // namespace bittrue
