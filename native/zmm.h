// Registers of 512 bits, sixteen sums each, for the kernels of CONV: ymm.h, twice as wide. The file
// that includes this one has included the intrinsics.
#ifndef BITTRUE_ZMM_H_
#define BITTRUE_ZMM_H_

#include <stdint.h>

#include "conv_tiles.h"
#include "kernels.h"
#include "tile_order.h"

namespace bittrue {
namespace {

struct Zmm {
  using Bits = __m512i;
  static constexpr int64_t LANES = 16;
  static constexpr const uint8_t* PAIR = PAIR_ZMM.at;
  static constexpr const uint8_t* INTERLEAVED = INTERLEAVED_ZMM.at;

  static __m512i load(const void* at) { return _mm512_loadu_si512(at); }
  static __m512i set1(int32_t four) { return _mm512_set1_epi32(four); }
  static __m512i low8(__m512i a, __m512i b) { return _mm512_unpacklo_epi8(a, b); }
  static __m512i high8(__m512i a, __m512i b) { return _mm512_unpackhi_epi8(a, b); }
  static __m512i low16(__m512i a, __m512i b) { return _mm512_unpacklo_epi16(a, b); }
  static __m512i high16(__m512i a, __m512i b) { return _mm512_unpackhi_epi16(a, b); }

  static __m512i add_products(__m512i sums, __m512i codes, __m512i weights) {
    return _mm512_dpbusd_epi32(sums, codes, weights);
  }

  static __m512 scaled(__m512i acc, const float* multiplier) {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(multiplier));
  }

  static __m512i to_steps(__m512i acc, const float* multiplier) {
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(1048576.0f), scaled(acc, multiplier)));
  }

  static __m512i to_words(const TileArgs& a, const __m512i* sums, const float* multiplier) {
    return _mm512_adds_epi16(
        _mm512_packs_epi32(to_steps(sums[0], multiplier), to_steps(sums[1], multiplier + LANES)),
        _mm512_set1_epi16((int16_t)a.range.zero_point));
  }

  static __m512i to_codes(const TileArgs& a, __m512i low, __m512i high) {
    const __m512i codes =
        _mm512_max_epu8(_mm512_packus_epi16(low, high), _mm512_set1_epi8((char)a.range.lo));
    return _mm512_min_epu8(codes, _mm512_set1_epi8((char)a.range.hi));
  }

  static void store(void* to, __m512i codes) { _mm512_storeu_si512(to, codes); }
  static void store(float* to, __m512 floats) { _mm512_storeu_ps(to, floats); }

  // 32 codes, for a tile of 32 channels.
  static void store_half(const TileArgs& a, const Spot& spot, int pixel, __m256i codes) {
    alignas(32) uint8_t part[2 * LANES];
    uint8_t* y = static_cast<uint8_t*>(a.y) + spot.y + pixel * a.o;
    uint8_t* to = spot.channels == 2 * LANES ? y : part;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), codes);
    if (to == part) store_part(a, spot, pixel, part);
  }

  // A tile of 32 channels in pair_order.
  static void store_pair(const TileArgs& a, const Spot& spot, int pixel, const __m512i* sums) {
    if (a.f32) return store_floats<Zmm, 2>(a, spot, pixel, sums, PAIR);
    const __m512i words = to_words(a, sums, spot.multiplier);
    // Each lane has its eight codes twice; take the even halves.
    const __m512i evens = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i codes = _mm512_permutexvar_epi64(evens, to_codes(a, words, words));
    store_half(a, spot, pixel, _mm512_castsi512_si256(codes));
  }
};

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_ZMM_H_
