// From sums to codes or floats, for the NEON kernels of CONV: a tile is 16 output channels in four
// registers, in their natural order.
#ifndef BITTRUE_NEON_STORE_H_
#define BITTRUE_NEON_STORE_H_

#include <arm_neon.h>
#include <stdint.h>

#include "conv_tiles.h"
#include "kernels.h"

namespace bittrue {
namespace {

struct Sums {
  int32x4_t part[4];  // channels 4 i to 4 i + 3
};

inline Sums load_sums(const int32_t* bias) {
  return {{vld1q_s32(bias), vld1q_s32(bias + 4), vld1q_s32(bias + 8), vld1q_s32(bias + 12)}};
}

inline float32x4_t scaled(int32x4_t acc, const float* multiplier) {
  return vmulq_f32(vcvtq_f32_s32(acc), vld1q_f32(multiplier));
}

// rint(fl(fl(acc) * m)), to nearest even, saturated to 16 bits, far outside the codes. fcvtns would
// make 0 of NaN, where the rule says lo, but a sum times a finite number is none.
inline int16x4_t to_steps(int32x4_t acc, const float* multiplier) {
  return vqmovn_s32(vcvtnq_s32_f32(scaled(acc, multiplier)));
}

inline uint8x8_t to_codes(const TileArgs& a, int32x4_t low, int32x4_t high,
                          const float* multiplier) {
  const int16x8_t steps = vcombine_s16(to_steps(low, multiplier), to_steps(high, multiplier + 4));
  return vqmovun_s16(vqaddq_s16(steps, vdupq_n_s16((int16_t)a.range.zero_point)));
}

inline void store(const TileArgs& a, const Spot& spot, int pixel, const Sums& sums) {
  const int64_t at = spot.y + pixel * a.o;
  const float* m = spot.multiplier;
  if (a.f32) {
    float part[16];
    float* to = spot.channels == 16 ? static_cast<float*>(a.y) + at : part;
    for (int i = 0; i < 4; i++) vst1q_f32(to + 4 * i, scaled(sums.part[i], m + 4 * i));
    if (to == part) store_part(a, spot, pixel, part);
    return;
  }
  uint8x16_t codes = vcombine_u8(to_codes(a, sums.part[0], sums.part[1], m),
                                 to_codes(a, sums.part[2], sums.part[3], m + 8));
  codes = vmaxq_u8(codes, vdupq_n_u8((uint8_t)a.range.lo));
  codes = vminq_u8(codes, vdupq_n_u8((uint8_t)a.range.hi));
  uint8_t part[16];
  uint8_t* to = spot.channels == 16 ? static_cast<uint8_t*>(a.y) + at : part;
  vst1q_u8(to, codes);
  if (to == part) store_part(a, spot, pixel, part);
}

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_NEON_STORE_H_
