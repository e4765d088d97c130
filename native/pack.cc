#include "pack.h"

#include <vector>

namespace bittrue {
namespace {

template <typename T>
void fill_weights(const PackFormat& format, const int8_t* weight, int64_t channels, int64_t runs,
                  int64_t run, T* to) {
  const int64_t tile = format.tile, step = format.step, steps = (run + step - 1) / step;
  for (int64_t channel = 0; channel < channels; channel += tile) {
    for (int64_t r = 0; r < runs; r++) {
      for (int64_t s = 0; s < steps; s++) {
        for (int64_t place = 0; place < tile; place++) {
          const int64_t o = channel + format.order[place];
          for (int64_t element = s * step; element < (s + 1) * step; element++, to++) {
            if (o < channels && element < run) *to = (T)weight[(o * runs + r) * run + element];
          }
        }
      }
    }
  }
}

}  // namespace

Memory pack_weights(const PackFormat& format, const int8_t* weight, int64_t channels, int64_t runs,
                    int64_t run) {
  const int64_t tiles = (channels + format.tile - 1) / format.tile;
  const int64_t steps = (run + format.step - 1) / format.step;
  const int64_t elements = tiles * runs * steps * format.tile * format.step;
  Memory memory((uint64_t)(elements * format.item), "packed weights");
  if (format.item == 1) {
    fill_weights(format, weight, channels, runs, run, reinterpret_cast<int8_t*>(memory.data()));
  } else {
    fill_weights(format, weight, channels, runs, run, reinterpret_cast<int16_t*>(memory.data()));
  }
  return memory;
}

Memory pack_channels(const PackFormat& format, const void* values, int64_t rows, int64_t channels) {
  const int64_t tiles = (channels + format.tile - 1) / format.tile;
  Memory memory((uint64_t)(rows * tiles * format.tile) * 4, "packed biases");
  const auto* from = static_cast<const uint32_t*>(values);
  auto* to = reinterpret_cast<uint32_t*>(memory.data());
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t tile = 0; tile < tiles; tile++) {
      for (int64_t place = 0; place < format.tile; place++, to++) {
        const int64_t channel = tile * format.tile + format.order[place];
        if (channel < channels) *to = from[row * channels + channel];
      }
    }
  }
  return memory;
}

Memory pack_biases(const PackFormat& format, const int32_t* biases, int64_t rows, int64_t channels,
                   const int8_t* weight, int64_t taps) {
  if (!format.signed_codes) return pack_channels(format, biases, rows, channels);
  std::vector<uint32_t> shifted(biases, biases + rows * channels);
  for (int64_t channel = 0; channel < channels; channel++) {
    uint32_t sum = 0;  // wraps, as the sums of the kernels do: what counts is exact modulo 2^32
    for (int64_t i = 0; i < taps; i++) sum += (uint32_t)weight[channel * taps + i];
    for (int64_t row = 0; row < rows; row++)
      shifted[(size_t)(row * channels + channel)] += 128 * sum;
  }
  return pack_channels(format, shifted.data(), rows, channels);
}

}  // namespace bittrue
