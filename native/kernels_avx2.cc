// Kernels for AVX2: plain loops compiled for it, and convolutions. Products of a code and a weight
// are summed in pairs by vpmaddwd on 16 bits, which is exact; vpmaddubsw would saturate (2 * 255 *
// 127 > 32767).
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "conv_tiles.h"
#include "kernels.h"
#include "plain_elementwise.h"
#include "plain_sums.h"
#include "plain_windows.h"
#include "tile_order.h"
#include "ymm.h"

namespace bittrue {
namespace {

// Six pixels by two registers, two registers of weights and one of x fill the 16 that there are.
struct Dense {
  static constexpr PackFormat FORMAT = {16, 2, 2, 2, pad_words_avx2, PAIR_YMM.at, false};
  static constexpr int PIXELS = 6;

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint16_t* x = spot_codes<Dense, uint16_t>(a, spot);
    const int16_t* w = tile_weights<Dense, int16_t>(a, spot);
    __m256i sums[M][2];
    for (int i = 0; i < M; i++) {
      for (int j = 0; j < 2; j++) sums[i][j] = Ymm::load(spot.bias[i] + Ymm::LANES * j);
    }
    for (int64_t run = 0; run < a.runs; run++) {
      const uint16_t* from = x + a.offset[run];
      for (int64_t step = 0; step < a.run_steps; step++, from += 2, w += STEP_WEIGHTS<Dense>) {
        const __m256i first = Ymm::load(w), second = Ymm::load(w + 16);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
          int32_t pair;
          __builtin_memcpy(&pair, from + i * a.x_pixel, sizeof pair);
          const __m256i codes = _mm256_set1_epi32(pair);
          sums[i][0] = _mm256_add_epi32(sums[i][0], _mm256_madd_epi16(codes, first));
          sums[i][1] = _mm256_add_epi32(sums[i][1], _mm256_madd_epi16(codes, second));
        }
      }
    }
    for (int i = 0; i < M; i++) Ymm::store_pair(a, spot, i, sums[i]);
  }
};

// Two taps a step.
struct Depthwise {
  static constexpr PackFormat FORMAT = {16, 2, 2, 1, pad_bytes_scalar, PAIR_YMM.at, false};
  static constexpr int PIXELS = 4;

  static __m256i codes(const uint8_t* x) {
    return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
  }

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = spot_codes<Depthwise, uint8_t>(a, spot) + spot.tile * FORMAT.tile;
    const int16_t* w = tile_weights<Depthwise, int16_t>(a, spot);
    __m256i sums[M][2];
    for (int i = 0; i < M; i++) {
      for (int j = 0; j < 2; j++) sums[i][j] = Ymm::load(spot.bias[i] + Ymm::LANES * j);
    }
    for (int64_t pair = 0; pair < a.run_steps; pair++, w += STEP_WEIGHTS<Depthwise>) {
      const __m256i first = Ymm::load(w), second = Ymm::load(w + 16);
      const uint8_t* even = x + a.offset[2 * pair];
      const uint8_t* odd = x + a.offset[2 * pair + 1];
#pragma GCC unroll 8
      for (int i = 0; i < M; i++) {
        const __m256i left = codes(even + i * a.x_pixel), right = codes(odd + i * a.x_pixel);
        const __m256i low = _mm256_unpacklo_epi16(left, right);
        const __m256i high = _mm256_unpackhi_epi16(left, right);
        sums[i][0] = _mm256_add_epi32(sums[i][0], _mm256_madd_epi16(low, first));
        sums[i][1] = _mm256_add_epi32(sums[i][1], _mm256_madd_epi16(high, second));
      }
    }
    for (int i = 0; i < M; i++) Ymm::store_pair(a, spot, i, sums[i]);
  }
};

}  // namespace

TILE_KERNEL(conv_dense_avx2, Dense)
TILE_KERNEL(conv_depthwise_avx2, Depthwise)

#define PLAIN(instruction, name) \
  void name##_avx2(const void* args, int64_t begin, int64_t end) { name##_units(args, begin, end); }
#include "plain_kernels.inc"

void pad_words_avx2(const void* args, int64_t begin, int64_t end) {
  pad_units<uint16_t>(args, begin, end);
}

}  // namespace bittrue
