// Convolutions by vpdpbusd, which adds four products of an unsigned code and a signed weight to
// each 32-bit sum, without saturation on the way. One source for registers of both widths and, of
// the narrow ones, both encodings: Register is Ymm or Zmm with add_products(sums, codes, weights),
// which is that instruction.
#ifndef BITTRUE_VNNI_H_
#define BITTRUE_VNNI_H_

#include <stddef.h>
#include <stdint.h>

#include "conv_tiles.h"
#include "kernels.h"

namespace bittrue {
namespace {

// PIXELS by two registers of sums; VEX forms have 16 registers, EVEX forms 32.
template <typename Register, int PIXELS_>
struct Dense {
  static constexpr PackFormat FORMAT = {2 * Register::LANES, 4,    1, 1, pad_bytes_scalar,
                                        Register::PAIR,      false};
  static constexpr int PIXELS = PIXELS_;

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    constexpr int64_t STEP = STEP_WEIGHTS<Dense>;
    const uint8_t* x = spot_codes<Dense, uint8_t>(a, spot);
    const int8_t* w = tile_weights<Dense, int8_t>(a, spot);
    typename Register::Bits sums[M][2];
    for (int i = 0; i < M; i++) {
      for (int j = 0; j < 2; j++) sums[i][j] = Register::load(spot.bias[i] + Register::LANES * j);
    }
    for (int64_t run = 0; run < a.runs; run++) {
      const uint8_t* from = x + a.offset[run];
      for (int64_t step = 0; step < a.run_steps; step++, from += 4, w += STEP) {
        const auto first = Register::load(w), second = Register::load(w + STEP / 2);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
          int32_t four;
          __builtin_memcpy(&four, from + i * a.x_pixel, sizeof four);
          const auto codes = Register::set1(four);
          sums[i][0] = Register::add_products(sums[i][0], codes, first);
          sums[i][1] = Register::add_products(sums[i][1], codes, second);
        }
      }
    }
    for (int i = 0; i < M; i++) Register::store_pair(a, spot, i, sums[i]);
  }
};

// Four taps are interleaved to one dword a channel: four registers of sums, in interleaved_order.
template <typename Register, int PIXELS_>
struct Depthwise {
  using Bits = typename Register::Bits;
  static constexpr int64_t LANES = Register::LANES;
  static constexpr PackFormat FORMAT = {4 * LANES, 4, 1, 1, pad_bytes_scalar, Register::INTERLEAVED,
                                        false};
  static constexpr int PIXELS = PIXELS_;

  static void store(const TileArgs& a, const Spot& spot, int pixel, const Bits* sums) {
    if (a.f32) return store_floats<Register, 4>(a, spot, pixel, sums, FORMAT.order);
    const float* m = spot.multiplier;
    const Bits codes = Register::to_codes(a, Register::to_words(a, sums, m),
                                          Register::to_words(a, sums + 2, m + 2 * LANES));
    alignas(64) uint8_t part[FORMAT.tile];
    uint8_t* y = static_cast<uint8_t*>(a.y) + spot.y + pixel * a.o;
    uint8_t* to = spot.channels == FORMAT.tile ? y : part;
    Register::store(to, codes);
    if (to == part) store_part(a, spot, pixel, part);
  }

  static void add(Bits* sums, const uint8_t* x, const int64_t* offset, const int8_t* w) {
    const Bits t0 = Register::load(x + offset[0]), t1 = Register::load(x + offset[1]);
    const Bits t2 = Register::load(x + offset[2]), t3 = Register::load(x + offset[3]);
    const Bits low01 = Register::low8(t0, t1), low23 = Register::low8(t2, t3);
    const Bits high01 = Register::high8(t0, t1), high23 = Register::high8(t2, t3);
    const Bits taps[4] = {Register::low16(low01, low23), Register::high16(low01, low23),
                          Register::low16(high01, high23), Register::high16(high01, high23)};
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      sums[j] = Register::add_products(sums[j], taps[j], Register::load(w + 4 * LANES * j));
    }
  }

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = spot_codes<Depthwise, uint8_t>(a, spot) + spot.tile * FORMAT.tile;
    const int8_t* w = tile_weights<Depthwise, int8_t>(a, spot);
    Bits sums[M][4];
    for (int i = 0; i < M; i++) {
      for (int j = 0; j < 4; j++) sums[i][j] = Register::load(spot.bias[i] + LANES * j);
    }
    for (int64_t step = 0; step < a.run_steps; step++, w += STEP_WEIGHTS<Depthwise>) {
#pragma GCC unroll 4
      for (int i = 0; i < M; i++) add(sums[i], x + i * a.x_pixel, a.offset + 4 * step, w);
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_VNNI_H_
