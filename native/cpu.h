// Which instruction sets this CPU and its operating system run.
#ifndef BITTRUE_CPU_H_
#define BITTRUE_CPU_H_

#include <stdint.h>

namespace bittrue {

// Slowest first within an architecture; each also runs the kernels of those before it that the CPU
// has.
enum class Isa : uint32_t {
  SCALAR,
  AVX2,
  AVXVNNI,
  AVX512VNNI256,
  AVX512VNNI,
  AVX512VBMI,
  NEON,
  NEONDOT
};
constexpr uint32_t ISA_COUNT = 8;

const char* isa_name(Isa isa);
bool isa_available(Isa isa);

}  // namespace bittrue

#endif  // BITTRUE_CPU_H_
