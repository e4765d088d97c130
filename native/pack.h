// Weights, biases and multipliers in the order in which a vector kernel reads them.
#ifndef BITTRUE_PACK_H_
#define BITTRUE_PACK_H_

#include <stdint.h>

#include "kernels.h"
#include "memory.h"

namespace bittrue {

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
