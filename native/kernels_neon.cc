// Kernels for AArch64 as every CPU of it has it (ARMv8.0). Codes and weights are widened to 16 bits
// and multiplied into 32-bit sums by smlal, which is exact. Products of bytes (smull) would fill
// the 16 bits: two of them no longer fit where a file holds the weight -128.
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "conv_tiles.h"
#include "kernels.h"
#include "neon_store.h"
#include "plain_elementwise.h"
#include "plain_sums.h"
#include "plain_windows.h"
#include "tile_order.h"

namespace bittrue {
namespace {

// sums += 16 weights * element LANE of x.
template <int LANE>
inline void add_element(Sums& sums, int16x8_t low, int16x8_t high, int16x8_t x) {
  sums.part[0] = vmlal_laneq_s16(sums.part[0], vget_low_s16(low), x, LANE);
  sums.part[1] = vmlal_high_laneq_s16(sums.part[1], low, x, LANE);
  sums.part[2] = vmlal_laneq_s16(sums.part[2], vget_low_s16(high), x, LANE);
  sums.part[3] = vmlal_high_laneq_s16(sums.part[3], high, x, LANE);
}

template <int M, int LANE>
inline void add_column(Sums* sums, const int16x8_t* x, const int16_t* w) {
  const int16x8_t low = vld1q_s16(w), high = vld1q_s16(w + 8);
#pragma GCC unroll 8
  for (int i = 0; i < M; i++) add_element<LANE>(sums[i], low, high, x[i]);
}

// Four elements of M pixels, x[i] from lane FIRST on.
template <int M, int FIRST>
inline void add_four(Sums* sums, const int16x8_t* x, const int16_t* w) {
  add_column<M, FIRST>(sums, x, w);
  add_column<M, FIRST + 1>(sums, x, w + 16);
  add_column<M, FIRST + 2>(sums, x, w + 32);
  add_column<M, FIRST + 3>(sums, x, w + 48);
}

inline int16x8_t widened(uint8x8_t codes) { return vreinterpretq_s16_u16(vmovl_u8(codes)); }

inline int16x8_t load_four(const uint8_t* x) {
  uint32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return widened(vreinterpret_u8_u32(vdup_n_u32(four)));
}

// Four pixels by four registers.
struct Dense {
  static constexpr PackFormat FORMAT = {16, 1, 2, 1, pad_bytes_scalar, NATURAL.at, false};
  static constexpr int PIXELS = 4;

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = spot_codes<Dense, uint8_t>(a, spot);
    const int16_t* w = tile_weights<Dense, int16_t>(a, spot);
    Sums sums[M];
    for (int i = 0; i < M; i++) sums[i] = load_sums(spot.bias[i]);
    for (int64_t run = 0; run < a.runs; run++) {
      const uint8_t* from = x + a.offset[run];
      int64_t left = a.run_steps;
      int16x8_t codes[M];
      for (; left >= 8; left -= 8, from += 8, w += 128) {
        for (int i = 0; i < M; i++) codes[i] = widened(vld1_u8(from + i * a.x_pixel));
        add_four<M, 0>(sums, codes, w);
        add_four<M, 4>(sums, codes, w + 64);
      }
      for (; left >= 4; left -= 4, from += 4, w += 64) {
        for (int i = 0; i < M; i++) codes[i] = load_four(from + i * a.x_pixel);
        add_four<M, 0>(sums, codes, w);
      }
      for (; left > 0; left--, from++, w += 16) {
        for (int i = 0; i < M; i++) codes[i] = vdupq_n_s16(from[i * a.x_pixel]);
        add_column<M, 0>(sums, codes, w);
      }
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

struct Depthwise {
  static constexpr PackFormat FORMAT = {16, 1, 2, 1, pad_bytes_scalar, NATURAL.at, false};
  static constexpr int PIXELS = 4;

  static void add(Sums& sums, uint8x16_t codes, int16x8_t low, int16x8_t high) {
    const int16x8_t x = widened(vget_low_u8(codes));
    const int16x8_t z = vreinterpretq_s16_u16(vmovl_high_u8(codes));
    sums.part[0] = vmlal_s16(sums.part[0], vget_low_s16(x), vget_low_s16(low));
    sums.part[1] = vmlal_high_s16(sums.part[1], x, low);
    sums.part[2] = vmlal_s16(sums.part[2], vget_low_s16(z), vget_low_s16(high));
    sums.part[3] = vmlal_high_s16(sums.part[3], z, high);
  }

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = spot_codes<Depthwise, uint8_t>(a, spot) + spot.tile * FORMAT.tile;
    const int16_t* w = tile_weights<Depthwise, int16_t>(a, spot);
    Sums sums[M];
    for (int i = 0; i < M; i++) sums[i] = load_sums(spot.bias[i]);
    for (int64_t tap = 0; tap < a.run_steps; tap++, w += STEP_WEIGHTS<Depthwise>) {
      const int16x8_t low = vld1q_s16(w), high = vld1q_s16(w + 8);
      const uint8_t* from = x + a.offset[tap];
#pragma GCC unroll 8
      for (int i = 0; i < M; i++) add(sums[i], vld1q_u8(from + i * a.x_pixel), low, high);
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

// As many codes of a run as whole registers hold, through one table: tbl looks up in 64 bytes and
// gives 0 outside them, tbx keeps what was there.
inline int64_t look_up(const uint8_t* x, uint8_t* y, int64_t count, const uint8_t* table) {
  const uint8x16x4_t first = vld1q_u8_x4(table), second = vld1q_u8_x4(table + 64);
  const uint8x16x4_t third = vld1q_u8_x4(table + 128), fourth = vld1q_u8_x4(table + 192);
  const uint8x16_t quarter = vdupq_n_u8(64);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    uint8x16_t index = vld1q_u8(x + i);
    uint8x16_t found = vqtbl4q_u8(first, index);
    found = vqtbx4q_u8(found, second, index = vsubq_u8(index, quarter));
    found = vqtbx4q_u8(found, third, index = vsubq_u8(index, quarter));
    found = vqtbx4q_u8(found, fourth, vsubq_u8(index, quarter));
    vst1q_u8(y + i, found);
  }
  return i;
}

}  // namespace

TILE_KERNEL(conv_dense_neon, Dense)
TILE_KERNEL(conv_depthwise_neon, Depthwise)

void table_neon(const void* args, int64_t begin, int64_t end) {
  table_units(args, begin, end, look_up);
}

#define PLAIN(instruction, name) \
  void name##_neon(const void* args, int64_t begin, int64_t end) { name##_units(args, begin, end); }
#include "plain_kernels.inc"

}  // namespace bittrue
