#include "pack.h"

#include <string.h>

namespace bittrue {
namespace {

// Two registers of 8 sums, packed lane by lane to 16 codes in their natural order (AVX2).
constexpr uint8_t ORDER_AVX2[16] = {0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15};

struct Order {
  uint8_t at[64];
};

// Two registers of 16 sums: lane l holds channels 8 l to 8 l + 3, and 8 l + 4 to 8 l + 7 (AVX-512).
constexpr Order dense_order() {
  Order order{};
  for (uint8_t place = 0; place < 32; place++) {
    order.at[place] = (uint8_t)(place % 16 / 4 * 8 + place / 16 * 4 + place % 4);
  }
  return order;
}

// Four taps interleaved: register j holds, in lane l, channels 16 l + 4 j to 16 l + 4 j + 3.
constexpr Order depthwise_order() {
  Order order{};
  for (uint8_t j = 0; j < 4; j++) {
    for (uint8_t place = 0; place < 16; place++) {
      order.at[j * 16 + place] = (uint8_t)(16 * (place / 4) + 4 * j + place % 4);
    }
  }
  return order;
}

constexpr Order DENSE_AVX512 = dense_order();
constexpr Order DEPTHWISE_AVX512 = depthwise_order();

template <typename T>
void fill_weights(const PackFormat& format, const int8_t* weight, int64_t channels, int64_t runs,
                  int64_t run, T* to) {
  const int64_t tile = format.tile, step = format.step;
  const int64_t steps = (run + step - 1) / step;
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

PackFormat pack_format(Form form, Isa isa) {
  if (isa == Isa::AVX2) return {16, 2, 2, ORDER_AVX2};
  if (form == Form::DENSE) return {32, 4, 1, DENSE_AVX512.at};
  return {64, 4, 1, DEPTHWISE_AVX512.at};
}

Memory pack_weights(const PackFormat& format, const int8_t* weight, int64_t channels, int64_t runs,
                    int64_t run) {
  const int64_t tiles = (channels + format.tile - 1) / format.tile;
  const int64_t steps = (run + format.step - 1) / format.step;
  const int64_t elements = tiles * runs * steps * format.tile * format.step;
  Memory memory((uint64_t)elements * format.item, "packed weights");
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

}  // namespace bittrue
