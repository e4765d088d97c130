// Registers of 256 bits, eight sums each, for the kernels of CONV. The file that includes this one
// has included the intrinsics.
#ifndef BITTRUE_YMM_H_
#define BITTRUE_YMM_H_

#include <stdint.h>

#include "conv_tiles.h"
#include "kernels.h"
#include "tile_order.h"

namespace bittrue {
namespace {

struct Ymm {
  using Bits = __m256i;
  static constexpr int64_t LANES = 8;
  static constexpr const uint8_t* PAIR = PAIR_YMM.at;
  static constexpr const uint8_t* INTERLEAVED = INTERLEAVED_YMM.at;

  static __m256i load(const void* at) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(at));
  }
  static __m256i set1(int32_t four) { return _mm256_set1_epi32(four); }
  static __m256i low8(__m256i a, __m256i b) { return _mm256_unpacklo_epi8(a, b); }
  static __m256i high8(__m256i a, __m256i b) { return _mm256_unpackhi_epi8(a, b); }
  static __m256i low16(__m256i a, __m256i b) { return _mm256_unpacklo_epi16(a, b); }
  static __m256i high16(__m256i a, __m256i b) { return _mm256_unpackhi_epi16(a, b); }

  static __m256 scaled(__m256i acc, const float* multiplier) {
    return _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(multiplier));
  }

  // rint(fl(fl(acc) * m)), saturated far above the codes; what lies below -2^31, and NaN, becomes
  // -2^31.
  static __m256i to_steps(__m256i acc, const float* multiplier) {
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_set1_ps(1048576.0f), scaled(acc, multiplier)));
  }

  // Two registers of sums to 16 words, lane by lane, with the zero point.
  static __m256i to_words(const TileArgs& a, const __m256i* sums, const float* multiplier) {
    return _mm256_adds_epi16(
        _mm256_packs_epi32(to_steps(sums[0], multiplier), to_steps(sums[1], multiplier + LANES)),
        _mm256_set1_epi16((int16_t)a.range.zero_point));
  }

  // Two registers of words to 32 codes, lane by lane.
  static __m256i to_codes(const TileArgs& a, __m256i low, __m256i high) {
    const __m256i codes =
        _mm256_max_epu8(_mm256_packus_epi16(low, high), _mm256_set1_epi8((char)a.range.lo));
    return _mm256_min_epu8(codes, _mm256_set1_epi8((char)a.range.hi));
  }

  static void store(void* to, __m256i codes) {
    _mm256_storeu_si256(static_cast<__m256i*>(to), codes);
  }
  static void store(float* to, __m256 floats) { _mm256_storeu_ps(to, floats); }

  // A tile of 16 channels in pair_order.
  static void store_pair(const TileArgs& a, const Spot& spot, int pixel, const __m256i* sums) {
    constexpr int64_t CHANNELS = 2 * LANES;
    const int64_t at = spot.y + pixel * a.o;
    if (a.f32) {
      const __m256 first = scaled(sums[0], spot.multiplier);
      const __m256 second = scaled(sums[1], spot.multiplier + LANES);
      alignas(32) float part[CHANNELS];
      float* to = spot.channels == CHANNELS ? static_cast<float*>(a.y) + at : part;
      store(to, _mm256_permute2f128_ps(first, second, 0x20));
      store(to + LANES, _mm256_permute2f128_ps(first, second, 0x31));
      if (to == part) store_part(a, spot, pixel, part);
      return;
    }
    const __m256i words = to_words(a, sums, spot.multiplier);
    const __m256i twice = _mm256_packus_epi16(words, words);
    __m128i codes = _mm256_castsi256_si128(_mm256_permute4x64_epi64(twice, 0x08));
    codes = _mm_max_epu8(codes, _mm_set1_epi8((char)a.range.lo));
    codes = _mm_min_epu8(codes, _mm_set1_epi8((char)a.range.hi));
    alignas(16) uint8_t part[CHANNELS];
    uint8_t* to = spot.channels == CHANNELS ? static_cast<uint8_t*>(a.y) + at : part;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
    if (to == part) store_part(a, spot, pixel, part);
  }
};

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_YMM_H_
