// A .bte file taken apart, so that a mutation can change one thing and mend what hangs on it.
// It knows the layout of docs/format.md and no rule: those are what is under test.
#ifndef BITTRUE_FUZZ_PARTS_H_
#define BITTRUE_FUZZ_PARTS_H_

#include <stdint.h>

#include <array>
#include <string>
#include <vector>

namespace bittrue_fuzz {

using Bytes = std::vector<uint8_t>;
using Words = std::vector<uint32_t>;

constexpr size_t HEADER_BYTES = 192;
constexpr size_t CHECKSUM_AT = 12;
constexpr size_t SECTION_TABLE = 56;
constexpr size_t VECTORS_AT = 184;  // how many

// One number of the header. The sections' offsets and lengths are found through SECTION_TABLE.
struct Field {
  size_t at, width;
};
constexpr Field HEADER_FIELDS[] = {{0, 8},  {8, 4},  {12, 4}, {16, 8}, {24, 8},  {32, 4}, {36, 4},
                                   {40, 4}, {44, 4}, {48, 4}, {52, 4}, {184, 4}, {188, 4}};

enum Section { META, NAMES, BUFFERS, TENSORS, CODE, IO, CONSTANTS, VECTORS, SECTION_COUNT };

using BufferRow = std::array<uint32_t, 6>;
enum BufferWord { KIND = 0, OFFSET = 2, LENGTH = 4 };
using TensorRow = std::array<uint32_t, 16>;
enum TensorWord {
  NAME_OFFSET,
  NAME_LENGTH,
  DTYPE,
  RANK,
  DIMS,
  BUFFER = 10,
  ZERO_POINT,
  SCALE,
  MOST_RANK = 6
};
// An instruction: code, counts of inputs, outputs and params, then those.
enum InstructionWord { INPUTS = 1, OUTPUTS, PARAMS, OPERANDS };
// The least and greatest element of an input, and a conformance vector without its hashes.
using RangeRow = std::array<uint32_t, 2>;
using VectorRow = std::array<uint32_t, 4>;
enum VectorWord { PATTERN, PATTERN_ZERO, SEED };

struct Parts {
  Bytes header, meta;
  std::vector<BufferRow> buffers;
  std::vector<TensorRow> tensors;
  std::vector<std::string> names;
  std::vector<Words> code;
  Words inputs, outputs;
  std::vector<Bytes> constants;  // of each buffer; empty for one in the arena
  std::vector<RangeRow> ranges;  // of each input; of too few or too many where those were changed
  std::vector<VectorRow> vectors;
};

// Whether the file could be taken apart.
bool take_apart(const uint8_t* file, size_t nbytes, Parts* parts);

// Make every buffer as long as the first tensor in it, and lay all of them out one after the other.
void mend_buffers(Parts* parts);

// The file with names, counts, sections, length and checksum that agree with the parts. Vectors get
// as many hashes as there are tensors in the arena; what the hashes say is never read by the
// engine.
Bytes put_together(const Parts& parts);

// Write the checksum that the bytes give, where the file is long enough.
void mend_checksum(uint8_t* file, size_t nbytes);

uint32_t read_u32(const uint8_t* at);
uint64_t read_u64(const uint8_t* at);
void write_u32(uint8_t* at, uint32_t value);
void write_u64(uint8_t* at, uint64_t value);

}  // namespace bittrue_fuzz

#endif  // BITTRUE_FUZZ_PARTS_H_
