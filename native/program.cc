#include "program.h"

#include <string.h>

#include <array>
#include <cmath>
#include <unordered_set>

#include "bittrue.h"
#include "failure.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are read as they lie");

namespace bittrue {

int64_t Tensor::count() const {
  int64_t count = 1;
  for (uint32_t axis = 0; axis < rank; axis++) count *= (int64_t)dims[axis];
  return count;
}

namespace {

using ull = unsigned long long;  // for printf

constexpr uint64_t HEADER_BYTES = 192;
constexpr uint64_t ALIGNMENT = 64;
constexpr uint32_t MOST_ITEMS = 1u << 20;
constexpr uint32_t MOST_WORDS = 1u << 26;
constexpr uint64_t MOST_META = 1u << 26;
constexpr uint64_t MOST_BYTES = 1ull << 40;
constexpr uint32_t MOST_PORTS = 1024;

constexpr uint32_t VERSION = 2;
constexpr uint32_t MOST_VECTORS = 64;
constexpr uint64_t SECTION_TABLE_AT = 56;

enum Section { META, NAMES, BUFFERS, TENSORS, CODE, IO, CONSTANTS, VECTORS, SECTION_COUNT };
constexpr uint64_t VECTOR_COUNT_AT = SECTION_TABLE_AT + 16 * SECTION_COUNT;
constexpr const char* SECTION_NAMES[] = {"META", "NAMES", "BUFFERS",   "TENSORS",
                                         "CODE", "IO",    "CONSTANTS", "VECTORS"};

struct Span {
  uint64_t offset, nbytes;
};

struct Header {
  uint64_t arena_bytes;
  uint32_t tensors, buffers, instructions, words, inputs, outputs, vectors;
  Span sections[SECTION_COUNT];
};

// --- CRC-32 (IEEE 802.3), eight bytes a step -------------------------------------------------

constexpr std::array<std::array<uint32_t, 256>, 8> make_crc_tables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t rest = byte;
    for (int bit = 0; bit < 8; bit++) rest = rest >> 1 ^ (rest & 1 ? 0xedb88320u : 0u);
    tables[0][byte] = rest;
  }
  for (uint32_t byte = 0; byte < 256; byte++) {
    for (size_t table = 1; table < 8; table++) {
      const uint32_t before = tables[table - 1][byte];
      tables[table][byte] = before >> 8 ^ tables[0][before & 255];
    }
  }
  return tables;
}

uint32_t crc32(const uint8_t* data, uint64_t count) {
  static constexpr auto TABLES = make_crc_tables();
  uint32_t crc = ~0u;
  for (; count >= 8; data += 8, count -= 8) {
    uint32_t low, high;
    memcpy(&low, data, 4);
    memcpy(&high, data + 4, 4);
    low ^= crc;
    crc = TABLES[7][low & 255] ^ TABLES[6][low >> 8 & 255] ^ TABLES[5][low >> 16 & 255] ^
          TABLES[4][low >> 24] ^ TABLES[3][high & 255] ^ TABLES[2][high >> 8 & 255] ^
          TABLES[1][high >> 16 & 255] ^ TABLES[0][high >> 24];
  }
  for (; count > 0; data++, count--) crc = crc >> 8 ^ TABLES[0][(crc ^ *data) & 255];
  return ~crc;
}

// --- reading -------------------------------------------------------------------------------------

class Reader {
 public:
  Reader(const uint8_t* file, uint64_t nbytes) : file_(file), nbytes_(nbytes) {}

  Program read() {
    read_header();
    read_sections();
    Program program;
    program.arena_bytes = header_.arena_bytes;
    program.constants = file_ + header_.sections[CONSTANTS].offset;
    read_buffers(&program);
    read_tensors(&program);
    read_code(&program);
    read_ports(&program);
    read_vectors(&program);
    return program;
  }

 private:
  // Callers have checked that the bytes are there.
  uint32_t u32(uint64_t at) const {
    uint32_t value;
    memcpy(&value, file_ + at, sizeof value);
    return value;
  }

  uint64_t u64(uint64_t at) const {
    uint64_t value;
    memcpy(&value, file_ + at, sizeof value);
    return value;
  }

