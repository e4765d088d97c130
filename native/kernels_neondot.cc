// Convolutions for AArch64 with the dot product extension: sdot adds four products of signed bytes
// to each 32-bit sum. A code q is taken as q ^ 0x80, which is q - 128 as a signed byte; the biases
// hold the difference (pack.h).
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "conv_tiles.h"
#include "kernels.h"
#include "neon_store.h"
#include "tile_order.h"

namespace bittrue {
namespace {

inline int8x16_t less_128(uint8x16_t codes) {
  return vreinterpretq_s8_u8(veorq_u8(codes, vdupq_n_u8(0x80)));
}

// Four elements of M pixels: lane LANE of each of x, against 16 channels.
template <int M, int LANE>
inline void add_four(Sums* sums, const int8x16_t* x, const int8_t* w) {
#pragma GCC unroll 4
  for (int part = 0; part < 4; part++) {
    const int8x16_t weights = vld1q_s8(w + 16 * part);
#pragma GCC unroll 8
    for (int i = 0; i < M; i++) {
      sums[i].part[part] = vdotq_laneq_s32(sums[i].part[part], weights, x[i], LANE);
    }
  }
}

inline int8x16_t load_four(const uint8_t* x) {
  uint32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return less_128(vreinterpretq_u8_u32(vdupq_n_u32(four)));
}

// Four pixels by four registers.
struct Dense {
  static constexpr PackFormat FORMAT = {16, 4, 1, 1, pad_bytes_scalar, NATURAL.at, true};
  static constexpr int PIXELS = 4;

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = spot_codes<Dense, uint8_t>(a, spot);
    const int8_t* w = tile_weights<Dense, int8_t>(a, spot);
    Sums sums[M];
    for (int i = 0; i < M; i++) sums[i] = load_sums(spot.bias[i]);
    for (int64_t run = 0; run < a.runs; run++) {
      const uint8_t* from = x + a.offset[run];
      int64_t left = a.run_steps;
      int8x16_t codes[M];
      for (; left >= 4; left -= 4, from += 16, w += 256) {
        for (int i = 0; i < M; i++) codes[i] = less_128(vld1q_u8(from + i * a.x_pixel));
        add_four<M, 0>(sums, codes, w);
        add_four<M, 1>(sums, codes, w + 64);
        add_four<M, 2>(sums, codes, w + 128);
        add_four<M, 3>(sums, codes, w + 192);
      }
      for (; left > 0; left--, from += 4, w += 64) {
        for (int i = 0; i < M; i++) codes[i] = load_four(from + i * a.x_pixel);
        add_four<M, 0>(sums, codes, w);
      }
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

// Four taps of 16 channels are interleaved to four bytes a channel. Multiplying one tap at a time
// (kernels_neon.cc) takes half as many instructions again.
struct Depthwise {
  static constexpr PackFormat FORMAT = {16, 4, 1, 1, pad_bytes_scalar, NATURAL.at, true};
  static constexpr int PIXELS = 4;

  static void add(Sums& sums, const uint8_t* x, const int64_t* offset, const int8x16_t* w) {
    const uint8x16_t t0 = vld1q_u8(x + offset[0]), t1 = vld1q_u8(x + offset[1]);
    const uint8x16_t t2 = vld1q_u8(x + offset[2]), t3 = vld1q_u8(x + offset[3]);
    const uint16x8_t low01 = vreinterpretq_u16_u8(vzip1q_u8(t0, t1));
    const uint16x8_t low23 = vreinterpretq_u16_u8(vzip1q_u8(t2, t3));
    const uint16x8_t high01 = vreinterpretq_u16_u8(vzip2q_u8(t0, t1));
    const uint16x8_t high23 = vreinterpretq_u16_u8(vzip2q_u8(t2, t3));
    const uint16x8_t taps[4] = {vzip1q_u16(low01, low23), vzip2q_u16(low01, low23),
                                vzip1q_u16(high01, high23), vzip2q_u16(high01, high23)};
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
      sums.part[j] = vdotq_s32(sums.part[j], less_128(vreinterpretq_u8_u16(taps[j])), w[j]);
    }
  }

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = spot_codes<Depthwise, uint8_t>(a, spot) + spot.tile * FORMAT.tile;
    const int8_t* w = tile_weights<Depthwise, int8_t>(a, spot);
    Sums sums[M];
    for (int i = 0; i < M; i++) sums[i] = load_sums(spot.bias[i]);
    for (int64_t step = 0; step < a.run_steps; step++, w += STEP_WEIGHTS<Depthwise>) {
      const int8x16_t weights[4] = {vld1q_s8(w), vld1q_s8(w + 16), vld1q_s8(w + 32),
                                    vld1q_s8(w + 48)};
#pragma GCC unroll 8
      for (int i = 0; i < M; i++) {
        add(sums[i], x + i * a.x_pixel, a.offset + 4 * step, weights);
      }
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

}  // namespace

TILE_KERNEL(conv_dense_neondot, Dense)
TILE_KERNEL(conv_depthwise_neondot, Depthwise)

}  // namespace bittrue
