#include "file_layout.h"

#include "bittrue.h"
#include "crc32.h"
#include "failure.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are read as they lie");

namespace bittrue {
namespace {

using ull = unsigned long long;  // for printf

constexpr uint64_t HEADER_BYTES = 192;
constexpr uint32_t MOST_ITEMS = 1u << 20;
constexpr uint32_t MOST_WORDS = 1u << 26;
constexpr uint64_t MOST_META = 1u << 26;
constexpr uint32_t MOST_PORTS = 1024;
constexpr uint32_t MOST_VECTORS = 64;
constexpr uint32_t VERSION = 2;

constexpr const char* SECTION_NAMES[] = {"META", "NAMES", "BUFFERS",   "TENSORS",
                                         "CODE", "IO",    "CONSTANTS", "VECTORS"};
constexpr uint64_t SECTION_TABLE_AT = 56;
constexpr uint64_t VECTOR_COUNT_AT = SECTION_TABLE_AT + 16 * SECTION_COUNT;

uint32_t read_count(const FileLayout& layout, uint64_t at, const char* what, uint32_t least,
                    uint32_t most) {
  const uint32_t count = layout.u32(at);
  if (count < least || count > most) {
    fail(BITTRUE_FORMAT, at, "%s must be %u to %u, not %u", what, least, most, count);
  }
  return count;
}

void read_header(FileLayout* layout) {
  if (layout->nbytes < HEADER_BYTES) {
    fail(BITTRUE_FORMAT, layout->nbytes, "the header takes %llu bytes, the file has %llu",
         (ull)HEADER_BYTES, (ull)layout->nbytes);
  }
  if (memcmp(layout->file, "BITTRUE", 8) != 0) {
    fail(BITTRUE_FORMAT, 0, "the file does not start with the eight bytes of a bittrue executable");
  }
  if (layout->u32(8) != VERSION) {
    fail(BITTRUE_FORMAT, 8, "format version is %u, this engine reads %u: compile it again",
         layout->u32(8), VERSION);
  }
  if (layout->u64(16) != layout->nbytes) {
    fail(BITTRUE_FORMAT, 16, "the header says %llu bytes, the file has %llu", (ull)layout->u64(16),
         (ull)layout->nbytes);
  }
  const uint32_t crc = crc32(layout->file + 16, layout->nbytes - 16);
  if (layout->u32(12) != crc) {
    fail(BITTRUE_FORMAT, 12, "checksum is 0x%08x, the bytes give 0x%08x", layout->u32(12), crc);
  }
  layout->arena_bytes = layout->u64(24);
  if (layout->arena_bytes % 64 != 0 || layout->arena_bytes > MOST_BYTES) {
    fail(BITTRUE_FORMAT, 24, "arena bytes must be a multiple of 64 up to 2^40, not %llu",
         (ull)layout->arena_bytes);
  }
  layout->tensors = read_count(*layout, 32, "number of tensors", 0, MOST_ITEMS);
  layout->buffers = read_count(*layout, 36, "number of buffers", 0, MOST_ITEMS);
  layout->instructions = read_count(*layout, 40, "number of instructions", 0, MOST_ITEMS);
  layout->words = read_count(*layout, 44, "words of code", 0, MOST_WORDS);
  layout->inputs = read_count(*layout, 48, "number of inputs", 1, MOST_PORTS);
  layout->outputs = read_count(*layout, 52, "number of outputs", 1, MOST_PORTS);
  layout->vectors = read_count(*layout, VECTOR_COUNT_AT, "number of vectors", 0, MOST_VECTORS);
  layout->require_zeros(VECTOR_COUNT_AT + 4, HEADER_BYTES, "reserved bytes");
}

void read_sections(FileLayout* layout) {
  const uint64_t exact[SECTION_COUNT] = {0,
                                         0,
                                         24ull * layout->buffers,
                                         64ull * layout->tensors,
                                         4ull * layout->words,
                                         4ull * (layout->inputs + layout->outputs),
                                         0,
                                         0};
  uint64_t end = HEADER_BYTES;
  for (uint32_t i = 0; i < SECTION_COUNT; i++) {
    const uint64_t at = SECTION_TABLE_AT + 16ull * i;
    const Span span{layout->u64(at), layout->u64(at + 8)};
    const uint64_t start = aligned(end);  // end <= layout->nbytes
    if (span.offset != start) {
      fail(BITTRUE_FORMAT, at, "section %s must start at byte %llu, not %llu", SECTION_NAMES[i],
           (ull)start, (ull)span.offset);
    }
    if (start > layout->nbytes || span.nbytes > layout->nbytes - start) {
      fail(BITTRUE_FORMAT, at + 8, "section %s ends after the file: %llu bytes from %llu of %llu",
           SECTION_NAMES[i], (ull)span.nbytes, (ull)start, (ull)layout->nbytes);
    }
    layout->sections[i] = span;
    if (i >= BUFFERS && i <= IO) layout->require_length((Section)i, exact[i], "");
    if (i == META && span.nbytes > MOST_META) {
      fail(BITTRUE_FORMAT, at + 8, "section META must have at most 2^26 bytes, not %llu",
           (ull)span.nbytes);
    }
    layout->require_zeros(end, start, "bytes between sections");
    end = span.offset + span.nbytes;
  }
  const uint64_t whole = aligned(end);
  if (whole != layout->nbytes) {
    fail(BITTRUE_FORMAT, 16, "the file must end at byte %llu, not %llu", (ull)whole,
         (ull)layout->nbytes);
  }
  layout->require_zeros(end, whole, "bytes after the last section");
}

}  // namespace

void FileLayout::require_zeros(uint64_t begin, uint64_t end, const char* what) const {
  for (uint64_t at = begin; at < end; at++) {
    if (file[at] != 0) fail(BITTRUE_FORMAT, at, "%s must be zero, not %u", what, file[at]);
  }
}

void FileLayout::require_length(Section section, uint64_t wanted, const char* of_what) const {
  const uint64_t found = sections[section].nbytes;
  if (found != wanted) {
    fail(BITTRUE_FORMAT, SECTION_TABLE_AT + 16ull * section + 8,
         "section %s must have %s%llu bytes%s, not %llu", SECTION_NAMES[section],
         *of_what ? "the " : "", (ull)wanted, of_what, (ull)found);
  }
}

FileLayout read_layout(const uint8_t* file, uint64_t nbytes) {
  FileLayout layout{};
  layout.file = file;
  layout.nbytes = nbytes;
  read_header(&layout);
  read_sections(&layout);
  return layout;
}

}  // namespace bittrue
