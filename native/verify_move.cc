// The rules of docs/format.md for instructions that move bytes.
#include "failure.h"
#include "verify.h"

namespace bittrue {
namespace {

// Every element that six axes from `first` (offset, then strides) reach must be in the tensor.
void require_reach(const Verifier& at, uint32_t first, const Tensor& tensor) {
  __int128 least = at.param(first), most = least;  // below 2^66
  for (uint32_t axis = 0; axis < 6; axis++) {
    const __int128 reach = (__int128)(at.param(copy::SIZE + axis) - 1) * at.param(first + 1 + axis);
    (reach < 0 ? least : most) += reach;
  }
  if (least < 0 || most >= tensor.count()) {
    fail(BITTRUE_FORMAT, at.at_param(first),
         "COPY: %s reaches outside tensor '%.80s' of %lld elements", at.param_name(first).c_str(),
         tensor.name.c_str(), (long long)tensor.count());
  }
}

}  // namespace

void verify_COPY(const Verifier& at) {
  at.require_y(at.x().dtype);
  int64_t written = 1;
  for (uint32_t axis = 0; axis < 6; axis++) {
    const uint32_t size = copy::SIZE + axis;
    at.require_param(size, 1, INT32_MAX);
    if (at.param(size) > 1) at.require_param(copy::TARGET + 1 + axis, 1, INT32_MAX);
    if (__builtin_mul_overflow(written, (int64_t)at.param(size), &written) ||
        written > at.y().count()) {
      fail(BITTRUE_FORMAT, at.at_param(size), "COPY writes more elements than y has, %lld",
           (long long)at.y().count());
    }
  }
  require_reach(at, copy::SOURCE, at.x());
  require_reach(at, copy::TARGET, at.y());
  if (at.input_count() == 1) return;
  at.require_type(copy::X, BITTRUE_UINT8);
  at.require_type(copy::TABLE, BITTRUE_UINT8);
  at.require_rank(copy::TABLE, 2);
  at.require_dim(copy::TABLE, 0, 1);
  at.require_dim(copy::TABLE, 1, 256);
}

void verify_FILL(const Verifier& at) {
  if (at.y().dtype == BITTRUE_FLOAT32) return;
  at.require_y(BITTRUE_UINT8);
  at.require_param(FILL_VALUE, 0, 255);
}

}  // namespace bittrue