  void require_zeros(uint64_t begin, uint64_t end, const char* what) const {
    for (uint64_t at = begin; at < end; at++) {
      if (file_[at] != 0) fail(BITTRUE_FORMAT, at, "%s must be zero, not %u", what, file_[at]);
    }
  }

  uint32_t read_count(uint64_t at, const char* what, uint32_t least, uint32_t most) const {
    const uint32_t count = u32(at);
    if (count < least || count > most) {
      fail(BITTRUE_FORMAT, at, "%s must be %u to %u, not %u", what, least, most, count);
    }
    return count;
  }

  void read_header() {
    if (nbytes_ < HEADER_BYTES) {
      fail(BITTRUE_FORMAT, nbytes_, "the header takes %llu bytes, the file has %llu",
           (ull)HEADER_BYTES, (ull)nbytes_);
    }
    if (memcmp(file_, "BITTRUE", 8) != 0) {
      fail(BITTRUE_FORMAT, 0,
           "the file does not start with the eight bytes of a bittrue executable");
    }
    if (u32(8) != VERSION) {
      fail(BITTRUE_FORMAT, 8, "format version is %u, this engine reads %u: compile it again",
           u32(8), VERSION);
    }
    if (u64(16) != nbytes_) {
      fail(BITTRUE_FORMAT, 16, "the header says %llu bytes, the file has %llu", (ull)u64(16),
           (ull)nbytes_);
    }
    const uint32_t crc = crc32(file_ + 16, nbytes_ - 16);
    if (u32(12) != crc) {
      fail(BITTRUE_FORMAT, 12, "checksum is 0x%08x, the bytes give 0x%08x", u32(12), crc);
    }
    header_.arena_bytes = u64(24);
    if (header_.arena_bytes % ALIGNMENT != 0 || header_.arena_bytes > MOST_BYTES) {
      fail(BITTRUE_FORMAT, 24, "arena bytes must be a multiple of 64 up to 2^40, not %llu",
           (ull)header_.arena_bytes);
    }
    header_.tensors = read_count(32, "number of tensors", 0, MOST_ITEMS);
    header_.buffers = read_count(36, "number of buffers", 0, MOST_ITEMS);
    header_.instructions = read_count(40, "number of instructions", 0, MOST_ITEMS);
    header_.words = read_count(44, "words of code", 0, MOST_WORDS);
    header_.inputs = read_count(48, "number of inputs", 1, MOST_PORTS);
    header_.outputs = read_count(52, "number of outputs", 1, MOST_PORTS);
    header_.vectors = read_count(VECTOR_COUNT_AT, "number of vectors", 0, MOST_VECTORS);
    require_zeros(VECTOR_COUNT_AT + 4, HEADER_BYTES, "reserved bytes");
  }

