#include "parts.h"

#include <stddef.h>
#include <string.h>

#include <algorithm>

namespace bittrue_fuzz {
namespace {

constexpr uint64_t ALIGNMENT = 64;
constexpr uint64_t MOST_CONSTANT = 1 << 16;  // a longer one is left to lie about its length
constexpr uint64_t MOST_CONSTANTS = 1 << 20;
constexpr size_t HASH_BYTES = 32;
constexpr RangeRow DEFAULT_RANGE = {0, 1};  // legal for every type: 0 to the least float

uint64_t aligned(uint64_t at) { return (at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

uint32_t crc32(const uint8_t* data, size_t count) {
  static const auto table = [] {
    std::array<uint32_t, 256> rows{};
    for (uint32_t byte = 0; byte < 256; byte++) {
      rows[byte] = byte;
      for (int bit = 0; bit < 8; bit++) {
        rows[byte] = rows[byte] >> 1 ^ (rows[byte] & 1 ? 0xedb88320u : 0u);
      }
    }
    return rows;
  }();
  uint32_t crc = ~0u;
  for (size_t i = 0; i < count; i++) crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
  return ~crc;
}

struct Span {
  const uint8_t* data;
  size_t nbytes;
};

bool find_sections(const uint8_t* file, size_t nbytes, Span* sections) {
  if (nbytes < HEADER_BYTES) return false;
  for (size_t i = 0; i < SECTION_COUNT; i++) {
    const uint64_t offset = read_u64(file + SECTION_TABLE + 16 * i);
    const uint64_t length = read_u64(file + SECTION_TABLE + 16 * i + 8);
    if (offset > nbytes || length > nbytes - offset) return false;
    sections[i] = {file + offset, (size_t)length};
  }
  return true;
}

template <typename Row>
void copy_rows(const Span& from, std::vector<Row>* to) {
  to->resize(from.nbytes / sizeof(Row));
  if (!to->empty()) memcpy(to->data(), from.data, to->size() * sizeof(Row));
}

bool split_code(const Span& section, std::vector<Words>* code) {
  Words words(section.nbytes / 4);
  if (!words.empty()) memcpy(words.data(), section.data, words.size() * 4);
  for (size_t next = 0; next < words.size();) {
    uint64_t length = OPERANDS;
    for (size_t i = INPUTS; i < OPERANDS && next + i < words.size(); i++) length += words[next + i];
    if (length > words.size() - next) return false;
    const auto first = words.begin() + (ptrdiff_t)next;
    code->emplace_back(first, first + (ptrdiff_t)length);
    next += length;
  }
  return true;
}

bool split_constants(const Span& section, Parts* parts) {
  uint64_t total = 0;  // buffers that overlap could take more than memory holds
  for (const BufferRow& row : parts->buffers) {
    parts->constants.emplace_back();
    if (row[KIND] != 1) continue;
    const uint64_t offset = row[OFFSET], length = row[LENGTH];
    if (offset > section.nbytes || length > section.nbytes - offset) return false;
    if ((total += length) > MOST_CONSTANTS) return false;
    parts->constants.back().assign(section.data + offset, section.data + offset + length);
  }
  return true;
}

bool split_names(const Span& section, Parts* parts) {
  for (const TensorRow& row : parts->tensors) {
    const uint64_t offset = row[NAME_OFFSET], length = row[NAME_LENGTH];
    if (offset > section.nbytes || length > section.nbytes - offset) return false;
    parts->names.emplace_back((const char*)section.data + offset, length);
  }
  return true;
}

bool in_arena(const Parts& parts, const TensorRow& row) {
  return row[BUFFER] < parts.buffers.size() && parts.buffers[row[BUFFER]][KIND] != 1;
}

// Bytes of a vector: its row and a hash for each tensor in the arena.
size_t vector_bytes(const Parts& parts) {
  const auto hashed = std::count_if(parts.tensors.begin(), parts.tensors.end(),
                                    [&](const TensorRow& row) { return in_arena(parts, row); });
  return sizeof(VectorRow) + HASH_BYTES * (size_t)hashed;
}

void split_vectors(const Span& section, Parts* parts) {
  const size_t head = parts->inputs.size() * sizeof(RangeRow);
  if (section.nbytes < head || section.nbytes == 0) return;
  copy_rows({section.data, head}, &parts->ranges);
  const size_t step = vector_bytes(*parts);
  for (size_t at = head; at + step <= section.nbytes; at += step) {
    parts->vectors.emplace_back();
    memcpy(parts->vectors.back().data(), section.data + at, sizeof(VectorRow));
  }
}

uint64_t bytes_of(const TensorRow& row) {
  uint64_t nbytes = row[DTYPE] <= 2 ? 1 : 4;
  for (uint32_t axis = 0; axis < row[RANK] && axis < MOST_RANK; axis++) {
    if (__builtin_mul_overflow(nbytes, (uint64_t)row[DIMS + axis], &nbytes)) return UINT64_MAX;
  }
  return nbytes;
}

void set_wide(BufferRow* row, size_t word, uint64_t value) {
  (*row)[word] = (uint32_t)value;
  (*row)[word + 1] = (uint32_t)(value >> 32);
}

uint64_t wide(const BufferRow& row, size_t word) {
  return row[word] | (uint64_t)row[word + 1] << 32;
}

void append(Bytes* to, const void* data, size_t nbytes) {
  if (nbytes == 0) return;
  const auto* from = static_cast<const uint8_t*>(data);
  to->insert(to->end(), from, from + nbytes);
}

Bytes join_constants(const Parts& parts) {
  Bytes joined;
  for (const Bytes& constant : parts.constants) {
    if (constant.empty()) continue;
    joined.resize(aligned(joined.size()));
    append(&joined, constant.data(), constant.size());
  }
  return joined;
}

Bytes join_vectors(const Parts& parts) {
  Bytes joined;
  if (parts.vectors.empty()) return joined;
  std::vector<RangeRow> ranges = parts.ranges;
  ranges.resize(parts.inputs.size(), DEFAULT_RANGE);
  append(&joined, ranges.data(), ranges.size() * sizeof(RangeRow));
  const size_t step = vector_bytes(parts);
  for (const VectorRow& row : parts.vectors) {
    append(&joined, row.data(), sizeof row);
    joined.resize(joined.size() + step - sizeof row, (uint8_t)joined.size());
  }
  return joined;
}

}  // namespace

uint32_t read_u32(const uint8_t* at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

uint64_t read_u64(const uint8_t* at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

void write_u32(uint8_t* at, uint32_t value) { memcpy(at, &value, sizeof value); }
void write_u64(uint8_t* at, uint64_t value) { memcpy(at, &value, sizeof value); }

bool take_apart(const uint8_t* file, size_t nbytes, Parts* parts) {
  Span sections[SECTION_COUNT];
  if (!find_sections(file, nbytes, sections)) return false;
  parts->header.assign(file, file + HEADER_BYTES);
  parts->meta.assign(sections[META].data, sections[META].data + sections[META].nbytes);
  copy_rows(sections[BUFFERS], &parts->buffers);
  copy_rows(sections[TENSORS], &parts->tensors);
  Words ports;
  copy_rows(sections[IO], &ports);
  const size_t inputs = std::min((size_t)read_u32(file + 48), ports.size());
  parts->inputs.assign(ports.begin(), ports.begin() + (ptrdiff_t)inputs);
  parts->outputs.assign(ports.begin() + (ptrdiff_t)inputs, ports.end());
  split_vectors(sections[VECTORS], parts);
  return split_names(sections[NAMES], parts) && split_code(sections[CODE], &parts->code) &&
         split_constants(sections[CONSTANTS], parts);
}

void mend_buffers(Parts* parts) {
  uint64_t ends[2] = {0, 0};
  for (size_t i = 0; i < parts->buffers.size(); i++) {
    BufferRow& row = parts->buffers[i];
    const auto user = std::find_if(parts->tensors.begin(), parts->tensors.end(),
                                   [i](const TensorRow& t) { return t[BUFFER] == i; });
    const uint64_t nbytes = user == parts->tensors.end() ? wide(row, LENGTH) : bytes_of(*user);
    const bool constant = row[KIND] == 1;
    set_wide(&row, LENGTH, nbytes);
    set_wide(&row, OFFSET, aligned(ends[constant]));
    ends[constant] = aligned(ends[constant]) + nbytes;
    if (!constant || nbytes > MOST_CONSTANT) continue;
    Bytes& bytes = parts->constants[i];  // a longer one goes on with what it has
    const size_t had = bytes.size();
    bytes.resize(nbytes);
    for (size_t at = had; at < nbytes && had > 0; at++) bytes[at] = bytes[at - had];
  }
  write_u64(parts->header.data() + 24, aligned(ends[0]));
}

Bytes put_together(const Parts& parts) {
  Bytes file = parts.header;
  std::string names;
  std::vector<TensorRow> tensors = parts.tensors;
  for (size_t i = 0; i < tensors.size(); i++) {
    tensors[i][NAME_OFFSET] = (uint32_t)names.size();
    tensors[i][NAME_LENGTH] = (uint32_t)parts.names[i].size();
    names += parts.names[i];
  }
  Words words, ports = parts.inputs;
  for (const Words& instruction : parts.code) {
    words.insert(words.end(), instruction.begin(), instruction.end());
  }
  ports.insert(ports.end(), parts.outputs.begin(), parts.outputs.end());
  const Bytes constants = join_constants(parts), vectors = join_vectors(parts);
  const Span sections[SECTION_COUNT] = {
      {parts.meta.data(), parts.meta.size()},
      {(const uint8_t*)names.data(), names.size()},
      {(const uint8_t*)parts.buffers.data(), parts.buffers.size() * sizeof(BufferRow)},
      {(const uint8_t*)tensors.data(), tensors.size() * sizeof(TensorRow)},
      {(const uint8_t*)words.data(), words.size() * 4},
      {(const uint8_t*)ports.data(), ports.size() * 4},
      {constants.data(), constants.size()},
      {vectors.data(), vectors.size()}};
  for (size_t i = 0; i < SECTION_COUNT; i++) {
    file.resize(aligned(file.size()));
    write_u64(file.data() + SECTION_TABLE + 16 * i, file.size());
    write_u64(file.data() + SECTION_TABLE + 16 * i + 8, sections[i].nbytes);
    append(&file, sections[i].data, sections[i].nbytes);
  }
  file.resize(aligned(file.size()));
  write_u64(file.data() + 16, file.size());
  const size_t counts[] = {tensors.size(), parts.buffers.size(), parts.code.size(),
                           words.size(),   parts.inputs.size(),  parts.outputs.size()};
  for (size_t i = 0; i < 6; i++) write_u32(file.data() + 32 + 4 * i, (uint32_t)counts[i]);
  write_u32(file.data() + VECTORS_AT, (uint32_t)parts.vectors.size());
  mend_checksum(file.data(), file.size());
  return file;
}

void mend_checksum(uint8_t* file, size_t nbytes) {
  if (nbytes < HEADER_BYTES) return;
  write_u32(file + CHECKSUM_AT, crc32(file + 16, nbytes - 16));
}

}  // namespace bittrue_fuzz
