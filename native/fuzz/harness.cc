#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "mutate.h"

// Arenas and packed weights that a file asks for are refused by the allocator above 64 MB, as they
// would be by a small machine; a short quarantine keeps the memory of millions of opens small.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
  return "allocator_may_return_null=1:max_allocation_size_mb=64:quarantine_size_mb=4:"
         "detect_stack_use_after_return=0:malloc_context_size=2:max_malloc_fill_size=0";
}

extern "C" __attribute__((visibility("default"))) const char* __ubsan_default_options() {
  return "print_stacktrace=1";
}

namespace bittrue_fuzz {
namespace {

constexpr uint64_t MOST_BYTES = 1 << 18;
constexpr uint64_t MOST_WORK = 1 << 26;
constexpr uint32_t MOST_VECTORS = 2;  // that are run
constexpr size_t HASH_BYTES = 32;

bool is_utf8(const char* text) {
  for (const auto* at = reinterpret_cast<const uint8_t*>(text); *at != 0;) {
    const int more = *at < 0x80 ? 0 : *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : *at >= 0xc2 ? 1 : -1;
    if (more < 0 || *at > 0xf4) return false;
    at++;
    for (int i = 0; i < more; i++, at++) {
      if ((*at & 0xc0) != 0x80) return false;
    }
  }
  return true;
}

// The inputs of a vector are the same each time, and the program runs on them.
void run_vector(bittrue_program* program, uint32_t vector) {
  Call call(program, vector);
  call.take_inputs(program, vector);
  const Call::Inputs first = call.inputs;
  call.take_inputs(program, vector);
  for (size_t i = 0; i < first.size(); i++) {
    require(memcmp(first[i].data, call.inputs[i].data, first[i].nbytes) == 0,
            "a vector's inputs are the same again");
  }
  bittrue_error error;
  require(call.run(program, &error) == BITTRUE_OK, "a program runs on its vectors");
}

}  // namespace

void require(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "does not hold: %s\n", what);
  abort();
}

AlignedCopy::AlignedCopy(const uint8_t* file, size_t nbytes) {
  void* block = nullptr;
  require(posix_memalign(&block, 64, nbytes) == 0, "memory for a copy of the file");
  block_.reset(static_cast<uint8_t*>(block));
  if (nbytes > 0) memcpy(block, file, nbytes);
}

void AlignedCopy::Free::operator()(uint8_t* block) const { free(block); }

ProgramPtr open_program(const uint8_t* file, size_t nbytes, uint32_t flags, const char* isa,
                        uint32_t threads, bittrue_error* error) {
  memset(error, 0x5a, sizeof *error);
  bittrue_program* program = nullptr;
  const int32_t code = bittrue_open(file, nbytes, flags, isa, threads, &program, error);
  require((code == BITTRUE_OK) == (program != nullptr), "a program if and only if it was opened");
  require(code >= BITTRUE_OK && code < BITTRUE_INTERNAL, "no internal error");
  if (code == BITTRUE_OK) return ProgramPtr(program);
  require(error->code == code && error->reserved == 0, "the error has the code returned");
  require(memchr(error->text, 0, sizeof error->text) != nullptr, "the error's text ends");
  require(error->text[0] != 0 && is_utf8(error->text), "the error's text is UTF-8");
  require(code != BITTRUE_FORMAT || error->offset <= nbytes, "the wrong byte is in the file");
  return nullptr;
}

bool is_small(const bittrue_program* program) {
  bittrue_program_info info;
  bittrue_get_info(program, &info);
  uint64_t nbytes = 0;
  for (uint32_t i = 0; i < info.tensors; i++) {
    bittrue_tensor_info tensor;
    require(bittrue_get_tensor(program, i, &tensor) == BITTRUE_OK, "every tensor is told");
    nbytes += tensor.nbytes;
    if (nbytes > MOST_BYTES) return false;
  }
  return info.instructions == 0 || nbytes * nbytes <= MOST_WORK / info.instructions;
}

