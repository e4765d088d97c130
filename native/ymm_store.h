// From sums to codes or floats with 256-bit registers, for kernels of CONV whose tile is 16 output
// channels in two registers of 8 sums: packing the two lane by lane gives 16 codes in their natural
// order (pair_order in pack.cc). The file that includes this one has included the intrinsics.
#ifndef BITTRUE_YMM_STORE_H_
#define BITTRUE_YMM_STORE_H_

#include <stdint.h>

#include "conv_tiles.h"
#include "kernels.h"

namespace bittrue {
namespace {

struct Sums {
  __m256i first, second;  // channels 0-3 and 8-11, 4-7 and 12-15
};

inline __m256i load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }

inline Sums load_sums(const int32_t* bias) { return {load(bias), load(bias + 8)}; }

// rint(fl(fl(acc) * m)), saturated far above the codes; what lies below -2^31, and NaN, becomes
// -2^31.
inline __m256i to_steps(__m256i acc, const float* multiplier) {
  const __m256 t = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(multiplier));
  return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_set1_ps(1048576.0f), t));
}

inline void store_codes(const TileArgs& a, uint8_t* y, int64_t channels, __m256i first,
                        __m256i second) {
  const __m256i steps = _mm256_adds_epi16(_mm256_packs_epi32(first, second),
                                          _mm256_set1_epi16((int16_t)a.range.zero_point));
  const __m256i twice = _mm256_packus_epi16(steps, steps);
  __m128i codes = _mm256_castsi256_si128(_mm256_permute4x64_epi64(twice, 0x08));
  codes = _mm_max_epu8(codes, _mm_set1_epi8((char)a.range.lo));
  codes = _mm_min_epu8(codes, _mm_set1_epi8((char)a.range.hi));
  if (channels == 16) return _mm_storeu_si128(reinterpret_cast<__m128i*>(y), codes);
  alignas(16) uint8_t part[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(part), codes);
  for (int64_t i = 0; i < channels; i++) y[i] = part[i];
}

inline void store_floats(float* y, int64_t channels, const Sums& sums, const float* multiplier) {
  const __m256 first = _mm256_mul_ps(_mm256_cvtepi32_ps(sums.first), _mm256_loadu_ps(multiplier));
  const __m256 second =
      _mm256_mul_ps(_mm256_cvtepi32_ps(sums.second), _mm256_loadu_ps(multiplier + 8));
  alignas(32) float part[16];
  float* to = channels == 16 ? y : part;
  _mm256_storeu_ps(to, _mm256_permute2f128_ps(first, second, 0x20));
  _mm256_storeu_ps(to + 8, _mm256_permute2f128_ps(first, second, 0x31));
  if (to == y) return;
  for (int64_t i = 0; i < channels; i++) y[i] = part[i];
}

inline void store(const TileArgs& a, const Spot& spot, int pixel, const Sums& sums) {
  const float* multiplier = a.multiplier + spot.tile * 16;
  const int64_t at = spot.y + pixel * a.o;
  if (a.f32) {
    return store_floats(static_cast<float*>(a.y) + at, spot.channels, sums, multiplier);
  }
  store_codes(a, static_cast<uint8_t*>(a.y) + at, spot.channels, to_steps(sums.first, multiplier),
              to_steps(sums.second, multiplier + 8));
}

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_YMM_STORE_H_
