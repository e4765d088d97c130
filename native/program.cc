#include "program.h"

#include <string.h>

#include <unordered_set>

#include "bittrue.h"
#include "failure.h"
#include "file_layout.h"
#include "verify.h"

namespace bittrue {

int64_t Tensor::count() const {
  int64_t count = 1;
  for (uint32_t axis = 0; axis < rank; axis++) count *= (int64_t)dims[axis];
  return count;
}

namespace {

using ull = unsigned long long;  // for printf

void read_buffers(const FileLayout& file, Program* program) {
  const Span constants = file.sections[CONSTANTS];
  uint64_t tiled = 0;  // bytes of CONSTANTS that the buffers so far cover
  program->buffers.reserve(file.buffers);
  for (uint32_t i = 0; i < file.buffers; i++) {
    const uint64_t at = file.sections[BUFFERS].offset + 24ull * i;
    const uint32_t kind = file.u32(at);
    const Buffer buffer{kind == 1, file.u64(at + 8), file.u64(at + 16)};
    if (kind > 1) fail(BITTRUE_FORMAT, at, "kind of buffer %u must be 0 or 1, not %u", i, kind);
    if (file.u32(at + 4) != 0) fail(BITTRUE_FORMAT, at + 4, "word 1 of buffer %u must be zero", i);
    if (buffer.nbytes < 1 || buffer.nbytes > MOST_BYTES) {
      fail(BITTRUE_FORMAT, at + 16, "buffer %u must have 1 to 2^40 bytes, not %llu", i,
           (ull)buffer.nbytes);
    }
    const uint64_t limit = buffer.constant ? constants.nbytes : file.arena_bytes;
    if (buffer.offset % 64 != 0) {
      fail(BITTRUE_FORMAT, at + 8, "offset of buffer %u must be a multiple of 64, not %llu", i,
           (ull)buffer.offset);
    }
    if (buffer.offset > limit || buffer.nbytes > limit - buffer.offset) {
      fail(BITTRUE_FORMAT, at + 8, "buffer %u ends after the %s: %llu bytes from %llu of %llu", i,
           buffer.constant ? "constants" : "arena", (ull)buffer.nbytes, (ull)buffer.offset,
           (ull)limit);
    }
    if (buffer.constant) {
      const uint64_t start = aligned(tiled);
      if (buffer.offset != start) {
        fail(BITTRUE_FORMAT, at + 8, "constant buffer %u must start at byte %llu, not %llu", i,
             (ull)start, (ull)buffer.offset);
      }
      file.require_zeros(constants.offset + tiled, constants.offset + start,
                         "bytes between constants");
      tiled = buffer.offset + buffer.nbytes;
    }
    program->buffers.push_back(buffer);
  }
  file.require_length(CONSTANTS, tiled, " of its buffers");
}

void require_text(const std::string& text, uint64_t at, uint32_t tensor) {
  const auto* byte = reinterpret_cast<const uint8_t*>(text.data());
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(byte + i, text.size() - i);
    if (length == 0) fail(BITTRUE_FORMAT, at + i, "name of tensor %u is not UTF-8", tensor);
    if (byte[i] == 0) fail(BITTRUE_FORMAT, at + i, "name of tensor %u has a zero byte", tensor);
    i += length;
  }
}

void read_type(const FileLayout& file, uint64_t at, uint32_t i, Tensor* tensor) {
  tensor->dtype = file.u32(at + 8);
  tensor->rank = file.u32(at + 12);
  if (tensor->dtype < BITTRUE_UINT8 || tensor->dtype > BITTRUE_FLOAT32) {
    fail(BITTRUE_FORMAT, at + 8, "type of tensor %u must be 1 to 4, not %u", i, tensor->dtype);
  }
  if (tensor->rank < 1 || tensor->rank > 6) {
    fail(BITTRUE_FORMAT, at + 12, "rank of tensor %u must be 1 to 6, not %u", i, tensor->rank);
  }
  tensor->nbytes = (uint64_t)tensor->item();
  for (uint32_t axis = 0; axis < 6; axis++) {
    const uint64_t place = at + 16 + 4ull * axis;
    const uint32_t dim = file.u32(place);
    tensor->dims[axis] = dim;
    if (axis >= tensor->rank ? dim != 0 : dim < 1 || dim > INT32_MAX) {
      fail(BITTRUE_FORMAT, place, "axis %u of tensor %u, which has %u, must not be %u", axis, i,
           tensor->rank, dim);
    }
    if (axis < tensor->rank &&
        (__builtin_mul_overflow(tensor->nbytes, (uint64_t)dim, &tensor->nbytes) ||
         tensor->nbytes > MOST_BYTES)) {
      fail(BITTRUE_FORMAT, place, "tensor %u has more than 2^40 bytes", i);
    }
  }
}

void read_numbers(const FileLayout& file, uint64_t at, uint32_t i, const Program& program,
                  Tensor* tensor) {
  tensor->buffer = file.u32(at + 40);
  if (tensor->buffer >= program.buffers.size()) {
    fail(BITTRUE_FORMAT, at + 40, "tensor %u lies in buffer %u of %u", i, tensor->buffer,
         file.buffers);
  }
  if (tensor->nbytes != program.buffers[tensor->buffer].nbytes) {
    fail(BITTRUE_FORMAT, at + 16, "tensor %u takes %llu bytes, its buffer %u has %llu", i,
         (ull)tensor->nbytes, tensor->buffer, (ull)program.buffers[tensor->buffer].nbytes);
  }
  const uint32_t zero_point = file.u32(at + 44), scale = file.u32(at + 48);
  if (zero_point > 255) {
    fail(BITTRUE_FORMAT, at + 44, "zero point of tensor %u must be 0 to 255, not %d", i,
         (int32_t)zero_point);
  }
  if (scale >= 0x7f800000u) {  // a sign, an infinity or a NaN
    fail(BITTRUE_FORMAT, at + 48, "scale of tensor %u must be 0 or positive and finite", i);
  }
  tensor->zero_point = (int32_t)zero_point;
  memcpy(&tensor->scale, &scale, sizeof scale);
  file.require_zeros(at + 52, at + 64, "bytes 52 to 63 of a tensor");
}

void read_tensors(const FileLayout& file, Program* program) {
  const Span names = file.sections[NAMES];
  uint64_t named = 0;
  std::unordered_set<std::string> seen;
  program->tensors.reserve(file.tensors);
  for (uint32_t i = 0; i < file.tensors; i++) {
    const uint64_t at = file.sections[TENSORS].offset + 64ull * i;
    Tensor tensor{};
    const uint32_t length = file.u32(at + 4);
    if (file.u32(at) != named) {
      fail(BITTRUE_FORMAT, at, "name of tensor %u must start at byte %llu, not %u", i, (ull)named,
           file.u32(at));
    }
    if (length < 1 || length > 65535 || length > names.nbytes - named) {
      fail(BITTRUE_FORMAT, at + 4, "name of tensor %u has %u bytes; 1 to 65535 and %llu are left",
           i, length, (ull)(names.nbytes - named));
    }
    tensor.name.assign(reinterpret_cast<const char*>(file.file + names.offset + named), length);
    require_text(tensor.name, names.offset + named, i);
    if (!seen.insert(tensor.name).second) {
      fail(BITTRUE_FORMAT, at, "a second tensor is called '%.80s'", tensor.name.c_str());
    }
    named += length;
    read_type(file, at, i, &tensor);
    read_numbers(file, at, i, *program, &tensor);
    program->tensors.push_back(std::move(tensor));
  }
  file.require_length(NAMES, named, " of the names");
}

void read_code(const FileLayout& file, Program* program) {
  const uint64_t base = file.sections[CODE].offset;
  program->words.resize(file.words);
  if (file.words > 0) memcpy(program->words.data(), file.file + base, 4ull * file.words);
  std::vector<ConstantFacts> facts(program->buffers.size());
  uint64_t next = 0;
  for (uint32_t i = 0; i < file.instructions; i++) {
    const uint64_t at = base + 4 * next;
    const uint64_t left = file.words - next;
    if (left < 4) fail(BITTRUE_FORMAT, at, "instruction %u starts after the code", i);
    const uint32_t* word = program->words.data() + next;
    const InstructionRow* row = find_instruction(word[0]);
    if (row == nullptr) fail(BITTRUE_FORMAT, at, "instruction %u has code %u", i, word[0]);
    if (word[1] > row->input_count || word[1] < row->input_count - row->optional_count ||
        word[2] != row->output_count || word[3] != row->param_count) {
      fail(BITTRUE_FORMAT, at + 4, "instruction %u (%s) has %u inputs, %u outputs, %u params", i,
           row->name, word[1], word[2], word[3]);
    }
    const uint64_t length = 4ull + word[1] + word[2] + word[3];
    if (length > left) fail(BITTRUE_FORMAT, at, "instruction %u (%s) is cut off", i, row->name);
    for (uint32_t j = 0; j < word[1] + word[2]; j++) {
      if (word[4 + j] >= program->tensors.size()) {
        fail(BITTRUE_FORMAT, at + 16 + 4ull * j, "instruction %u (%s) names tensor %u of %u", i,
             row->name, word[4 + j], file.tensors);
      }
    }
    const Instruction instruction{
        row, at, word[1], word + 4, word[4 + word[1]], word + 5 + word[1]};
    verify_instruction(*program, instruction, &facts);
    program->instructions.push_back(instruction);
    next += length;
  }
  if (next != file.words) {
    fail(BITTRUE_FORMAT, base + 4 * next, "the instructions take %llu words, CODE has %u",
         (ull)next, file.words);
  }
}

std::vector<uint32_t> read_ports(const FileLayout& file, const Program& program, uint32_t first,
                                 uint32_t count, const char* what) {
  std::vector<uint32_t> ports;
  std::unordered_set<uint32_t> buffers;
  for (uint32_t i = 0; i < count; i++) {
    const uint64_t at = file.sections[IO].offset + 4ull * (first + i);
    const uint32_t tensor = file.u32(at);
    if (tensor >= program.tensors.size()) {
      fail(BITTRUE_FORMAT, at, "%s %u is tensor %u of %u", what, i, tensor, file.tensors);
    }
    const uint32_t buffer = program.tensors[tensor].buffer;
    if (program.buffers[buffer].constant) {
      fail(BITTRUE_FORMAT, at, "%s %u is tensor %u, a constant", what, i, tensor);
    }
    if (!buffers.insert(buffer).second) {
      fail(BITTRUE_FORMAT, at, "%s %u shares buffer %u with another", what, i, buffer);
    }
    ports.push_back(tensor);
  }
  return ports;
}

}  // namespace

Program read_program(const uint8_t* bytes, uint64_t nbytes) {
  const FileLayout file = read_layout(bytes, nbytes);
  Program program;
  program.arena_bytes = file.arena_bytes;
  program.constants = bytes + file.sections[CONSTANTS].offset;
  read_buffers(file, &program);
  read_tensors(file, &program);
  read_code(file, &program);
  program.inputs = read_ports(file, program, 0, file.inputs, "input");
  program.outputs = read_ports(file, program, file.inputs, file.outputs, "output");
  program.vectors = read_vectors(file, program);
  return program;
}

}  // namespace bittrue
