// Convolutions for AVX512-VNNI in registers of 256 bits (vpdpbusd in EVEX encoding, AVX512VL): for
// CPUs that lower their clock for 512 bits, and the form in which the source of AVX-VNNI
// (vnni_ymm.h) runs where there is no AVX-VNNI.
//
// On a CPU without AVX-512 the tests build this file on SIMDe (simde_shim.h).
#include <stddef.h>
#include <stdint.h>

#if defined(BITTRUE_EMULATE_AVX512)
#include "simde_shim.h"
#else
#include <immintrin.h>
#endif

#include "kernels.h"

namespace bittrue {
namespace {

inline __m256i add_products(__m256i sums, __m256i codes, __m256i weights) {
  return _mm256_dpbusd_epi32(sums, codes, weights);
}

}  // namespace
}  // namespace bittrue

#include "vnni_ymm.h"

namespace bittrue {

void conv_dense_avx512vnni256(const void* args, int64_t begin, int64_t end) {
  run_units<DenseYmm<8>>(args, begin, end);
}

void conv_depthwise_avx512vnni256(const void* args, int64_t begin, int64_t end) {
  run_units<DepthwiseYmm<4>>(args, begin, end);
}

}  // namespace bittrue
