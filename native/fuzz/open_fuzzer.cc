// Fuzzes the loader, and the kernels behind it: a file is refused with the same words however it is
// opened, or gives the same bytes in every tensor on every instruction set of this CPU.
#include <string.h>

#include "harness.h"
#include "mutate.h"

// libFuzzer's own mutations; not there in the standalone build.
extern "C" __attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t* data, size_t size,
                                                         size_t max_size);

using namespace bittrue_fuzz;

namespace {

// Open once more, as a copy; it must end as the first time, unless memory is short.
void open_again(const uint8_t* data, size_t size, const char* isa, const bittrue_error& before,
                const bittrue_program* first, const Call* wanted) {
  bittrue_error error;
  const ProgramPtr program = open_program(data, size, BITTRUE_COPY, isa, 1, &error);
  if (program == nullptr && error.code == BITTRUE_MEMORY) return;
  require((program != nullptr) == (first != nullptr), "copy and borrow are judged alike");
  if (program == nullptr) {
    require(before.code == BITTRUE_MEMORY || memcmp(&before, &error, sizeof error) == 0,
            "copy and borrow fail with the same words");
    return;
  }
  if (wanted == nullptr) return;
  const Call call(program.get(), size);
  require(call.run(program.get(), &error) == BITTRUE_OK, "a program that was opened runs");
  require(call.agrees(*wanted), "every instruction set gives the same bytes");
  if (const auto untapped = open_program(data, size, BITTRUE_COPY, isa, 1, &error)) {
    call.run_untapped(untapped.get());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const AlignedCopy copy(data, size);
  bittrue_error error;
  const ProgramPtr program = open_program(copy.data(), size, BITTRUE_BORROW, "scalar", 1, &error);
  if (program == nullptr) {
    if (size % 1024 == 0) open_again(data, size, "scalar", error, nullptr, nullptr);
    return 0;
  }
  std::unique_ptr<Call> call;
  const bool small = is_small(program.get());
  if (small) {
    call = std::make_unique<Call>(program.get(), size);
    require(call->run(program.get(), &error) == BITTRUE_OK, "a program that was opened runs");
    require(memcmp(copy.data(), data, size) == 0, "a borrowed file stays as it is");
  }
  use_vectors(program.get(), small);
  for (uint32_t i = 1; bittrue_isa_name(i) != nullptr; i++) {
    if (!bittrue_isa_available(i) || data[CHECKSUM_AT] % 2 != 0) continue;  // half of them: speed
    open_again(data, size, bittrue_isa_name(i), error, program.get(), call.get());
  }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  Random random(seed);
  if (LLVMFuzzerMutate != nullptr && random.one_in(8)) {
    size = LLVMFuzzerMutate(data, size, max_size);
    mend_checksum(data, size);
    return size;
  }
  for (int tries = 0; tries < 4; tries++) {
    if (const size_t made = put(mutate(data, size, &random), data, max_size)) return made;
  }
  return size;
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* first, size_t first_size,
                                            const uint8_t* second, size_t second_size, uint8_t* to,
                                            size_t max_size, unsigned seed) {
  if (LLVMFuzzerMutate != nullptr && seed % 16 != 0) return 0;  // libFuzzer takes another mutation
  return put(join(first, first_size, second, second_size), to, max_size);
}
