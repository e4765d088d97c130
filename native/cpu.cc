// CPUID says what the CPU has, XGETBV what the operating system saves on a task switch: both count.
#include "cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace bittrue {
namespace {

#if defined(__x86_64__)

struct Features {
  bool avx2, avx512vnni;
};

uint64_t xgetbv() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

Features detect() {
  constexpr uint64_t YMM_STATE = 0x6, ZMM_STATE = 0xe6;  // XCR0: SSE, AVX; opmask, ZMM low and high
  constexpr uint32_t OSXSAVE = 1u << 27, AVX = 1u << 28;  // 1, ECX
  constexpr uint32_t AVX2 = 1u << 5, F = 1u << 16, DQ = 1u << 17, BW = 1u << 30, VL = 1u << 31;
  constexpr uint32_t VNNI = 1u << 11;  // 7, ECX
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE) || !(c & AVX)) return {};
  const uint64_t saved = xgetbv();
  if ((saved & YMM_STATE) != YMM_STATE || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return {};
  const uint32_t wide = F | DQ | BW | VL;
  const bool avx2 = (b & AVX2) != 0;
  const bool zmm = (saved & ZMM_STATE) == ZMM_STATE;
  return {avx2, avx2 && zmm && (b & wide) == wide && (c & VNNI) != 0};
}

const Features& features() {
  static const Features found = detect();
  return found;
}

#endif

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::SCALAR:
      return "scalar";
    case Isa::AVX2:
      return "avx2";
    case Isa::AVX512VNNI:
      return "avx512vnni";
  }
  return nullptr;
}

bool isa_available(Isa isa) {
  if (isa == Isa::SCALAR) return true;
#if defined(__x86_64__)
#if defined(BITTRUE_EMULATE_AVX512)
  // The test build runs the AVX-512 sources as SIMDe's emulation, on any CPU that has AVX2.
  return features().avx2;
#else
  return isa == Isa::AVX2 ? features().avx2 : features().avx512vnni;
#endif
#else
  return false;
#endif
}

}  // namespace bittrue
