// Convolutions for AVX-512 with VNNI: vpdpbusd adds four products of an unsigned code and a signed
// weight to each 32-bit sum, without saturation on the way.
//
// On a CPU without AVX-512 the tests build this file on SIMDe (simde_shim.h).
#include <stddef.h>
#include <stdint.h>

#if defined(BITTRUE_EMULATE_AVX512)
#include "simde_shim.h"
#else
#include <immintrin.h>
#endif

#include "conv_tiles.h"
#include "kernels.h"

namespace bittrue {
namespace {

inline __m512i load(const void* at) { return _mm512_loadu_si512(at); }

// As in kernels_avx2.cc.
inline __m512i to_steps(__m512i acc, const float* multiplier) {
  const __m512 t = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(multiplier));
  return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(1048576.0f), t));
}

// Two registers of 16 steps to 32 sums of 16 bits, lane by lane, with the zero point.
inline __m512i to_words(const TileArgs& a, __m512i first, __m512i second) {
  return _mm512_adds_epi16(_mm512_packs_epi32(first, second),
                           _mm512_set1_epi16((int16_t)a.range.zero_point));
}

inline __m512i clip(const TileArgs& a, __m512i codes) {
  codes = _mm512_max_epu8(codes, _mm512_set1_epi8((char)a.range.lo));
  return _mm512_min_epu8(codes, _mm512_set1_epi8((char)a.range.hi));
}

// sums [registers * 16] to floats, channel by channel; order: place -> channel.
template <int REGISTERS>
void store_floats(const TileArgs& a, const Spot& spot, int pixel, const __m512i* sums,
                  int64_t (*channel_at)(int64_t place)) {
  constexpr int64_t CHANNELS = REGISTERS * 16;
  const float* multiplier = a.multiplier + spot.tile * CHANNELS;
  float* y = static_cast<float*>(a.y) + spot.y + pixel * a.o;
  alignas(64) float part[CHANNELS];
  for (int i = 0; i < REGISTERS; i++) {
    _mm512_storeu_ps(part + i * 16, _mm512_mul_ps(_mm512_cvtepi32_ps(sums[i]),
                                                  _mm512_loadu_ps(multiplier + i * 16)));
  }
  for (int64_t place = 0; place < CHANNELS; place++) {
    const int64_t channel = channel_at(place);
    if (channel < spot.channels) y[channel] = part[place];
  }
}

// The first spot.channels of the bytes of `codes`.
template <int64_t CHANNELS>
void store_bytes(const TileArgs& a, const Spot& spot, int pixel, __m512i codes) {
  uint8_t* y = static_cast<uint8_t*>(a.y) + spot.y + pixel * a.o;
  alignas(64) uint8_t part[64];
  if constexpr (CHANNELS == 64) {
    if (spot.channels == 64) return _mm512_storeu_si512(y, codes);
  } else {
    if (spot.channels == 32) {
      return _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), _mm512_castsi512_si256(codes));
    }
  }
  _mm512_storeu_si512(part, codes);
  for (int64_t i = 0; i < spot.channels; i++) y[i] = part[i];
}

// Weights [tile][run][step][32][4]. Eight pixels by two registers.
struct Dense {
  static constexpr int64_t CHANNELS = 32;
  static constexpr int PIXELS = 8;

  // Lane l of the two registers holds channels 8 l to 8 l + 3, and 8 l + 4 to 8 l + 7 (pack.cc).
  static int64_t channel_at(int64_t place) {
    return place % 16 / 4 * 8 + place / 16 * 4 + place % 4;
  }