Call::Call(const bittrue_program* program, uint64_t seed) {
  bittrue_program_info info;
  bittrue_get_info(program, &info);
  bittrue_tensor_info tensor;
  Random random(seed);
  for (uint32_t i = 0; i < info.inputs; i++) {
    bittrue_get_tensor(program, bittrue_get_input(program, i), &tensor);
    uint8_t* data = block(tensor.nbytes);
    for (uint64_t at = 0; at < tensor.nbytes; at++) data[at] = (uint8_t)random.next();
    inputs.push_back({data, tensor.nbytes});
  }
  uint64_t total = 0;
  for (uint32_t i = 0; i < info.outputs; i++) {
    bittrue_get_tensor(program, bittrue_get_output(program, i), &tensor);
    outputs.push_back({nullptr, tensor.nbytes});
    total += tensor.nbytes;
  }
  for (uint32_t i = 0; i < info.tensors; i++) {
    bittrue_get_tensor(program, i, &tensor);
    taps.push_back({i, 0, nullptr, tensor.nbytes});
    total += tensor.nbytes;
  }
  received_ = {block(total), total};
  auto* at = static_cast<uint8_t*>(received_.data);
  for (bittrue_output& output : outputs) output.data = at, at += output.nbytes;
  for (bittrue_tap& tap : taps) tap.data = at, at += tap.nbytes;
}

int32_t Call::run(bittrue_program* program, bittrue_error* error) const {
  return bittrue_run(program, inputs.data(), (uint32_t)inputs.size(), outputs.data(),
                     (uint32_t)outputs.size(), taps.data(), (uint32_t)taps.size(), error);
}

void Call::run_untapped(bittrue_program* program) const {
  std::vector<Bytes> found;
  std::vector<bittrue_output> to;
  for (const bittrue_output& output : outputs) found.emplace_back((size_t)output.nbytes);
  for (Bytes& bytes : found) to.push_back({bytes.data(), bytes.size()});
  const auto count = (uint32_t)inputs.size();
  require(bittrue_run(program, inputs.data(), count, to.data(), (uint32_t)to.size(), nullptr, 0,
                      nullptr) == BITTRUE_OK,
          "a program runs without taps");
  for (size_t i = 0; i < found.size(); i++) {
    require(memcmp(found[i].data(), outputs[i].data, found[i].size()) == 0,
            "taps change no output");
  }
}

bool Call::agrees(const Call& other) const {
  return received_.nbytes == other.received_.nbytes &&
         memcmp(received_.data, other.received_.data, received_.nbytes) == 0;
}

void Call::take_inputs(const bittrue_program* program, uint32_t vector) {
  for (uint32_t i = 0; i < inputs.size(); i++) {
    uint8_t* data = block(inputs[i].nbytes);
    require(bittrue_fill_input(program, vector, i, data, inputs[i].nbytes) == BITTRUE_OK,
            "a vector gives every input");
    inputs[i].data = data;
  }
}

uint8_t* Call::block(uint64_t nbytes) {
  blocks_.emplace_back(new uint8_t[nbytes]);
  return blocks_.back().get();
}

void use_vectors(bittrue_program* program, bool small) {
  bittrue_program_info info;
  bittrue_get_info(program, &info);
  bittrue_vector_info vector;
  require(bittrue_get_vector(program, info.vectors, &vector) == BITTRUE_USAGE, "vectors end");
  for (uint32_t v = 0; v < std::min(info.vectors, MOST_VECTORS); v++) {
    require(bittrue_get_vector(program, v, &vector) == BITTRUE_OK, "every vector is told");
    require(vector.pattern <= BITTRUE_HIGHEST && vector.reserved == 0, "its pattern is one");
    require(vector.pattern == BITTRUE_RANDOM || vector.seed == 0, "a seed is for random ones");
    uint32_t sum = 0;  // every hash is read, so that the sanitizer sees where it lies
    for (uint32_t i = 0; i <= info.tensors; i++) {
      bittrue_tensor_info tensor;
      const bool hashed =
          bittrue_get_tensor(program, i, &tensor) == BITTRUE_OK && tensor.constant == 0;
      const uint8_t* hash = bittrue_get_hash(program, v, i);
      require((hash != nullptr) == hashed, "a hash for each tensor in the arena");
      for (size_t at = 0; hashed && at < HASH_BYTES; at++) sum += hash[at];
    }
    require(sum <= UINT8_MAX * HASH_BYTES * info.tensors, "hashes are of bytes");
    if (small) run_vector(program, v);
  }
}

size_t put(const Bytes& mutated, uint8_t* data, size_t max_size) {
  if (mutated.empty() || mutated.size() > max_size) return 0;
  memcpy(data, mutated.data(), mutated.size());
  return mutated.size();
}

}  // namespace bittrue_fuzz
