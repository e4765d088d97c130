// The header and the sections of a .bte file (docs/format.md), checked, and its numbers.
#ifndef BITTRUE_FILE_LAYOUT_H_
#define BITTRUE_FILE_LAYOUT_H_

#include <stdint.h>
#include <string.h>

namespace bittrue {

constexpr uint64_t MOST_BYTES = 1ull << 40;  // of the arena, of a buffer, of a tensor

// Where what follows `end` starts; at most 63 more.
constexpr uint64_t aligned(uint64_t end) { return (end + 63) / 64 * 64; }

enum Section { META, NAMES, BUFFERS, TENSORS, CODE, IO, CONSTANTS, VECTORS, SECTION_COUNT };

struct Span {
  uint64_t offset, nbytes;
};

struct FileLayout {
  const uint8_t* file;
  uint64_t nbytes;
  uint64_t arena_bytes;
  uint32_t tensors, buffers, instructions, words, inputs, outputs, vectors;  // how many
  Span sections[SECTION_COUNT];

  // Callers have checked that the bytes are there.
  template <typename Number>
  Number read(uint64_t at) const {
    Number number;
    memcpy(&number, file + at, sizeof number);
    return number;
  }
  uint32_t u32(uint64_t at) const { return read<uint32_t>(at); }
  uint64_t u64(uint64_t at) const { return read<uint64_t>(at); }

  // Throws Failure(BITTRUE_FORMAT) at the first byte that is not zero.
  void require_zeros(uint64_t begin, uint64_t end, const char* what) const;

  // Throws Failure(BITTRUE_FORMAT) where a section has not the bytes that its rows say.
  void require_length(Section section, uint64_t wanted, const char* of_what) const;
};

// Throws Failure(BITTRUE_FORMAT) with the byte that breaks a rule.
FileLayout read_layout(const uint8_t* file, uint64_t nbytes);

}  // namespace bittrue

#endif  // BITTRUE_FILE_LAYOUT_H_
