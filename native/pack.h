// Weights, biases and multipliers in the order in which a vector kernel reads them.
#ifndef BITTRUE_PACK_H_
#define BITTRUE_PACK_H_

#include <stdint.h>

#include <vector>

#include "cpu.h"
#include "dispatch.h"
#include "memory.h"

namespace bittrue {

// How one kernel wants a convolution's constants. A tile is the output channels that it computes
// together; a step is the elements of a run that one instruction multiplies and adds.
struct PackFormat {
  uint32_t tile;         // output channels
  uint32_t step;         // elements
  uint32_t item;         // bytes an element: weights and x are widened to this
  const uint8_t* order;  // place in the tile -> channel in the tile
};

// The format of a vector kernel of CONV.
PackFormat pack_format(Form form, Isa isa);

// weight int8 [channels, runs, run] as item-sized integers [tile][run][step][place][element];
// channels past the last and elements past a run's end are 0.
Memory pack_weights(const PackFormat& format, const int8_t* weight, int64_t channels, int64_t runs,
                    int64_t run);

// values [rows, channels], four bytes each, as [rows, tiles * tile]; 0 past the last channel.
Memory pack_channels(const PackFormat& format, const void* values, int64_t rows, int64_t channels);

}  // namespace bittrue

#endif  // BITTRUE_PACK_H_
