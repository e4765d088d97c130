// The kernel table as data, and the choice from it.
#ifndef BITTRUE_DISPATCH_H_
#define BITTRUE_DISPATCH_H_

#include "cpu.h"
#include "kernels.h"
#include "program.h"

namespace bittrue {

enum class Form : uint32_t { GENERAL, DENSE, DEPTHWISE };

struct KernelRow {
  Kind instruction;
  Form form;
  Isa isa;
  Kernel run;
  const PackFormat* format;  // of a kernel of CONV on tiles; else null
  const char* instruction_name;
  const char* form_name;
  const char* name;
};

uint32_t kernel_count();
const KernelRow& kernel_row(uint32_t index);

// The instruction set of a name, "auto" or null meaning the fastest available.
// Throws Failure(BITTRUE_USAGE) that lists the available ones.
Isa choose_isa(const char* name);

// Index of the row for an instruction and form of the fastest available set up to `isa`; -1 if
// there is none.
int32_t find_kernel(Kind instruction, Form form, Isa isa);

}  // namespace bittrue

#endif  // BITTRUE_DISPATCH_H_
