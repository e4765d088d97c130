// Convolutions for AVX512-VNNI in registers of 256 bits (vpdpbusd in EVEX encoding, AVX512VL): for
// CPUs that lower their clock for 512 bits, and the form in which the source of AVX-VNNI runs where
// there is no AVX-VNNI.
#include "avx512_intrinsics.h"
#include "conv_tiles.h"
#include "kernels.h"
#include "vnni.h"
#include "ymm.h"

namespace bittrue {
namespace {

struct Evex : Ymm {
  static __m256i add_products(__m256i sums, __m256i codes, __m256i weights) {
    return _mm256_dpbusd_epi32(sums, codes, weights);
  }
};

}  // namespace

TILE_KERNEL(conv_dense_avx512vnni256, Dense<Evex, 8>)
TILE_KERNEL(conv_depthwise_avx512vnni256, Depthwise<Evex, 4>)

}  // namespace bittrue
