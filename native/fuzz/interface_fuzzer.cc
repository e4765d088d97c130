// Fuzzes the arguments of the C interface. The first bytes of an input choose them, the rest is a
// file. What the header forbids (null where it is not allowed) is never done.
#include <string.h>

#include <algorithm>
#include <string>

#include "harness.h"
#include "mutate.h"

using namespace bittrue_fuzz;

namespace {

constexpr size_t CHOICE_BYTES = 32;
constexpr uint32_t THREADS[] = {1, 1, 1, 1, 2, 3, 1025, UINT32_MAX};
constexpr uint32_t FLAGS[] = {BITTRUE_COPY, BITTRUE_BORROW, BITTRUE_COPY, BITTRUE_BORROW, 2,
                              UINT32_MAX};
const std::string LONG_NAME(3000, '%');
const char* const ISA_NAMES[] = {nullptr,    "auto",   "scalar", "avx2",     "avx512vnni",     "",
                                 "%n%s%s%s", "Scalar", "scala",  "\xff\xfe", LONG_NAME.c_str()};

// Hands out the first bytes of an input, zeros after their end.
class Choices {
 public:
  explicit Choices(const uint8_t* data) : data_(data) {}
  uint32_t below(uint32_t count) { return at_ < CHOICE_BYTES ? data_[at_++] % count : 0; }
  bool yes() { return below(2) == 1; }
  template <typename T, size_t N>
  T of(const T (&values)[N]) {
    return values[below((uint32_t)N)];
  }