  static void store(const TileArgs& a, const Spot& spot, int pixel, const __m512i* sums) {
    if (a.f32) return store_floats<2>(a, spot, pixel, sums, channel_at);
    const float* multiplier = a.multiplier + spot.tile * 32;
    const __m512i words =
        to_words(a, to_steps(sums[0], multiplier), to_steps(sums[1], multiplier + 16));
    // Each lane now has its eight codes twice; take the even halves.
    const __m512i evens = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i codes = _mm512_permutexvar_epi64(evens, _mm512_packus_epi16(words, words));
    store_bytes<32>(a, spot, pixel, clip(a, codes));
  }

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = static_cast<const uint8_t*>(a.x) + spot.x;
    const int8_t* w = static_cast<const int8_t*>(a.weight) + spot.tile * a.runs * a.run_steps * 128;
    __m512i sums[M][2];
    for (int i = 0; i < M; i++) {
      sums[i][0] = load(spot.bias[i]);
      sums[i][1] = load(spot.bias[i] + 16);
    }
    for (int64_t run = 0; run < a.runs; run++) {
      const uint8_t* from = x + a.offset[run];
      for (int64_t step = 0; step < a.run_steps; step++, from += 4, w += 128) {
        const __m512i first = load(w), second = load(w + 64);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
          int32_t four;
          __builtin_memcpy(&four, from + i * a.x_pixel, sizeof four);
          const __m512i codes = _mm512_set1_epi32(four);
          sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], codes, first);
          sums[i][1] = _mm512_dpbusd_epi32(sums[i][1], codes, second);
        }
      }
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

// Weights [tile][four taps][64][4]. Four taps of 64 channels are interleaved to one dword a
// channel: four registers of sums, register j with channels 16 l + 4 j to 16 l + 4 j + 3 in lane l.
struct Depthwise {
  static constexpr int64_t CHANNELS = 64;
  static constexpr int PIXELS = 4;

  static int64_t channel_at(int64_t place) {
    return place % 16 / 4 * 16 + place / 16 * 4 + place % 4;
  }

  static void store(const TileArgs& a, const Spot& spot, int pixel, const __m512i* sums) {
    if (a.f32) return store_floats<4>(a, spot, pixel, sums, channel_at);
    const float* m = a.multiplier + spot.tile * 64;
    const __m512i low = to_words(a, to_steps(sums[0], m), to_steps(sums[1], m + 16));
    const __m512i high = to_words(a, to_steps(sums[2], m + 32), to_steps(sums[3], m + 48));
    store_bytes<64>(a, spot, pixel, clip(a, _mm512_packus_epi16(low, high)));
  }

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = static_cast<const uint8_t*>(a.x) + spot.x + spot.tile * 64;
    const int8_t* w = static_cast<const int8_t*>(a.weight) + spot.tile * a.run_steps * 256;
    __m512i sums[M][4];
    for (int i = 0; i < M; i++) {
      for (int j = 0; j < 4; j++) sums[i][j] = load(spot.bias[i] + 16 * j);
    }
    for (int64_t step = 0; step < a.run_steps; step++, w += 256) {
      const int64_t* offset = a.offset + 4 * step;
#pragma GCC unroll 4
      for (int i = 0; i < M; i++) {
        const uint8_t* from = x + i * a.x_pixel;
        const __m512i t0 = load(from + offset[0]), t1 = load(from + offset[1]);
        const __m512i t2 = load(from + offset[2]), t3 = load(from + offset[3]);
        const __m512i low01 = _mm512_unpacklo_epi8(t0, t1), low23 = _mm512_unpacklo_epi8(t2, t3);
        const __m512i high01 = _mm512_unpackhi_epi8(t0, t1), high23 = _mm512_unpackhi_epi8(t2, t3);
        const __m512i taps[4] = {
            _mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
            _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)};
        for (int j = 0; j < 4; j++) {
          sums[i][j] = _mm512_dpbusd_epi32(sums[i][j], taps[j], load(w + 64 * j));
        }
      }
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

}  // namespace

void conv_dense_avx512vnni(const void* args, int64_t begin, int64_t end) {
  run_units<Dense>(args, begin, end);
}

void conv_depthwise_avx512vnni(const void* args, int64_t begin, int64_t end) {
  run_units<Depthwise>(args, begin, end);
}

}  // namespace bittrue
