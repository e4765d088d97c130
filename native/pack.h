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
  uint32_t item;         // bytes an element of the weights: they are widened to this
  uint32_t code_item;    // bytes an element of x: the padded copy is widened to this
  const uint8_t* order;  // place in the tile -> channel in the tile
  bool signed_codes;     // the kernel multiplies code - 128: see pack_biases
};

// The format of a vector kernel of CONV.
PackFormat pack_format(Form form, Isa isa);

// weight int8 [channels, runs, run] as item-sized integers [tile][run][step][place][element];
// channels past the last and elements past a run's end are 0.
Memory pack_weights(const PackFormat& format, const int8_t* weight, int64_t channels, int64_t runs,
                    int64_t run);

// values [rows, channels], four bytes each, as [rows, tiles * tile]; 0 past the last channel.
Memory pack_channels(const PackFormat& format, const void* values, int64_t rows, int64_t channels);

// biases [rows, channels] as by pack_channels; for signed codes with 128 * the sum of the channel's
// weights added, which are int8 [channels, taps]. A vector kernel multiplies all taps, those on the
// zeros of a padded copy (each -128 as a signed code) too, so that sum is over all of them.
Memory pack_biases(const PackFormat& format, const int32_t* biases, int64_t rows, int64_t channels,
                   const int8_t* weight, int64_t taps);

}  // namespace bittrue

#endif  // BITTRUE_PACK_H_
