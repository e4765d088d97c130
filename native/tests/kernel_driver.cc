// Runs cases (case.h) from standard input, one after the other, until it ends. For each it writes
//
//   u32 code of bittrue_open or bittrue_run, u32 blocks, then the blocks:
//   code 0: the instruction set in use, the kernels' names in lines, the bytes of each tensor as a
//           tap has them, then of each output at the end
//   else:   the error's text
//
// With the argument --isas it prints the instruction sets that this CPU runs, and every row of the
// kernel table as "isa name".
#include <string.h>

#include "case.h"

namespace {

void write_block(const void* from, size_t count) {
  const uint64_t length = count;
  fwrite(&length, sizeof length, 1, stdout);
  fwrite(from, 1, count, stdout);
}

void write_text(const std::string& text) { write_block(text.data(), text.size()); }

void answer(const Opened& opened) {
  const size_t results = opened.bytes().size() + opened.outputs().size();
  const uint32_t blocks = opened.code() == BITTRUE_OK ? (uint32_t)results + 2 : 1u;
  const uint32_t head[2] = {(uint32_t)opened.code(), blocks};
  fwrite(head, sizeof head, 1, stdout);
  if (opened.code() != BITTRUE_OK) return write_text(opened.error());
  std::string kernels;
  for (uint32_t i = 0; i < opened.info().instructions; i++) kernels += opened.kernel(i) + "\n";
  write_text(opened.info().isa);
  write_text(kernels);
  for (const auto& tensor : opened.bytes()) write_block(tensor.data(), tensor.size());
  for (const auto& output : opened.outputs()) write_block(output.data(), output.size());
}

void print_isas() {
  for (uint32_t i = 0; bittrue_isa_name(i) != nullptr; i++) {
    if (bittrue_isa_available(i)) printf("%s\n", bittrue_isa_name(i));
  }
  bittrue_kernel_row row;
  for (uint32_t i = 0; bittrue_kernel_table(i, &row); i++) printf("%s %s\n", row.isa, row.name);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "--isas") == 0) {
    print_isas();
    return 0;
  }
  for (Case next; read_case(stdin, &next);) {
    Opened opened(next, next.threads);
    if (opened.code() == BITTRUE_OK) opened.run(next);
    answer(opened);
    fflush(stdout);
  }
  return 0;
}
