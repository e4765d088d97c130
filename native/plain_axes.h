// Where a unit of work starts in inputs that are broadcast or strided over several axes.
#ifndef BITTRUE_PLAIN_AXES_H_
#define BITTRUE_PLAIN_AXES_H_

#include <stddef.h>
#include <stdint.h>

namespace bittrue {
namespace {

template <int INPUTS>
struct Offsets {
  int64_t of[INPUTS];
};

// Elements from the start of each input to index `unit` of the first `axes` axes, the last of them
// innermost.
template <int INPUTS>
Offsets<INPUTS> offsets_of(int64_t unit, int64_t axes, const int64_t* size,
                           const int64_t* const (&stride)[INPUTS]) {
  Offsets<INPUTS> found{};
  for (int64_t axis = axes - 1; axis >= 0; axis--) {
    const int64_t index = unit % size[axis];
    unit /= size[axis];
    for (int i = 0; i < INPUTS; i++) found.of[i] += index * stride[i][axis];
  }
  return found;
}

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_PLAIN_AXES_H_
