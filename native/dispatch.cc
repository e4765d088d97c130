#include "dispatch.h"

#include <string.h>

#include <string>

#include "bittrue.h"
#include "failure.h"

namespace bittrue {
namespace {

constexpr const char* form_name(Form form) {
  return form == Form::GENERAL ? "general" : form == Form::DENSE ? "dense" : "depthwise";
}

const KernelRow ROWS[] = {
#define ROW(instruction, form, isa, function, format)                           \
  {Kind::instruction,     Form::form, Isa::isa, function, format, #instruction, \
   form_name(Form::form), #function},
#define KERNEL(instruction, form, isa, function) ROW(instruction, form, isa, function, nullptr)
#define TILES(form, isa, function) ROW(CONV, form, isa, function, &function##_format)
#include "kernels.inc"
#undef KERNEL
#undef TILES
#undef ROW
};

std::string available_names() {
  std::string names;
  for (uint32_t i = 0; i < ISA_COUNT; i++) {
    if (!isa_available((Isa)i)) continue;
    if (!names.empty()) names += ", ";
    names += isa_name((Isa)i);
  }
  return names;
}

}  // namespace

uint32_t kernel_count() { return sizeof ROWS / sizeof ROWS[0]; }

const KernelRow& kernel_row(uint32_t index) { return ROWS[index]; }

Isa choose_isa(const char* name) {
  if (name == nullptr || strcmp(name, "auto") == 0) {
    uint32_t best = ISA_COUNT - 1;
    while (!isa_available((Isa)best)) best--;
    return (Isa)best;
  }
  for (uint32_t i = 0; i < ISA_COUNT; i++) {
    if (strcmp(name, isa_name((Isa)i)) != 0) continue;
    if (isa_available((Isa)i)) return (Isa)i;
    fail(BITTRUE_USAGE, BITTRUE_NO_OFFSET, "this CPU does not run instruction set %s; it runs: %s",
         name, available_names().c_str());
  }
  fail(BITTRUE_USAGE, BITTRUE_NO_OFFSET, "no instruction set is called '%.40s'; this CPU runs: %s",
       name, available_names().c_str());
}

int32_t find_kernel(Kind instruction, Form form, Isa isa) {
  int32_t found = -1;
  for (uint32_t i = 0; i < kernel_count(); i++) {
    const KernelRow& row = ROWS[i];
    if (row.instruction != instruction || row.form != form || row.isa > isa) continue;
    if (!isa_available(row.isa)) continue;
    if (found < 0 || row.isa > ROWS[found].isa) found = (int32_t)i;
  }
  return found;
}

}  // namespace bittrue