 private:
  const uint8_t* data_;
  size_t at_ = 0;
};

void ask_tables() {
  bittrue_instruction_row row;
  uint32_t rows = 0;
  for (; bittrue_instruction_table(rows, &row); rows++) {
    require(row.name && row.inputs && row.outputs && row.params, "an instruction row is full");
  }
  bittrue_kernel_row kernel;
  uint32_t kernels = 0;
  for (; bittrue_kernel_table(kernels, &kernel); kernels++) {
    require(kernel.name && kernel.isa && kernel.form, "a kernel row is full");
  }
  require(
      !bittrue_instruction_table(UINT32_MAX, &row) && !bittrue_kernel_table(UINT32_MAX, &kernel),
      "tables end");
  require(bittrue_isa_name(UINT32_MAX) == nullptr && !bittrue_isa_available(UINT32_MAX),
          "instruction sets end");
  for (uint32_t inputs = 0; inputs < 5; inputs++) {
    uint32_t index = 0;
    while (bittrue_float_function(inputs, index) != nullptr) index++;
    require((index > 0) == (inputs <= 2), "reductions, functions of one and two inputs");
    require(bittrue_float_function(inputs, UINT32_MAX) == nullptr, "functions end");
  }
  require(bittrue_abi() == BITTRUE_ABI && bittrue_version() != nullptr, "the library's numbers");
}

// No vector, input or tensor `beyond` the end; nor an input of another size.
void ask_vectors(const bittrue_program* program, const bittrue_program_info& info,
                 uint32_t beyond) {
  bittrue_vector_info vector;
  uint8_t byte;
  require(beyond < info.vectors || bittrue_get_vector(program, beyond, &vector) == BITTRUE_USAGE,
          "no vector past the end");
  require(beyond < info.vectors || bittrue_get_hash(program, beyond, 0) == nullptr, "no hash");
  require(bittrue_get_hash(program, 0, std::max(beyond, info.tensors)) == nullptr, "no hash");
  require(beyond < std::max(info.vectors, info.inputs) ||
              (bittrue_fill_input(program, beyond, 0, &byte, 1) == BITTRUE_USAGE &&
               bittrue_fill_input(program, 0, beyond, &byte, 1) == BITTRUE_USAGE),
          "no input of a vector past the end");
  for (const uint64_t nbytes : {(uint64_t)0, UINT64_MAX}) {
    require(info.vectors == 0 || bittrue_fill_input(program, 0, 0, &byte, nbytes) == BITTRUE_DATA,
            "an input of another size is wrong data");
  }
}

void ask_program(const bittrue_program* program) {
  bittrue_program_info info;
  bittrue_get_info(program, &info);
  bittrue_tensor_info tensor;
  for (const uint32_t past : {0u, 1u, 1u << 31, UINT32_MAX}) {
    const uint32_t beyond = UINT32_MAX - past;
    require(beyond < info.tensors || bittrue_get_tensor(program, beyond, &tensor) == BITTRUE_USAGE,
            "no tensor past the end");
    require(beyond < info.inputs || bittrue_get_input(program, beyond) == UINT32_MAX, "no input");
    require(beyond < info.outputs || bittrue_get_output(program, beyond) == UINT32_MAX,
            "no output");
    require(beyond < info.instructions || bittrue_get_kernel(program, beyond) == UINT32_MAX,
            "no kernel");
    require(beyond < info.tensors || bittrue_get_writer(program, beyond) == UINT32_MAX,
            "no writer");
    ask_vectors(program, info, beyond);
  }
  require(bittrue_get_tensor(program, info.tensors, &tensor) == BITTRUE_USAGE, "tensors end");
  require(bittrue_get_input(program, info.inputs) == UINT32_MAX, "inputs end");
  require(bittrue_get_output(program, info.outputs) == UINT32_MAX, "outputs end");
  for (uint32_t i = 0; i < info.instructions; i++) {
    bittrue_kernel_row row;
    require(bittrue_kernel_table(bittrue_get_kernel(program, i), &row) == 1 && row.available,
            "each instruction has a kernel that this CPU runs");
  }
}

// Something wrong with the arguments of a run; false where the program has nothing to spoil.
bool spoil(Call* call, Choices* choices) {
  const uint32_t kind = choices->below(10);
  if (kind >= 6 && call->taps.empty()) return false;
  const uint32_t tap = call->taps.empty() ? 0 : choices->below((uint32_t)call->taps.size());
  switch (kind) {
    case 0:
      call->inputs[0].data = nullptr;
      return true;
    case 1:
      call->inputs.back().nbytes += choices->yes() ? 1 : UINT64_MAX;
      return true;
    case 2:
      call->outputs[0].data = nullptr;
      return true;
    case 3:
      call->outputs.back().nbytes += choices->yes() ? 1 : UINT64_MAX;
      return true;
    case 4:
      call->inputs.pop_back();
      return true;
    case 5:
      call->outputs.push_back(call->outputs[0]);
      return true;
    case 6:
      call->taps[tap].tensor = choices->yes() ? UINT32_MAX : (uint32_t)call->taps.size();
      return true;
    case 7:
      call->taps[tap].data = nullptr;
      return true;
    case 8:
      call->taps[tap].nbytes ^= 1;
      return true;
    default:
      call->taps[tap].nbytes = UINT64_MAX;
      return true;
  }
}

void run_wrong(bittrue_program* program, Choices* choices) {
  Call call(program, 1);
  bittrue_error error;
  bittrue_error* to = choices->yes() ? &error : nullptr;
  if (spoil(&call, choices)) {
    require(call.run(program, to) == BITTRUE_DATA, "wrong arguments are wrong data");
  }
  const auto inputs = (uint32_t)call.inputs.size(), taps = (uint32_t)call.taps.size();
  require(bittrue_run(program, nullptr, inputs, nullptr, 1, nullptr, taps, to) == BITTRUE_DATA,
          "null lists are wrong data");
  require(bittrue_run(program, nullptr, 0, nullptr, 0, nullptr, 0, to) == BITTRUE_DATA,
          "no lists are wrong data");
}

// Twice from new, in another number of threads: all the same. Taps in any order and repeated.
void run_right(bittrue_program* program, const uint8_t* file, size_t size, uint32_t threads) {
  bittrue_error error;
  Call first(program, size);
  require(first.run(program, &error) == BITTRUE_OK, "a program that was opened runs");
  const ProgramPtr other = open_program(file, size, BITTRUE_COPY, nullptr, threads, &error);
  if (other == nullptr) return;
  Call again(other.get(), size);
  require(again.run(other.get(), &error) == BITTRUE_OK, "it runs in threads");
  require(again.agrees(first), "threads and calls before change no byte");
  again.taps.insert(again.taps.end(), again.taps.rbegin(), again.taps.rend());
  require(again.run(other.get(), &error) == BITTRUE_OK, "taps may be repeated");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < CHOICE_BYTES) return 0;
  Choices choices(data);
  const size_t nbytes = size - CHOICE_BYTES;
  const uint32_t shift = choices.below(4) > 0 ? 0 : choices.below(64);
  const uint32_t flags = choices.of(FLAGS), threads = choices.of(THREADS);
  const char* isa = choices.of(ISA_NAMES);
  if (choices.below(16) == 1) ask_tables();
  const bool null_file = choices.below(32) == 1;
  Bytes shifted(shift + nbytes);
  memcpy(shifted.data() + shift, data + CHOICE_BYTES, nbytes);
  const AlignedCopy copy(shifted.data(), shifted.size());
  const uint8_t* file = null_file ? nullptr : copy.data() + shift;
  bittrue_error error;
  if (choices.below(16) == 1) {
    bittrue_program* program = nullptr;
    bittrue_open(file, nbytes, flags, isa, threads, &program, nullptr);
    bittrue_close(program);
  }
  const ProgramPtr program = open_program(file, nbytes, flags, isa, threads, &error);
  const bool refused = flags > 1 || threads > BITTRUE_MAX_THREADS || (null_file && nbytes > 0) ||
                       (flags == BITTRUE_BORROW && shift % 64 != 0);
  require(!refused || (program == nullptr && error.code == BITTRUE_USAGE), "arguments are checked");
  if (program == nullptr) return 0;
  ask_program(program.get());
  run_wrong(program.get(), &choices);
  const bool small = is_small(program.get());
  if (small) {
    run_right(program.get(), file, nbytes, 1 + choices.below(3));
  }
  use_vectors(program.get(), small);  // last: a program may read what a run before it left
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  Random random(seed);
  if (size < CHOICE_BYTES || random.one_in(2)) {
    if (size < CHOICE_BYTES) memset(data + size, 0, CHOICE_BYTES - size), size = CHOICE_BYTES;
    for (uint32_t i = random.below(4) + 1; i > 0; i--) {
      data[random.below(CHOICE_BYTES)] = (uint8_t)random.next();
    }
    return size;
  }
  const Bytes made = mutate(data + CHOICE_BYTES, size - CHOICE_BYTES, &random);
  const size_t put_bytes = put(made, data + CHOICE_BYTES, max_size - CHOICE_BYTES);
  return put_bytes == 0 ? size : CHOICE_BYTES + put_bytes;
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* first, size_t first_size,
                                            const uint8_t* second, size_t second_size, uint8_t* to,
                                            size_t max_size, unsigned) {
  if (first_size < CHOICE_BYTES || second_size < CHOICE_BYTES || max_size < CHOICE_BYTES) return 0;
  memcpy(to, first, CHOICE_BYTES);
  const size_t made = put(join(first + CHOICE_BYTES, first_size - CHOICE_BYTES,
                               second + CHOICE_BYTES, second_size - CHOICE_BYTES),
                          to + CHOICE_BYTES, max_size - CHOICE_BYTES);
  return made == 0 ? 0 : CHOICE_BYTES + made;
}
