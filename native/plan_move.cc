// Instructions that move bytes.
#include <algorithm>
#include <numeric>

#include "planner.h"

namespace bittrue {
namespace {

constexpr int64_t COPY_RUN = 65536;
constexpr int64_t COPY_UNITS = 64;  // enough to share

// Axes longer than 1, neighbours joined where both strides allow it.
void lay_copy(const Planner& at, CopyArgs* args) {
  for (uint32_t axis = 0; axis < 6; axis++) {
    const int64_t size = at.param(copy::SIZE + axis), from = at.param(copy::SOURCE + 1 + axis),
                  to = at.param(copy::TARGET + 1 + axis);
    if (size == 1) continue;
    const int64_t last = args->axes - 1;
    if (last >= 0 && args->src_stride[last] == from * size && args->dst_stride[last] == to * size &&
        args->size[last] * size <= COPY_RUN) {
      args->size[last] *= size;
      args->src_stride[last] = from;
      args->dst_stride[last] = to;
      continue;
    }
    args->size[args->axes] = size;
    args->src_stride[args->axes] = from;
    args->dst_stride[args->axes] = to;
    args->axes++;
  }
  if (args->axes == 0) args->size[args->axes++] = 1;
}

// Whether each axis steps over all that the axes of smaller steps write.
bool writes_once(const CopyArgs& args) {
  std::vector<int64_t> order((size_t)args.axes);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int64_t i, int64_t j) { return args.dst_stride[i] < args.dst_stride[j]; });
  int64_t reach = 0;
  for (const int64_t axis : order) {
    if (args.size[axis] > 1 && args.dst_stride[axis] <= reach) return false;
    reach += (args.size[axis] - 1) * args.dst_stride[axis];
  }
  return true;
}

}  // namespace

void plan_COPY(Planner& at) {
  auto* args = at.keep<CopyArgs>();
  args->item = at.x().item();
  args->x = at.in<uint8_t>(copy::X) + at.param(copy::SOURCE) * args->item;
  args->y = at.out<uint8_t>() + at.param(copy::TARGET) * args->item;
  args->table = at.input_count() > copy::TABLE ? at.in<uint8_t>(copy::TABLE) : nullptr;
  lay_copy(at, args);
  int64_t units = 1;
  while (writes_once(*args) && args->outer < args->axes - 1 && units < COPY_UNITS) {
    units *= args->size[args->outer++];
  }
  at.add_general(args, units, units == 1 ? 0 : at.y().count());
}

void plan_FILL(Planner& at) {
  auto* args = at.keep<FillArgs>();
  args->y = at.out<uint8_t>();
  args->count = at.y().count();
  args->value = at.param(FILL_VALUE);
  args->f32 = at.y().dtype == BITTRUE_FLOAT32;
  at.add_general(args, (args->count + FILL_UNIT - 1) / FILL_UNIT, args->count / 8);
}

}  // namespace bittrue
