// Kernels for AVX-512 with VNNI and VBMI: byte permutations across a whole register give depthwise
// tiles of 32 channels in their natural order (half the waste of 64 where channels are few), and a
// table of 256 bytes that is looked up 64 codes at a time. Dense convolutions are those of
// kernels_avx512vnni.cc.
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
#include "plain_loops.h"

namespace bittrue {
namespace {

inline __m512i load(const void* at) { return _mm512_loadu_si512(at); }

inline __m256i load_half(const void* at) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(at));
}

inline __m512i join(__m256i low, __m256i high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

struct alignas(64) Places {
  uint8_t at[64];
};

// From two registers, (tap 0, tap 1) and (tap 2, tap 3) of 32 channels each: the four bytes of
// channel `first`, of the next one, and so on. Bit 6 names the register.
constexpr Places four_taps(int first) {
  Places places{};
  for (int i = 0; i < 64; i++) {
    places.at[i] = (uint8_t)(i % 4 / 2 * 64 + i % 2 * 32 + first + i / 4);
  }
  return places;
}

// Two registers of 16 sums, packed lane by lane, hold in lane l the codes 4 l to 4 l + 3 and 16 + 4
// l to 16 + 4 l + 3: the place of each code.
constexpr Places natural() {
  Places places{};
  for (int i = 0; i < 32; i++) places.at[i] = (uint8_t)(i % 16 / 4 * 16 + i / 16 * 4 + i % 4);
  return places;
}

constexpr Places FIRST_TAPS = four_taps(0), SECOND_TAPS = four_taps(16), NATURAL = natural();

// As in kernels_avx2.cc.
inline __m512i to_steps(__m512i acc, const float* multiplier) {
  const __m512 t = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(multiplier));
  return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(1048576.0f), t));
}

// Weights [tile][four taps][32][4]. Four pixels by two registers of 16 channels.
struct Depthwise {
  static constexpr int64_t CHANNELS = 32;
  static constexpr int PIXELS = 4;

  static void store_floats(float* y, int64_t channels, const __m512i* sums, const float* m) {
    alignas(64) float part[32];
    float* to = channels == 32 ? y : part;
    _mm512_storeu_ps(to, _mm512_mul_ps(_mm512_cvtepi32_ps(sums[0]), _mm512_loadu_ps(m)));
    _mm512_storeu_ps(to + 16, _mm512_mul_ps(_mm512_cvtepi32_ps(sums[1]), _mm512_loadu_ps(m + 16)));
    if (to == y) return;
    for (int64_t i = 0; i < channels; i++) y[i] = part[i];
  }

  static void store(const TileArgs& a, const Spot& spot, int pixel, const __m512i* sums) {
    const float* m = a.multiplier + spot.tile * 32;
    const int64_t at = spot.y + pixel * a.o;
    if (a.f32) return store_floats(static_cast<float*>(a.y) + at, spot.channels, sums, m);
    const __m512i steps =
        _mm512_adds_epi16(_mm512_packs_epi32(to_steps(sums[0], m), to_steps(sums[1], m + 16)),
                          _mm512_set1_epi16((int16_t)a.range.zero_point));
    const __m512i packed = _mm512_packus_epi16(steps, steps);
    __m256i codes = _mm512_castsi512_si256(_mm512_permutexvar_epi8(load(NATURAL.at), packed));
    codes = _mm256_max_epu8(codes, _mm256_set1_epi8((char)a.range.lo));
    codes = _mm256_min_epu8(codes, _mm256_set1_epi8((char)a.range.hi));
    uint8_t* y = static_cast<uint8_t*>(a.y) + at;
    alignas(32) uint8_t part[32];
    uint8_t* to = spot.channels == 32 ? y : part;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), codes);
    if (to == y) return;
    for (int64_t i = 0; i < spot.channels; i++) y[i] = part[i];
  }

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = static_cast<const uint8_t*>(a.x) + spot.x + spot.tile * 32;
    const int8_t* w = static_cast<const int8_t*>(a.weight) + spot.tile * a.run_steps * 128;
    const __m512i first = load(FIRST_TAPS.at), second = load(SECOND_TAPS.at);
    __m512i sums[M][2];
    for (int i = 0; i < M; i++) {
      sums[i][0] = load(spot.bias[i]);
      sums[i][1] = load(spot.bias[i] + 16);
    }
    for (int64_t step = 0; step < a.run_steps; step++, w += 128) {
      const int64_t* offset = a.offset + 4 * step;
#pragma GCC unroll 4
      for (int i = 0; i < M; i++) {
        const uint8_t* from = x + i * a.x_pixel;
        const __m512i t01 = join(load_half(from + offset[0]), load_half(from + offset[1]));
        const __m512i t23 = join(load_half(from + offset[2]), load_half(from + offset[3]));
        const __m512i low = _mm512_permutex2var_epi8(t01, first, t23);
        const __m512i high = _mm512_permutex2var_epi8(t01, second, t23);
        sums[i][0] = _mm512_dpbusd_epi32(sums[i][0], low, load(w));
        sums[i][1] = _mm512_dpbusd_epi32(sums[i][1], high, load(w + 64));
      }
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

// As many codes of a run as whole registers hold, through one table: vpermi2b looks up the lower 7
// bits of a code in either half, its highest bit chooses.
inline int64_t look_up(const uint8_t* x, uint8_t* y, int64_t count, const uint8_t* table) {
  const __m512i t0 = load(table), t1 = load(table + 64);
  const __m512i t2 = load(table + 128), t3 = load(table + 192);
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m512i codes = load(x + i);
    const __m512i low = _mm512_permutex2var_epi8(t0, codes, t1);
    const __m512i high = _mm512_permutex2var_epi8(t2, codes, t3);
    _mm512_storeu_si512(y + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high));
  }
  return i;
}

}  // namespace

void conv_depthwise_avx512vbmi(const void* args, int64_t begin, int64_t end) {
  run_units<Depthwise>(args, begin, end);
}

void table_avx512vbmi(const void* args, int64_t begin, int64_t end) {
  table_units(args, begin, end, look_up);
}

}  // namespace bittrue
