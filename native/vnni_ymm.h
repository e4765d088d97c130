// Convolutions by the 256-bit form of vpdpbusd, one source for its two encodings: VEX (AVX-VNNI)
// and EVEX (AVX512-VNNI with AVX512VL). The file that includes this one has included the intrinsics
// and defined add_products(sums, codes, weights), which is that instruction.
#ifndef BITTRUE_VNNI_YMM_H_
#define BITTRUE_VNNI_YMM_H_

#include <stddef.h>
#include <stdint.h>

#include "conv_tiles.h"
#include "kernels.h"
#include "ymm_store.h"

namespace bittrue {
namespace {

// Weights [tile][run][step][16][4]. PIXELS by two registers of sums; the VEX form has 16
// registers, the EVEX form 32.
template <int PIXELS_>
struct DenseYmm {
  static constexpr int64_t CHANNELS = 16;
  static constexpr int PIXELS = PIXELS_;

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = static_cast<const uint8_t*>(a.x) + spot.x;
    const int8_t* w = static_cast<const int8_t*>(a.weight) + spot.tile * a.runs * a.run_steps * 64;
    Sums sums[M];
    for (int i = 0; i < M; i++) sums[i] = load_sums(spot.bias[i]);
    for (int64_t run = 0; run < a.runs; run++) {
      const uint8_t* from = x + a.offset[run];
      for (int64_t step = 0; step < a.run_steps; step++, from += 4, w += 64) {
        const __m256i first = load(w), second = load(w + 32);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
          int32_t four;
          __builtin_memcpy(&four, from + i * a.x_pixel, sizeof four);
          const __m256i codes = _mm256_set1_epi32(four);
          sums[i].first = add_products(sums[i].first, codes, first);
          sums[i].second = add_products(sums[i].second, codes, second);
        }
      }
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

// Weights [tile][four taps][32][4]. Four taps of 32 channels are interleaved to one dword a
// channel: four registers of sums, register j with channels 16 l + 4 j to 16 l + 4 j + 3 in lane l.
template <int PIXELS_>
struct DepthwiseYmm {
  static constexpr int64_t CHANNELS = 32;
  static constexpr int PIXELS = PIXELS_;

  static void store_part(const TileArgs& a, const Spot& spot, int pixel, const __m256i* sums) {
    const float* m = a.multiplier + spot.tile * 32;
    const int64_t at = spot.y + pixel * a.o;
    if (a.f32) {
      alignas(32) float part[32];
      for (int j = 0; j < 4; j++) {
        const __m256 t = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[j]), _mm256_loadu_ps(m + 8 * j));
        _mm_storeu_ps(part + 4 * j, _mm256_castps256_ps128(t));
        _mm_storeu_ps(part + 16 + 4 * j, _mm256_extractf128_ps(t, 1));
      }
      float* y = static_cast<float*>(a.y) + at;
      for (int64_t i = 0; i < spot.channels; i++) y[i] = part[i];
      return;
    }
    const __m256i zero = _mm256_set1_epi16((int16_t)a.range.zero_point);
    const __m256i low =
        _mm256_adds_epi16(_mm256_packs_epi32(to_steps(sums[0], m), to_steps(sums[1], m + 8)), zero);
    const __m256i high = _mm256_adds_epi16(
        _mm256_packs_epi32(to_steps(sums[2], m + 16), to_steps(sums[3], m + 24)), zero);
    __m256i codes = _mm256_packus_epi16(low, high);
    codes = _mm256_max_epu8(codes, _mm256_set1_epi8((char)a.range.lo));
    codes = _mm256_min_epu8(codes, _mm256_set1_epi8((char)a.range.hi));
    uint8_t* y = static_cast<uint8_t*>(a.y) + at;
    alignas(32) uint8_t part[32];
    uint8_t* to = spot.channels == 32 ? y : part;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), codes);
    if (to == y) return;
    for (int64_t i = 0; i < spot.channels; i++) y[i] = part[i];
  }

  static void add(__m256i* sums, const uint8_t* x, const int64_t* offset, const int8_t* w) {
    const __m256i t0 = load(x + offset[0]), t1 = load(x + offset[1]);
    const __m256i t2 = load(x + offset[2]), t3 = load(x + offset[3]);
    const __m256i low01 = _mm256_unpacklo_epi8(t0, t1), low23 = _mm256_unpacklo_epi8(t2, t3);
    const __m256i high01 = _mm256_unpackhi_epi8(t0, t1), high23 = _mm256_unpackhi_epi8(t2, t3);
    const __m256i taps[4] = {
        _mm256_unpacklo_epi16(low01, low23), _mm256_unpackhi_epi16(low01, low23),
        _mm256_unpacklo_epi16(high01, high23), _mm256_unpackhi_epi16(high01, high23)};
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) sums[j] = add_products(sums[j], taps[j], load(w + 32 * j));
  }

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = static_cast<const uint8_t*>(a.x) + spot.x + spot.tile * 32;
    const int8_t* w = static_cast<const int8_t*>(a.weight) + spot.tile * a.run_steps * 128;
    __m256i sums[M][4];
    for (int i = 0; i < M; i++) {
      for (int j = 0; j < 4; j++) sums[i][j] = load(spot.bias[i] + 8 * j);
    }
    for (int64_t step = 0; step < a.run_steps; step++, w += 128) {
#pragma GCC unroll 4
      for (int i = 0; i < M; i++) add(sums[i], x + i * a.x_pixel, a.offset + 4 * step, w);
    }
    for (int i = 0; i < M; i++) store_part(a, spot, i, sums[i]);
  }
};

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_VNNI_YMM_H_
