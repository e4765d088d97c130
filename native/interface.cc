// The C interface: arguments to the engine's classes, exceptions to codes.
#include <stdio.h>
#include <string.h>

#include <exception>
#include <memory>
#include <new>

#include "bittrue.h"
#include "cpu.h"
#include "dispatch.h"
#include "execute.h"
#include "failure.h"
#include "vectors.h"

struct bittrue_program {
  bittrue::Engine engine;
};

namespace {

// What a caller was compiled with, where pointers have eight bytes: never changed within one ABI.
static_assert(sizeof(void*) != 8 || sizeof(bittrue_error) == 512);
static_assert(sizeof(void*) != 8 || sizeof(bittrue_instruction_row) == 40);
static_assert(sizeof(void*) != 8 || sizeof(bittrue_kernel_row) == 40);
static_assert(sizeof(void*) != 8 || sizeof(bittrue_program_info) == 56);
static_assert(sizeof(void*) != 8 || sizeof(bittrue_tensor_info) == 64);
static_assert(sizeof(void*) != 8 || sizeof(bittrue_input) == 16);
static_assert(sizeof(void*) != 8 || sizeof(bittrue_output) == 16);
static_assert(sizeof(void*) != 8 || sizeof(bittrue_tap) == 24);
static_assert(sizeof(void*) != 8 || sizeof(bittrue_vector_info) == 16);

int32_t report(bittrue_error* error, int32_t code, uint64_t offset, const char* text) {
  if (error != nullptr) {
    *error = {code, 0, offset, {}};
    snprintf(error->text, sizeof error->text, "%s", text);
  }
  return code;
}

// Call `body`; whatever it throws becomes a code.
template <typename Body>
int32_t guarded(bittrue_error* error, const Body& body) {
  try {
    body();
    return BITTRUE_OK;
  } catch (const bittrue::Failure& failure) {
    return report(error, failure.code, failure.offset, failure.text.c_str());
  } catch (const std::bad_alloc&) {
    return report(error, BITTRUE_MEMORY, BITTRUE_NO_OFFSET, "the system gives no more memory");
  } catch (const std::exception& other) {
    return report(error, BITTRUE_INTERNAL, BITTRUE_NO_OFFSET, other.what());
  } catch (...) {
    return report(error, BITTRUE_INTERNAL, BITTRUE_NO_OFFSET, "an unknown exception");
  }
}

template <size_t COUNT>
const char* name_at(const char* const (&names)[COUNT], uint32_t index) {
  return index < COUNT ? names[index] : nullptr;
}

}  // namespace

