// On x86, CPUID says what the CPU has, XGETBV what the operating system saves on a task switch:
// both count. On AArch64 the kernel of the operating system says both in one word.
#include "cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace bittrue {
namespace {

#define ISA(isa, name) name,
constexpr const char* NAMES[] = {
#include "isas.inc"
};
#undef ISA

// A bit for each Isa.
constexpr uint32_t bit(Isa isa) { return 1u << (uint32_t)isa; }

#if defined(__x86_64__)

uint64_t xgetbv() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

// Leaf 7 of CPUID, EAX of its subleaf 1 as well.
struct Leaf7 {
  uint32_t b, c, a1;
};

Leaf7 leaf7() {
  uint32_t a, b, c, d, a1 = 0, b1, c1, d1;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return {0, 0, 0};
  if (a >= 1) __get_cpuid_count(7, 1, &a1, &b1, &c1, &d1);
  return {b, c, a1};
}

// The 256-bit form of AVX-512 takes the whole of its state too: it names registers 16 to 31 and
// masks, and the system saves all of that or none.
uint32_t detect() {
  constexpr uint64_t YMM_STATE = 0x6, ZMM_STATE = 0xe6;  // XCR0: SSE, AVX; opmask, ZMM low and high
  constexpr uint32_t OSXSAVE = 1u << 27, AVX = 1u << 28;  // 1, ECX
  constexpr uint32_t AVX2 = 1u << 5, F = 1u << 16, DQ = 1u << 17, BW = 1u << 30, VL = 1u << 31;
  constexpr uint32_t VBMI = 1u << 1, VNNI = 1u << 11;  // 7, ECX
  constexpr uint32_t AVX_VNNI = 1u << 4;               // 7.1, EAX
  constexpr uint32_t wide = F | DQ | BW | VL;
  uint32_t a, b, c, d;
  uint32_t found = bit(Isa::SCALAR);
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE) || !(c & AVX)) return found;
  const uint64_t saved = xgetbv();
  const Leaf7 has = leaf7();
  if ((saved & YMM_STATE) != YMM_STATE || !(has.b & AVX2)) return found;
  found |= bit(Isa::AVX2);
#if defined(BITTRUE_EMULATE_AVX512)
  // The test build runs the VNNI and AVX-512 sources as SIMDe's emulation, on any CPU with AVX2.
  return found | bit(Isa::AVXVNNI) | bit(Isa::AVX512VNNI256) | bit(Isa::AVX512VNNI) |
         bit(Isa::AVX512VBMI);
#endif
  if (has.a1 & AVX_VNNI) found |= bit(Isa::AVXVNNI);
  if ((saved & ZMM_STATE) != ZMM_STATE || (has.b & wide) != wide || !(has.c & VNNI)) return found;
  found |= bit(Isa::AVX512VNNI256) | bit(Isa::AVX512VNNI);
  if (has.c & VBMI) found |= bit(Isa::AVX512VBMI);
  return found;
}

#elif defined(__aarch64__)

uint32_t detect() {
  constexpr unsigned long ASIMD = 1ul << 1, ASIMDDP = 1ul << 20;  // HWCAP
  const unsigned long has = getauxval(AT_HWCAP);
  uint32_t found = bit(Isa::SCALAR);
  if (!(has & ASIMD)) return found;
  found |= bit(Isa::NEON);
  if (has & ASIMDDP) found |= bit(Isa::NEONDOT);
  return found;
}

#else

uint32_t detect() { return bit(Isa::SCALAR); }

#endif

}  // namespace

const char* isa_name(Isa isa) { return NAMES[(uint32_t)isa]; }

bool isa_available(Isa isa) {
  static const uint32_t found = detect();
  return (found & bit(isa)) != 0;
}

}  // namespace bittrue
