// Convolutions for AVX-VNNI: the 256-bit vpdpbusd in VEX encoding, of CPUs without AVX-512 (Alder
// Lake and later). We never ran this encoding on silicon: our test machines do not have it. Its
// source, vnni.h, is run in the other encoding where the CPU has that (kernels_avx512vnni256.cc),
// and on SIMDe (avx512_intrinsics.h) elsewhere.
#include "avx512_intrinsics.h"
#include "conv_tiles.h"
#include "kernels.h"
#include "vnni.h"
#include "ymm.h"

namespace bittrue {
namespace {

struct Vex : Ymm {
  static __m256i add_products(__m256i sums, __m256i codes, __m256i weights) {
#if defined(BITTRUE_EMULATE_AVX512)
    return _mm256_dpbusd_epi32(sums, codes, weights);
#else
    return _mm256_dpbusd_avx_epi32(sums, codes, weights);
#endif
  }
};

}  // namespace

TILE_KERNEL(conv_dense_avxvnni, Dense<Vex, 6>)
TILE_KERNEL(conv_depthwise_avxvnni, Depthwise<Vex, 2>)

}  // namespace bittrue
