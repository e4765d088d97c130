// Which instruction sets this CPU and its operating system run.
#ifndef BITTRUE_CPU_H_
#define BITTRUE_CPU_H_

#include <stdint.h>

namespace bittrue {

#define ISA(isa, name) isa,
enum class Isa : uint32_t {
#include "isas.inc"
};
#undef ISA

#define ISA(isa, name) +1
constexpr uint32_t ISA_COUNT = 0
#include "isas.inc"
    ;
#undef ISA

const char* isa_name(Isa isa);
bool isa_available(Isa isa);

}  // namespace bittrue

#endif  // BITTRUE_CPU_H_
