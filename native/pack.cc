#include "pack.h"

#include <string.h>

namespace bittrue {
namespace {

struct Order {
  uint8_t at[64];
};

constexpr Order natural_order() {
  Order order{};
  for (uint8_t place = 0; place < 64; place++) order.at[place] = place;
  return order;
}

// Two registers of `length` sums, which packing joins lane by lane: lane l holds channels 8 l to
// 8 l + 3 in the first, 8 l + 4 to 8 l + 7 in the second.
constexpr Order pair_order(uint8_t length) {
  Order order{};
  for (uint8_t place = 0; place < 2 * length; place++) {
    order.at[place] = (uint8_t)(place % length / 4 * 8 + place / length * 4 + place % 4);
  }
  return order;
}

// Four taps interleaved: register j of four holds, in lane l, channels 16 l + 4 j to 16 l + 4 j
// + 3.
constexpr Order interleaved_order(uint8_t length) {
  Order order{};
  for (uint8_t j = 0; j < 4; j++) {
    for (uint8_t place = 0; place < length; place++) {
      order.at[j * length + place] = (uint8_t)(16 * (place / 4) + 4 * j + place % 4);
    }
  }
  return order;
}

constexpr Order NATURAL = natural_order();
constexpr Order PAIR_YMM = pair_order(8), PAIR_ZMM = pair_order(16);
constexpr Order INTERLEAVED_YMM = interleaved_order(8), INTERLEAVED_ZMM = interleaved_order(16);

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

// tile, step, item, code_item, order, signed_codes
PackFormat pack_format(Form form, Isa isa) {
  const bool dense = form == Form::DENSE;
  switch (isa) {
    case Isa::AVX2:
      return {16, 2, 2, dense ? 2u : 1u, PAIR_YMM.at, false};
    case Isa::AVXVNNI:
    case Isa::AVX512VNNI256:
      if (dense) return {16, 4, 1, 1, PAIR_YMM.at, false};
      return {32, 4, 1, 1, INTERLEAVED_YMM.at, false};
    case Isa::AVX512VNNI:
      if (dense) return {32, 4, 1, 1, PAIR_ZMM.at, false};
      return {64, 4, 1, 1, INTERLEAVED_ZMM.at, false};
    case Isa::AVX512VBMI:
      return {32, 4, 1, 1, NATURAL.at, false};
    case Isa::NEON:
      return {16, 1, 2, 1, NATURAL.at, false};
    case Isa::NEONDOT:
      return {16, 4, 1, 1, NATURAL.at, true};
    case Isa::SCALAR:
      break;  // has no vector kernel
  }
  return {1, 1, 1, 1, NATURAL.at, false};
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
