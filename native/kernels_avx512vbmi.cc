// Kernels for AVX-512 with VNNI and VBMI: byte permutations across a whole register give depthwise
// tiles of 32 channels in their natural order (half the waste of 64 where channels are few), and a
// table of 256 bytes that is looked up 64 codes at a time. Dense convolutions are those of
// kernels_avx512vnni.cc.
#include <stddef.h>
#include <stdint.h>

#include "avx512_intrinsics.h"
#include "conv_tiles.h"
#include "kernels.h"
#include "plain_elementwise.h"
#include "tile_order.h"
#include "zmm.h"

namespace bittrue {
namespace {

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
constexpr Places in_order() {
  Places places{};
  for (int i = 0; i < 32; i++) places.at[i] = (uint8_t)(i % 16 / 4 * 16 + i / 16 * 4 + i % 4);
  return places;
}

constexpr Places FIRST_TAPS = four_taps(0), SECOND_TAPS = four_taps(16), IN_ORDER = in_order();

// Four pixels by two registers of 16 channels.
struct Depthwise {
  static constexpr PackFormat FORMAT = {32, 4, 1, 1, pad_bytes_scalar, NATURAL.at, false};
  static constexpr int PIXELS = 4;

  static void store(const TileArgs& a, const Spot& spot, int pixel, const __m512i* sums) {
    if (a.f32) return store_floats<Zmm, 2>(a, spot, pixel, sums, FORMAT.order);
    const __m512i words = Zmm::to_words(a, sums, spot.multiplier);
    const __m512i codes = Zmm::to_codes(a, words, words);
    Zmm::store_half(a, spot, pixel,
                    _mm512_castsi512_si256(_mm512_permutexvar_epi8(Zmm::load(IN_ORDER.at), codes)));
  }

  template <int M>
  static void spot(const TileArgs& a, const Spot& spot) {
    const uint8_t* x = spot_codes<Depthwise, uint8_t>(a, spot) + spot.tile * FORMAT.tile;
    const int8_t* w = tile_weights<Depthwise, int8_t>(a, spot);
    const __m512i first = Zmm::load(FIRST_TAPS.at), second = Zmm::load(SECOND_TAPS.at);
    __m512i sums[M][2];
    for (int i = 0; i < M; i++) {
      sums[i][0] = Zmm::load(spot.bias[i]);
      sums[i][1] = Zmm::load(spot.bias[i] + 16);
    }
    for (int64_t step = 0; step < a.run_steps; step++, w += STEP_WEIGHTS<Depthwise>) {
      const int64_t* offset = a.offset + 4 * step;
#pragma GCC unroll 4
      for (int i = 0; i < M; i++) {
        const uint8_t* from = x + i * a.x_pixel;
        const __m512i t01 = join(load_half(from + offset[0]), load_half(from + offset[1]));
        const __m512i t23 = join(load_half(from + offset[2]), load_half(from + offset[3]));
        const __m512i low = _mm512_permutex2var_epi8(t01, first, t23);
        const __m512i high = _mm512_permutex2var_epi8(t01, second, t23);
        sums[i][0] = Zmm::add_products(sums[i][0], low, Zmm::load(w));
        sums[i][1] = Zmm::add_products(sums[i][1], high, Zmm::load(w + 64));
      }
    }
    for (int i = 0; i < M; i++) store(a, spot, i, sums[i]);
  }
};

// As many codes of a run as whole registers hold, through one table: vpermi2b looks up the lower 7
// bits of a code in either half, its highest bit chooses.
inline int64_t look_up(const uint8_t* x, uint8_t* y, int64_t count, const uint8_t* table) {
  const __m512i t0 = Zmm::load(table), t1 = Zmm::load(table + 64);
  const __m512i t2 = Zmm::load(table + 128), t3 = Zmm::load(table + 192);
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m512i codes = Zmm::load(x + i);
    const __m512i low = _mm512_permutex2var_epi8(t0, codes, t1);
    const __m512i high = _mm512_permutex2var_epi8(t2, codes, t3);
    _mm512_storeu_si512(y + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high));
  }
  return i;
}

}  // namespace

TILE_KERNEL(conv_depthwise_avx512vbmi, Depthwise)

void table_avx512vbmi(const void* args, int64_t begin, int64_t end) {
  table_units(args, begin, end, look_up);
}

}  // namespace bittrue
