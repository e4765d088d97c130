// Convolutions for AVX-VNNI: the 256-bit vpdpbusd in VEX encoding, of CPUs without AVX-512 (Alder
// Lake and later, Zen 5 too). We never ran this file on a CPU that has it: the source is
// vnni_ymm.h, which runs on silicon in its EVEX encoding (kernels_avx512vnni256.cc), and the tests
// run it on SIMDe.
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
#if defined(BITTRUE_EMULATE_AVX512)
  return _mm256_dpbusd_epi32(sums, codes, weights);
#else
  return _mm256_dpbusd_avx_epi32(sums, codes, weights);
#endif
}

}  // namespace
}  // namespace bittrue

#include "vnni_ymm.h"

namespace bittrue {

void conv_dense_avxvnni(const void* args, int64_t begin, int64_t end) {
  run_units<DenseYmm<6>>(args, begin, end);
}

void conv_depthwise_avxvnni(const void* args, int64_t begin, int64_t end) {
  run_units<DepthwiseYmm<2>>(args, begin, end);
}

}  // namespace bittrue