extern "C" {

uint32_t bittrue_abi(void) { return BITTRUE_ABI; }

const char* bittrue_version(void) { return BITTRUE_VERSION; }

const char* bittrue_isa_name(uint32_t index) {
  return index < bittrue::ISA_COUNT ? bittrue::isa_name((bittrue::Isa)index) : nullptr;
}

int32_t bittrue_isa_available(uint32_t index) {
  return index < bittrue::ISA_COUNT && bittrue::isa_available((bittrue::Isa)index);
}

int32_t bittrue_instruction_table(uint32_t index, bittrue_instruction_row* row) {
  if (index >= std::size(bittrue::INSTRUCTIONS)) return 0;
  const bittrue::InstructionRow& from = bittrue::INSTRUCTIONS[index];
  *row = {from.name, (uint32_t)from.kind, 0, from.inputs, from.outputs, from.params};
  return 1;
}

const char* bittrue_float_function(uint32_t inputs, uint32_t index) {
  if (inputs == 0) return name_at(bittrue::REDUCTIONS, index);
  if (inputs == 1) return name_at(bittrue::UNARY_FUNCTIONS, index);
  return inputs == 2 ? name_at(bittrue::BINARY_FUNCTIONS, index) : nullptr;
}

int32_t bittrue_kernel_table(uint32_t index, bittrue_kernel_row* row) {
  if (index >= bittrue::kernel_count()) return 0;
  const bittrue::KernelRow& from = bittrue::kernel_row(index);
  *row = {from.instruction_name,
          from.form_name,
          bittrue::isa_name(from.isa),
          from.name,
          bittrue::isa_available(from.isa),
          0};
  return 1;
}

int32_t bittrue_open(const void* file, uint64_t nbytes, uint32_t flags, const char* isa,
                     uint32_t threads, bittrue_program** program, bittrue_error* error) {
  *program = nullptr;
  return guarded(error, [&] {
    if (flags > BITTRUE_BORROW || threads > BITTRUE_MAX_THREADS ||
        (file == nullptr && nbytes > 0)) {
      bittrue::fail(BITTRUE_USAGE, BITTRUE_NO_OFFSET,
                    "flags %u, threads %u, file %p: at most 1, at most %u, not null", flags,
                    threads, file, BITTRUE_MAX_THREADS);
    }
    const bool copy = flags == BITTRUE_COPY;
    if (!copy && reinterpret_cast<uintptr_t>(file) % 64 != 0) {
      bittrue::fail(BITTRUE_USAGE, BITTRUE_NO_OFFSET,
                    "a borrowed file must lie at a multiple of 64, not at %p", file);
    }
    const bittrue::OpenOptions options{copy, bittrue::choose_isa(isa), threads};
    const uint8_t nothing = 0;
    const auto* bytes = file == nullptr ? &nothing : static_cast<const uint8_t*>(file);
    *program = new bittrue_program{{bytes, nbytes, options}};
  });
}

void bittrue_close(bittrue_program* program) { delete program; }

void bittrue_get_info(const bittrue_program* program, bittrue_program_info* info) {
  const bittrue::Program& read = program->engine.program();
  const bittrue::Plan& plan = program->engine.plan();
  *info = {(uint32_t)read.tensors.size(),
           (uint32_t)read.instructions.size(),
           (uint32_t)read.inputs.size(),
           (uint32_t)read.outputs.size(),
           program->engine.threads(),
           read.vectors.count,
           bittrue::isa_name(program->engine.isa()),
           plan.arena.nbytes(),
           plan.scratch.nbytes(),
           plan.packed_bytes};
}

int32_t bittrue_get_tensor(const bittrue_program* program, uint32_t tensor,
                           bittrue_tensor_info* info) {
  const bittrue::Program& read = program->engine.program();
  if (tensor >= read.tensors.size()) return BITTRUE_USAGE;
  const bittrue::Tensor& from = read.tensors[tensor];
  *info = {from.name.c_str(),
           from.dtype,
           from.rank,
           {},
           from.nbytes,
           from.scale,
           from.zero_point,
           read.buffers[from.buffer].constant,
           0};
  memcpy(info->dims, from.dims, sizeof info->dims);
  return BITTRUE_OK;
}

uint32_t bittrue_get_input(const bittrue_program* program, uint32_t index) {
  const auto& inputs = program->engine.program().inputs;
  return index < inputs.size() ? inputs[index] : UINT32_MAX;
}

uint32_t bittrue_get_output(const bittrue_program* program, uint32_t index) {
  const auto& outputs = program->engine.program().outputs;
  return index < outputs.size() ? outputs[index] : UINT32_MAX;
}

uint32_t bittrue_get_kernel(const bittrue_program* program, uint32_t instruction) {
  const auto& kernels = program->engine.plan().kernels;
  return instruction < kernels.size() ? kernels[instruction] : UINT32_MAX;
}

uint32_t bittrue_get_writer(const bittrue_program* program, uint32_t tensor) {
  const bittrue::Program& read = program->engine.program();
  if (tensor >= read.tensors.size()) return UINT32_MAX;
  return program->engine.plan().last_writer[read.tensors[tensor].buffer];
}

int32_t bittrue_get_vector(const bittrue_program* program, uint32_t vector,
                           bittrue_vector_info* info) {
  const bittrue::Vectors& vectors = program->engine.program().vectors;
  if (vector >= vectors.count) return BITTRUE_USAGE;
  *info = bittrue::vector_info(vectors, vector);
  return BITTRUE_OK;
}

int32_t bittrue_fill_input(const bittrue_program* program, uint32_t vector, uint32_t input,
                           void* data, uint64_t nbytes) {
  const bittrue::Program& read = program->engine.program();
  if (vector >= read.vectors.count || input >= read.inputs.size()) return BITTRUE_USAGE;
  if (nbytes != read.tensors[read.inputs[input]].nbytes) return BITTRUE_DATA;
  bittrue::fill_input(read, vector, input, data);
  return BITTRUE_OK;
}

const uint8_t* bittrue_get_hash(const bittrue_program* program, uint32_t vector, uint32_t tensor) {
  return bittrue::find_hash(program->engine.program().vectors, vector, tensor);
}

int32_t bittrue_run(bittrue_program* program, const bittrue_input* inputs, uint32_t input_count,
                    const bittrue_output* outputs, uint32_t output_count, const bittrue_tap* taps,
                    uint32_t tap_count, bittrue_error* error) {
  return guarded(error, [&] {
    program->engine.run({inputs, input_count, outputs, output_count, taps, tap_count});
  });
}

}  // extern "C"
