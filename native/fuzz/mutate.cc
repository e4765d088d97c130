#include "mutate.h"

#include <string.h>

#include <algorithm>
#include <iterator>

#include "bittrue.h"

namespace bittrue_fuzz {
namespace {

// Limits of the format and tiles of the kernels, and their neighbours.
constexpr uint32_t VALUES[] = {
    0,          1,         2,          3,          4,          5,          6,          7,
    8,          9,         15,         16,         17,         31,         32,         33,
    63,         64,        65,         96,         97,         127,        128,        129,
    255,        256,       257,        1023,       1024,       1025,       1u << 15,   32769,
    65535,      65536,     65537,      1u << 20,   1048577,    1 << 23,    (1u << 26), (1u << 30),
    0x7fffffff, 1u << 31,  0xffffffff, 0xffff8000, 0x7f800000, 0x7fc00000, 0xff800000, 0x80000000,
    0x3f800000, 0x00000001};

uint32_t changed(uint32_t old, Random* random) {
  switch (random->below(6)) {
    case 0:
      return old + 1;
    case 1:
      return old - 1;
    case 2:
      return old ^ 1u << random->below(32);
    case 3:
      return old * 2;
    case 4:
      return random->below(10);
    default:
      return VALUES[random->below(std::size(VALUES))];
  }
}

// --- the file as bytes ---------------------------------------------------------------------------

void change_header(Bytes* file, Random* random) {
  if (file->size() < HEADER_BYTES) return;
  const uint32_t fields = std::size(HEADER_FIELDS);
  const uint32_t pick = random->below(fields + 2 * SECTION_COUNT);
  const Field field =
      pick < fields ? HEADER_FIELDS[pick] : Field{SECTION_TABLE + 8 * (pick - fields), 8};
  uint8_t* at = file->data() + field.at + (field.width == 8 && random->one_in(4) ? 4 : 0);
  write_u32(at, random->one_in(3) ? read_u32(at) + 64 : changed(read_u32(at), random));
}

void change_word(Bytes* file, Random* random) {
  if (file->size() < 4) return;
  uint8_t* at = file->data() + random->below(file->size() / 4) * 4;
  write_u32(at, changed(read_u32(at), random));
}

// A word of one section, so that rows and instructions are met as often as long constants.
void change_section_word(Bytes* file, Random* random) {
  if (file->size() < HEADER_BYTES) return;
  const uint8_t* entry = file->data() + SECTION_TABLE + 16 * random->below(SECTION_COUNT);
  const uint64_t offset = read_u64(entry), length = read_u64(entry + 8);
  if (offset > file->size() || length > file->size() - offset || length < 4) return;
  uint8_t* at = file->data() + offset + random->below(length / 4) * 4;
  write_u32(at, changed(read_u32(at), random));
}

void change_byte(Bytes* file, Random* random) {
  if (!file->empty()) (*file)[random->below(file->size())] ^= (uint8_t)(1u << random->below(8));
}

void change_length(Bytes* file, Random* random) {
  file->resize(random->one_in(2) ? random->below(file->size() + 1)
                                 : file->size() + 1 + random->below(128));
  if (file->size() >= HEADER_BYTES) write_u64(file->data() + 16, file->size());
}

// --- tensors and buffers -------------------------------------------------------------------------

uint32_t* some_dim(Parts* parts, Random* random) {
  if (parts->tensors.empty()) return nullptr;
  TensorRow& row = parts->tensors[random->below(parts->tensors.size())];
  return &row[DIMS + random->below(std::clamp(row[RANK], 1u, (uint32_t)MOST_RANK))];
}

uint32_t small_dim(uint32_t old, Random* random) {
  switch (random->below(4)) {
    case 0:
      return old + 1;
    case 1:
      return old > 1 ? old - 1 : 1;
    case 2:
      return 1 + random->below(18);
    default:
      return 1 + random->below(70);
  }
}

void change_dim(Parts* parts, Random* random) {
  if (uint32_t* dim = some_dim(parts, random)) {
    *dim = random->one_in(8) ? changed(*dim, random) : small_dim(*dim, random);
    mend_buffers(parts);
  }
}

// The same length wherever it stands: often what an instruction's rows ask for.
void change_dim_everywhere(Parts* parts, Random* random) {
  const uint32_t* dim = some_dim(parts, random);
  if (dim == nullptr) return;
  const uint32_t old = *dim, value = small_dim(old, random);
  for (TensorRow& row : parts->tensors) {
    for (uint32_t axis = 0; axis < row[RANK] && axis < MOST_RANK; axis++) {
      if (row[DIMS + axis] == old) row[DIMS + axis] = value;
    }
  }
  mend_buffers(parts);
}

// An axis more or less.
void change_rank(Parts* parts, Random* random) {
  if (parts->tensors.empty()) return;
  TensorRow& row = parts->tensors[random->below(parts->tensors.size())];
  if (random->one_in(2) && row[RANK] < MOST_RANK) {
    row[DIMS + row[RANK]++] = 1 + random->below(3);
  } else if (row[RANK] > 1 && row[RANK] <= MOST_RANK) {
    row[DIMS + --row[RANK]] = 0;
  }
  mend_buffers(parts);
}

void change_tensor_word(Parts* parts, Random* random) {
  if (parts->tensors.empty()) return;
  TensorRow& row = parts->tensors[random->below(parts->tensors.size())];
  uint32_t& word = row[random->below(row.size())];
  word = changed(word, random);
}

void change_type(Parts* parts, Random* random) {
  if (parts->tensors.empty()) return;
  parts->tensors[random->below(parts->tensors.size())][DTYPE] = 1 + random->below(4);
  mend_buffers(parts);
}

void share_buffer(Parts* parts, Random* random) {
  if (parts->tensors.empty()) return;
  TensorRow& to = parts->tensors[random->below(parts->tensors.size())];
  const TensorRow& from = parts->tensors[random->below(parts->tensors.size())];
  to[BUFFER] = from[BUFFER];
  if (random->one_in(2)) std::copy_n(from.begin() + DTYPE, BUFFER - DTYPE, to.begin() + DTYPE);
}

void change_buffer(Parts* parts, Random* random) {
  if (parts->buffers.empty()) return;
  BufferRow& row = parts->buffers[random->below(parts->buffers.size())];
  if (random->one_in(2)) {  // to where another one lies, or a step beside it
    const BufferRow& other = parts->buffers[random->below(parts->buffers.size())];
    row[OFFSET] = other[OFFSET] + 64 * (random->below(3) - 1);
  } else {
    uint32_t& word = row[random->below(row.size())];
    word = changed(word, random);
  }
}

void add_tensor(Parts* parts, Random* random) {
  if (parts->tensors.empty()) return;
  const size_t from = random->below(parts->tensors.size());
  TensorRow row = parts->tensors[from];
  const uint32_t buffer = row[BUFFER];
  if (buffer < parts->buffers.size() && random->one_in(2)) {
    row[BUFFER] = (uint32_t)parts->buffers.size();
    parts->buffers.push_back(BufferRow(parts->buffers[buffer]));
    parts->constants.push_back(Bytes(parts->constants[buffer]));
  }
  parts->tensors.push_back(row);
  parts->names.push_back(parts->names[from] + (char)('a' + random->below(26)));
  mend_buffers(parts);
}

void change_name(Parts* parts, Random* random) {
  if (parts->names.empty()) return;
  std::string& name = parts->names[random->below(parts->names.size())];
  if (random->one_in(2)) {
    name += (char)random->below(256);
  } else if (!name.empty()) {
    name[random->below(name.size())] = (char)random->below(256);
  }
}

void change_constant(Parts* parts, Random* random) {
  std::vector<Bytes*> held;
  for (Bytes& constant : parts->constants) {
    if (!constant.empty()) held.push_back(&constant);
  }
  if (held.empty()) return;
  Bytes& bytes = *held[random->below(held.size())];
  if (random->one_in(8)) {
    memset(bytes.data(), random->one_in(2) ? 0 : (int)random->below(256), bytes.size());
  } else if (bytes.size() >= 4 && random->one_in(2)) {
    uint8_t* at = bytes.data() + random->below(bytes.size() / 4) * 4;
    write_u32(at, changed(read_u32(at), random));
  } else {
    change_byte(&bytes, random);
  }
}

// --- conformance vectors -------------------------------------------------------------------------

// A vector more, less or another; the seed is 0 where the pattern is none that uses it.
void change_vectors(Parts* parts, Random* random) {
  if (parts->vectors.empty() || random->one_in(4)) {
    const uint32_t pattern = random->below(3), seed = pattern == 0 ? (uint32_t)random->next() : 0;
    parts->vectors.push_back({pattern, 0, seed, seed});
    if (random->one_in(64)) parts->vectors.resize(64 + random->below(2), parts->vectors[0]);
  } else if (random->one_in(4)) {
    parts->vectors.pop_back();
  } else {
    VectorRow& row = parts->vectors[random->below(parts->vectors.size())];
    uint32_t& word = row[random->below(row.size())];
    word = changed(word, random);
  }
}

// The least or greatest element of an input.
void change_range(Parts* parts, Random* random) {
  if (parts->ranges.empty()) return;
  uint32_t& limit = parts->ranges[random->below(parts->ranges.size())][random->below(2)];
  limit = changed(limit, random);
}

// --- instructions --------------------------------------------------------------------------------

uint32_t count_words(const char* text) {
  uint32_t count = 0;
  for (bool inside = false; *text; text++) {
    if (*text != ' ' && !inside) count++;
    inside = *text != ' ';
  }
  return count;
}

Words* some_instruction(Parts* parts, Random* random) {
  return parts->code.empty() ? nullptr : &parts->code[random->below(parts->code.size())];
}

void change_operand(Parts* parts, Random* random) {
  Words* words = some_instruction(parts, random);
  if (words == nullptr || words->size() < OPERANDS) return;
  const uint64_t tensors = (uint64_t)(*words)[INPUTS] + (*words)[OUTPUTS];
  if (OPERANDS + tensors > words->size() || tensors == 0) return;
  (*words)[OPERANDS + random->below(tensors)] = random->below(parts->tensors.size());
}

void change_param(Parts* parts, Random* random) {
  Words* words = some_instruction(parts, random);
  if (words == nullptr || words->size() < OPERANDS) return;
  const uint64_t first = (uint64_t)OPERANDS + (*words)[INPUTS] + (*words)[OUTPUTS];
  if (first >= words->size()) return;
  uint32_t& param = (*words)[first + random->below(words->size() - first)];
  param = random->one_in(2) ? random->below(6) : changed(param, random);
}

void change_instruction_word(Parts* parts, Random* random) {
  Words* words = some_instruction(parts, random);
  if (words == nullptr) return;
  uint32_t& word = (*words)[random->below(words->size())];
  word = changed(word, random);
}

// A row of the instruction table with tensors of this program and small params.
void add_instruction(Parts* parts, Random* random) {
  uint32_t rows = 0;
  bittrue_instruction_row row;
  while (bittrue_instruction_table(rows, &row)) rows++;
  bittrue_instruction_table(random->below(rows), &row);
  const uint32_t optional = (uint32_t)std::count(row.inputs, row.inputs + strlen(row.inputs), '?');
  const uint32_t inputs = count_words(row.inputs) - random->below(optional + 1);
  Words words = {row.code, inputs, count_words(row.outputs), count_words(row.params)};
  for (uint32_t i = 0; i < inputs + words[OUTPUTS]; i++) {
    words.push_back(random->below(parts->tensors.size()));
  }
  for (uint32_t i = 0; i < words[PARAMS]; i++) words.push_back(random->below(3));
  const auto at = parts->code.begin() + random->below(parts->code.size() + 1);
  parts->code.insert(at, std::move(words));
}

// The code of another instruction that takes as many operands.
void change_kind(Parts* parts, Random* random) {
  Words* words = some_instruction(parts, random);
  if (words == nullptr || words->size() < OPERANDS) return;
  Words codes;
  bittrue_instruction_row row;
  for (uint32_t i = 0; bittrue_instruction_table(i, &row); i++) {
    const uint32_t inputs = count_words(row.inputs);
    const bool fits = inputs == (*words)[INPUTS] && count_words(row.params) == (*words)[PARAMS];
    if (fits || random->one_in(16)) codes.push_back(row.code);
  }
  if (!codes.empty()) (*words)[0] = codes[random->below(codes.size())];
}

void repeat_instruction(Parts* parts, Random* random) {
  if (const Words* words = some_instruction(parts, random)) {
    Words copy = *words;
    parts->code.insert(parts->code.begin() + random->below(parts->code.size() + 1),
                       std::move(copy));
  }
}

void drop_instruction(Parts* parts, Random* random) {
  if (!parts->code.empty()) {
    parts->code.erase(parts->code.begin() + random->below(parts->code.size()));
  }
}

void swap_instructions(Parts* parts, Random* random) {
  if (parts->code.size() < 2) return;
  std::swap(parts->code[random->below(parts->code.size())],
            parts->code[random->below(parts->code.size())]);
}

void change_port(Parts* parts, Random* random) {
  Words& ports = random->one_in(2) ? parts->inputs : parts->outputs;
  const uint32_t tensor = random->below(parts->tensors.size() + random->one_in(8));
  if (random->one_in(3)) {
    ports.push_back(tensor);
  } else if (ports.size() > 1 && random->one_in(3)) {
    ports.pop_back();
  } else if (!ports.empty()) {
    ports[random->below(ports.size())] = tensor;
  }
}

using ChangeParts = void (*)(Parts*, Random*);
constexpr ChangeParts PARTS_CHANGES[] = {
    change_dim,      change_dim,        change_dim_everywhere, change_dim_everywhere,
    change_rank,     change_type,       change_tensor_word,    share_buffer,
    change_buffer,   add_tensor,        change_name,           change_constant,
    change_constant, change_operand,    change_operand,        change_param,
    change_param,    change_param,      change_kind,           change_instruction_word,
    add_instruction, add_instruction,   repeat_instruction,    drop_instruction,
    change_port,     swap_instructions, change_vectors,        change_range};
using ChangeBytes = void (*)(Bytes*, Random*);
constexpr ChangeBytes BYTES_CHANGES[] = {
    change_section_word, change_section_word, change_section_word, change_section_word,
    change_header,       change_word,         change_byte,         change_length};

}  // namespace

uint64_t Random::next() {
  uint64_t value = state_ += 0x9e3779b97f4a7c15u;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
  value = (value ^ value >> 27) * 0x94d049bb133111ebu;
  return value ^ value >> 31;
}

Bytes mutate(const uint8_t* file, size_t nbytes, Random* random) {
  Bytes made(file, file + nbytes);
  Parts parts;
  if (random->one_in(2) && take_apart(file, nbytes, &parts)) {
    for (uint32_t i = random->below(3) + 1; i > 0; i--) {
      PARTS_CHANGES[random->below(std::size(PARTS_CHANGES))](&parts, random);
    }
    made = put_together(parts);
    if (!random->one_in(8)) return made;
  }
  for (uint32_t i = random->below(2) + 1; i > 0; i--) {
    BYTES_CHANGES[random->below(std::size(BYTES_CHANGES))](&made, random);
  }
  if (!random->one_in(64)) mend_checksum(made.data(), made.size());
  return made;
}

Bytes join(const uint8_t* first, size_t first_bytes, const uint8_t* second, size_t second_bytes) {
  Parts a, b;
  if (!take_apart(first, first_bytes, &a) || !take_apart(second, second_bytes, &b)) return {};
  const auto tensors = (uint32_t)a.tensors.size(), buffers = (uint32_t)a.buffers.size();
  for (TensorRow row : b.tensors) {
    row[BUFFER] += buffers;
    a.tensors.push_back(row);
  }
  for (const std::string& name : b.names) a.names.push_back(name + "'");
  a.buffers.insert(a.buffers.end(), b.buffers.begin(), b.buffers.end());
  a.constants.insert(a.constants.end(), b.constants.begin(), b.constants.end());
  for (Words words : b.code) {
    for (size_t i = 0; i < (size_t)words[INPUTS] + words[OUTPUTS]; i++)
      words[OPERANDS + i] += tensors;
    a.code.push_back(std::move(words));
  }
  a.ranges.resize(std::min(a.ranges.size(), a.inputs.size()));
  if (a.ranges.size() == a.inputs.size()) {  // else those of b would be of other inputs
    a.ranges.insert(a.ranges.end(), b.ranges.begin(), b.ranges.end());
  }
  if (a.vectors.empty()) a.vectors = b.vectors;
  for (const uint32_t port : b.inputs) a.inputs.push_back(port + tensors);
  for (const uint32_t port : b.outputs) a.outputs.push_back(port + tensors);
  mend_buffers(&a);
  return put_together(a);
}

}  // namespace bittrue_fuzz