  void read_sections() {
    const uint64_t exact[SECTION_COUNT] = {0,
                                           0,
                                           24ull * header_.buffers,
                                           64ull * header_.tensors,
                                           4ull * header_.words,
                                           4ull * (header_.inputs + header_.outputs),
                                           0,
                                           0};
    uint64_t end = HEADER_BYTES;
    for (uint32_t i = 0; i < SECTION_COUNT; i++) {
      const uint64_t at = SECTION_TABLE_AT + 16ull * i;
      const Span span{u64(at), u64(at + 8)};
      const uint64_t start = (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;  // end <= nbytes_
      if (span.offset != start) {
        fail(BITTRUE_FORMAT, at, "section %s must start at byte %llu, not %llu", SECTION_NAMES[i],
             (ull)start, (ull)span.offset);
      }
      if (start > nbytes_ || span.nbytes > nbytes_ - start) {
        fail(BITTRUE_FORMAT, at + 8, "section %s ends after the file: %llu bytes from %llu of %llu",
             SECTION_NAMES[i], (ull)span.nbytes, (ull)start, (ull)nbytes_);
      }
      if (i >= BUFFERS && i <= IO && span.nbytes != exact[i]) {
        fail(BITTRUE_FORMAT, at + 8, "section %s must have %llu bytes, not %llu", SECTION_NAMES[i],
             (ull)exact[i], (ull)span.nbytes);
      }
      if (i == META && span.nbytes > MOST_META) {
        fail(BITTRUE_FORMAT, at + 8, "section META must have at most 2^26 bytes, not %llu",
             (ull)span.nbytes);
      }
      require_zeros(end, start, "bytes between sections");
      header_.sections[i] = span;
      end = span.offset + span.nbytes;
    }
    const uint64_t whole = (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (whole != nbytes_) {
      fail(BITTRUE_FORMAT, 16, "the file must end at byte %llu, not %llu", (ull)whole,
           (ull)nbytes_);
    }
    require_zeros(end, whole, "bytes after the last section");
  }

  void read_buffers(Program* program) const {
    const Span constants = header_.sections[CONSTANTS];
    uint64_t tiled = 0;  // bytes of CONSTANTS that the buffers so far cover
    program->buffers.reserve(header_.buffers);
    for (uint32_t i = 0; i < header_.buffers; i++) {
      const uint64_t at = header_.sections[BUFFERS].offset + 24ull * i;
      const uint32_t kind = u32(at);
      const Buffer buffer{kind == 1, u64(at + 8), u64(at + 16)};
      if (kind > 1) fail(BITTRUE_FORMAT, at, "kind of buffer %u must be 0 or 1, not %u", i, kind);
      if (u32(at + 4) != 0) fail(BITTRUE_FORMAT, at + 4, "word 1 of buffer %u must be zero", i);
      if (buffer.nbytes < 1 || buffer.nbytes > MOST_BYTES) {
        fail(BITTRUE_FORMAT, at + 16, "buffer %u must have 1 to 2^40 bytes, not %llu", i,
             (ull)buffer.nbytes);
      }
      const uint64_t limit = buffer.constant ? constants.nbytes : header_.arena_bytes;
      if (buffer.offset % ALIGNMENT != 0) {
        fail(BITTRUE_FORMAT, at + 8, "offset of buffer %u must be a multiple of 64, not %llu", i,
             (ull)buffer.offset);
      }
      if (buffer.offset > limit || buffer.nbytes > limit - buffer.offset) {
        fail(BITTRUE_FORMAT, at + 8, "buffer %u ends after the %s: %llu bytes from %llu of %llu", i,
             buffer.constant ? "constants" : "arena", (ull)buffer.nbytes, (ull)buffer.offset,
             (ull)limit);
      }
      if (buffer.constant) {
        const uint64_t start = (tiled + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        if (buffer.offset != start) {
          fail(BITTRUE_FORMAT, at + 8, "constant buffer %u must start at byte %llu, not %llu", i,
               (ull)start, (ull)buffer.offset);
        }
        require_zeros(constants.offset + tiled, constants.offset + start,
                      "bytes between constants");
        tiled = buffer.offset + buffer.nbytes;
      }
      program->buffers.push_back(buffer);
    }
    if (tiled != constants.nbytes) {
      fail(BITTRUE_FORMAT, SECTION_TABLE_AT + 16 * CONSTANTS + 8,
           "section CONSTANTS must have the %llu bytes of its buffers, not %llu", (ull)tiled,
           (ull)constants.nbytes);
    }
  }

  void read_tensors(Program* program) const {
    const Span names = header_.sections[NAMES];
    uint64_t named = 0;
    std::unordered_set<std::string> seen;
    program->tensors.reserve(header_.tensors);
    for (uint32_t i = 0; i < header_.tensors; i++) {
      const uint64_t at = header_.sections[TENSORS].offset + 64ull * i;
      Tensor tensor{};
      const uint32_t length = u32(at + 4);
      if (u32(at) != named) {
        fail(BITTRUE_FORMAT, at, "name of tensor %u must start at byte %llu, not %u", i, (ull)named,
             u32(at));
      }
      if (length < 1 || length > 65535 || length > names.nbytes - named) {
        fail(BITTRUE_FORMAT, at + 4, "name of tensor %u has %u bytes; 1 to 65535 and %llu are left",
             i, length, (ull)(names.nbytes - named));
      }
      tensor.name.assign(reinterpret_cast<const char*>(file_ + names.offset + named), length);
      require_text(tensor.name, names.offset + named, i);
      if (!seen.insert(tensor.name).second) {
        fail(BITTRUE_FORMAT, at, "a second tensor is called '%.80s'", tensor.name.c_str());
      }
      named += length;
      read_type(at, i, &tensor);
      read_numbers(at, i, *program, &tensor);
      program->tensors.push_back(std::move(tensor));
    }
    if (named != names.nbytes) {
      fail(BITTRUE_FORMAT, SECTION_TABLE_AT + 16 * NAMES + 8,
           "section NAMES must have the %llu bytes of the names, not %llu", (ull)named,
           (ull)names.nbytes);
    }
  }

  void read_type(uint64_t at, uint32_t i, Tensor* tensor) const {
    tensor->dtype = u32(at + 8);
    tensor->rank = u32(at + 12);
    if (tensor->dtype < BITTRUE_UINT8 || tensor->dtype > BITTRUE_FLOAT32) {
      fail(BITTRUE_FORMAT, at + 8, "type of tensor %u must be 1 to 4, not %u", i, tensor->dtype);
    }
    if (tensor->rank < 1 || tensor->rank > 6) {
      fail(BITTRUE_FORMAT, at + 12, "rank of tensor %u must be 1 to 6, not %u", i, tensor->rank);
    }
    tensor->nbytes = tensor->dtype <= BITTRUE_INT8 ? 1 : 4;
    for (uint32_t axis = 0; axis < 6; axis++) {
      const uint64_t place = at + 16 + 4ull * axis;
      const uint32_t dim = u32(place);
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

  void read_numbers(uint64_t at, uint32_t i, const Program& program, Tensor* tensor) const {
    tensor->buffer = u32(at + 40);
    if (tensor->buffer >= program.buffers.size()) {
      fail(BITTRUE_FORMAT, at + 40, "tensor %u lies in buffer %u of %u", i, tensor->buffer,
           header_.buffers);
    }
    if (tensor->nbytes != program.buffers[tensor->buffer].nbytes) {
      fail(BITTRUE_FORMAT, at + 16, "tensor %u takes %llu bytes, its buffer %u has %llu", i,
           (ull)tensor->nbytes, tensor->buffer, (ull)program.buffers[tensor->buffer].nbytes);
    }
    const uint32_t zero_point = u32(at + 44), scale = u32(at + 48);
    if (zero_point > 255) {
      fail(BITTRUE_FORMAT, at + 44, "zero point of tensor %u must be 0 to 255, not %d", i,
           (int32_t)zero_point);
    }
    if (scale >= 0x7f800000u) {  // a sign, an infinity or a NaN
      fail(BITTRUE_FORMAT, at + 48, "scale of tensor %u must be 0 or positive and finite", i);
    }
    tensor->zero_point = (int32_t)zero_point;
    memcpy(&tensor->scale, &scale, sizeof scale);
    require_zeros(at + 52, at + 64, "bytes 52 to 63 of a tensor");
  }

  static void require_text(const std::string& text, uint64_t at, uint32_t tensor) {
    const auto* byte = reinterpret_cast<const uint8_t*>(text.data());
    for (size_t i = 0; i < text.size();) {
      const size_t length = utf8_length(byte + i, text.size() - i);
      if (length == 0) fail(BITTRUE_FORMAT, at + i, "name of tensor %u is not UTF-8", tensor);
      if (byte[i] == 0) fail(BITTRUE_FORMAT, at + i, "name of tensor %u has a zero byte", tensor);
      i += length;
    }
  }

  void read_code(Program* program) const {
    const uint64_t base = header_.sections[CODE].offset;
    program->words.resize(header_.words);
    if (header_.words > 0) memcpy(program->words.data(), file_ + base, 4ull * header_.words);
    std::vector<ConstantFacts> facts(program->buffers.size());
    uint64_t next = 0;
    for (uint32_t i = 0; i < header_.instructions; i++) {
      const uint64_t at = base + 4 * next;
      const uint64_t left = header_.words - next;
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
               row->name, word[4 + j], header_.tensors);
        }
      }
      const Instruction instruction{
          row, at, word[1], word + 4, word[4 + word[1]], word + 5 + word[1]};
      verify_instruction(*program, instruction, &facts);
      program->instructions.push_back(instruction);
      next += length;
    }
    if (next != header_.words) {
      fail(BITTRUE_FORMAT, base + 4 * next, "the instructions take %llu words, CODE has %u",
           (ull)next, header_.words);
    }
  }

  void read_ports(Program* program) const {
    program->inputs = read_port_list(*program, 0, header_.inputs, "input");
    program->outputs = read_port_list(*program, header_.inputs, header_.outputs, "output");
  }

  std::vector<uint32_t> read_port_list(const Program& program, uint32_t first, uint32_t count,
                                       const char* what) const {
    std::vector<uint32_t> ports;
    std::unordered_set<uint32_t> buffers;
    for (uint32_t i = 0; i < count; i++) {
      const uint64_t at = header_.sections[IO].offset + 4ull * (first + i);
      const uint32_t tensor = u32(at);
      if (tensor >= program.tensors.size()) {
        fail(BITTRUE_FORMAT, at, "%s %u is tensor %u of %u", what, i, tensor, header_.tensors);
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

  void read_vectors(Program* program) const {
    Vectors* vectors = &program->vectors;
    for (uint32_t i = 0; i < header_.tensors; i++) {
      if (!program->buffers[program->tensors[i].buffer].constant) vectors->hashed.push_back(i);
    }
    uint64_t elements = 0;
    for (const uint32_t input : program->inputs) {
      vectors->input_starts.push_back(elements);
      elements += (uint64_t)program->tensors[input].count();  // 1024 inputs of at most 2^40 bytes
    }
    const Span span = header_.sections[VECTORS];
    const uint64_t row_bytes = Vectors::HEAD_BYTES + Vectors::HASH_BYTES * vectors->hashed.size();
    const uint64_t whole =
        header_.vectors == 0 ? 0
                             : Vectors::RANGE_BYTES * header_.inputs + header_.vectors * row_bytes;
    if (span.nbytes != whole) {
      fail(BITTRUE_FORMAT, SECTION_TABLE_AT + 16 * VECTORS + 8,
           "section VECTORS must have %llu bytes, not %llu", (ull)whole, (ull)span.nbytes);
    }
    vectors->count = header_.vectors;
    if (header_.vectors == 0) return;
    vectors->section = file_ + span.offset;
    for (uint32_t i = 0; i < header_.inputs; i++) check_range(*program, i);
    for (uint32_t i = 0; i < header_.vectors; i++) {
      check_vector(span.offset + (uint64_t)(vectors->row(i) - vectors->section), i);
    }
  }

  void check_range(const Program& program, uint32_t input) const {
    const uint64_t at = header_.sections[VECTORS].offset + Vectors::RANGE_BYTES * input;
    const uint32_t dtype = program.tensors[program.inputs[input]].dtype;
    bool good;
    if (dtype == BITTRUE_FLOAT32) {
      float low, high;
      memcpy(&low, file_ + at, sizeof low);
      memcpy(&high, file_ + at + 4, sizeof high);
      // Comparisons with a NaN are false; a difference with an infinity is not finite.
      good = low <= high && std::isfinite(high - low);
    } else {
      const auto low = (int32_t)u32(at), high = (int32_t)u32(at + 4);
      const int32_t least = dtype == BITTRUE_UINT8 ? 0 : dtype == BITTRUE_INT8 ? -128 : INT32_MIN;
      const int32_t most = dtype == BITTRUE_UINT8 ? 255 : dtype == BITTRUE_INT8 ? 127 : INT32_MAX;
      good = least <= low && low <= high && high <= most;
    }
    if (!good) {
      fail(BITTRUE_FORMAT, at, "the range of input %u is none of its type: 0x%08x to 0x%08x", input,
           u32(at), u32(at + 4));
    }
  }

  void check_vector(uint64_t at, uint32_t index) const {
    const uint32_t pattern = u32(at);
    if (pattern > Vectors::HIGHEST) {
      fail(BITTRUE_FORMAT, at, "pattern of vector %u must be 0 to 2, not %u", index, pattern);
    }
    if (u32(at + 4) != 0) fail(BITTRUE_FORMAT, at + 4, "word 1 of vector %u must be zero", index);
    if (pattern != Vectors::RANDOM && u64(at + 8) != 0) {
      fail(BITTRUE_FORMAT, at + 8, "seed of vector %u must be 0, it is not random", index);
    }
  }

  const uint8_t* file_;
  uint64_t nbytes_;
  Header header_{};
};

}  // namespace

Program read_program(const uint8_t* file, uint64_t nbytes) { return Reader(file, nbytes).read(); }

}  // namespace bittrue
