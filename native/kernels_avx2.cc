// Kernels for AVX2: plain loops compiled for it, and convolutions. Products of a code and a weight
// are summed in pairs by vpmaddwd on 16 bits, which is exact; vpmaddubsw would saturate (2 * 255 *
// 127 > 32767).
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "conv_tiles.h"
#include "kernels.h"
#include "plain_loops.h"
#include "ymm_store.h"

namespace bittrue {
namespace {

// x in 16 bits, weights [tile][run][pair][16][2] in 16 bits. Six pixels by two registers, two
// registers of weights and one of x fill the 16 that there are.
struct Dense {
  static constexpr int64_t CHANNELS = 16;
  static constexpr int PIXELS = 6;

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint16_t* x = static_cast<const uint16_t*>(a.x) + spot.x;
    const int16_t* w =
        static_cast<const int16_t*>(a.weight) + spot.tile * a.runs * a.run_steps * 32;
    Sums sums[M];
    for (int i = 0; i < M; i++) sums[i] = load_sums(spot.bias[i]);
    for (int64_t run = 0; run < a.runs; run++) {
      const uint16_t* from = x + a.offset[run];
      for (int64_t step = 0; step < a.run_steps; step++, from += 2, w += 32) {
        const __m256i first = load(w), second = load(w + 16);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
          int32_t pair;
          __builtin_memcpy(&pair, from + i * a.x_pixel, sizeof pair);
          const __m256i codes = _mm256_set1_epi32(pair);
          sums[i].first = _mm256_add_epi32(sums[i].first, _mm256_madd_epi16(codes, first));
          sums[i].second = _mm256_add_epi32(sums[i].second, _mm256_madd_epi16(codes, second));
        }
      }
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

// x in bytes, weights [tile][pair of taps][16][2] in 16 bits.
struct Depthwise {
  static constexpr int64_t CHANNELS = 16;
  static constexpr int PIXELS = 4;

  static __m256i codes(const uint8_t* x) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
  }

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = static_cast<const uint8_t*>(a.x) + spot.x + spot.tile * 16;
    const int16_t* w = static_cast<const int16_t*>(a.weight) + spot.tile * a.run_steps * 32;
    Sums sums[M];
    for (int i = 0; i < M; i++) sums[i] = load_sums(spot.bias[i]);
    for (int64_t pair = 0; pair < a.run_steps; pair++, w += 32) {
      const __m256i first = load(w), second = load(w + 16);
      const uint8_t* even = x + a.offset[2 * pair];
      const uint8_t* odd = x + a.offset[2 * pair + 1];
#pragma GCC unroll 8
      for (int i = 0; i < M; i++) {
        const __m256i left = codes(even + i * a.x_pixel), right = codes(odd + i * a.x_pixel);
        const __m256i low = _mm256_unpacklo_epi16(left, right);
        const __m256i high = _mm256_unpackhi_epi16(left, right);
        sums[i].first = _mm256_add_epi32(sums[i].first, _mm256_madd_epi16(low, first));
        sums[i].second = _mm256_add_epi32(sums[i].second, _mm256_madd_epi16(high, second));
      }
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

void widen(uint16_t* y, const uint8_t* x, int64_t count) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i), _mm256_cvtepu8_epi16(codes));
  }
  for (; i < count; i++) y[i] = x[i];
}

void clear(uint16_t* y, int64_t count) {
  for (int64_t i = 0; i < count; i++) y[i] = 0;
}

}  // namespace

void conv_dense_avx2(const void* args, int64_t begin, int64_t end) {
  run_units<Dense>(args, begin, end);
}

void conv_depthwise_avx2(const void* args, int64_t begin, int64_t end) {
  run_units<Depthwise>(args, begin, end);
}

#define PLAIN(instruction, name) \
  void name##_avx2(const void* args, int64_t begin, int64_t end) { name##_units(args, begin, end); }
#include "plain_kernels.inc"

void pad_words_avx2(const void* args, int64_t begin, int64_t end) {
  const PadArgs& a = *static_cast<const PadArgs*>(args);
  const Shape& s = a.shape;
  const int64_t wide = a.copy_w * s.c;
  int64_t left = a.pad_left > 0 ? a.pad_left : 0;  // columns of the copy inside x: left to right
  int64_t right = s.w + a.pad_left < a.copy_w ? s.w + a.pad_left : a.copy_w;
  if (right <= left) left = right = a.copy_w;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t row = unit % a.copy_h - a.pad_top;
    uint16_t* y = static_cast<uint16_t*>(a.copy) + unit * wide;
    if (row < 0 || row >= s.h || left >= right) {
      clear(y, wide);
      continue;
    }
    const int64_t picture = unit / a.copy_h * s.h;
    clear(y, left * s.c);
    widen(y + left * s.c, a.x + ((picture + row) * s.w + left - a.pad_left) * s.c,
          (right - left) * s.c);
    clear(y + right * s.c, wide - right * s.c);
  }
}

}  // namespace bittrue
