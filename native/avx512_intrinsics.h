// The intrinsics of AVX-512 and the VNNI sets. With BITTRUE_EMULATE_AVX512, for tests on a CPU that
// lacks them: SIMDe's emulation of each, and the two that SIMDe 0.7.4 lacks. That proves the logic
// of the source, not the silicon.
#ifndef BITTRUE_AVX512_INTRINSICS_H_
#define BITTRUE_AVX512_INTRINSICS_H_

#if !defined(BITTRUE_EMULATE_AVX512)
#include <immintrin.h>
#else
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>

namespace {

inline __m512 shim_cvtepi32_ps(__m512i a) {
  int32_t from[16];
  float to[16];
  _mm512_storeu_si512(from, a);
  for (int i = 0; i < 16; i += 8) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    _mm256_storeu_ps(to + i, _mm256_cvtepi32_ps(half));
  }
  return _mm512_loadu_ps(to);
}

inline __m512i shim_cvtps_epi32(__m512 a) {
  float from[16];
  int32_t to[16];
  _mm512_storeu_ps(from, a);
  for (int i = 0; i < 16; i += 8) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i),
                        _mm256_cvtps_epi32(_mm256_loadu_ps(from + i)));
  }
  return _mm512_loadu_si512(to);
}

}  // namespace

#define _mm512_cvtepi32_ps shim_cvtepi32_ps
#define _mm512_cvtps_epi32 shim_cvtps_epi32

#endif

#endif  // BITTRUE_AVX512_INTRINSICS_H_
