// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html is the rule.
#include "npy.h"

#include <string.h>

#include <iterator>

#include "bittrue.h"
#include "error.h"

namespace run {
namespace {

constexpr uint8_t MAGIC[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
constexpr size_t MOST_AXES = 64;

struct TypeRow {
  uint32_t dtype;  // of bittrue.h; 0 where a program has none
  const char* descr;
  const char* name;
};

constexpr TypeRow TYPES[] = {
    {BITTRUE_UINT8, "|u1", "uint8"},
    {BITTRUE_INT8, "|i1", "int8"},
    {BITTRUE_INT32, "<i4", "int32"},
    {BITTRUE_FLOAT32, "<f4", "float32"},
    {0, "|b1", "bool"},
    {0, "<u2", "uint16"},
    {0, "<i2", "int16"},
    {0, "<u4", "uint32"},
    {0, "<i8", "int64"},
    {0, "<u8", "uint64"},
    {0, "<f2", "float16"},
    {0, "<f8", "float64"},
    {0, ">f4", "big-endian float32"},
    {0, ">i4", "big-endian int32"},
};

// Reads the header's text, a Python dictionary of three keys.
class HeaderText {
 public:
  HeaderText(const std::string& path, const char* text, size_t length)
      : path_(path), at_(text), end_(text + length) {}

  void read(NpyHeader* header) {
    bool seen[3] = {};
    expect('{');
    while (!taken('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr" && !seen[0]) {
        header->descr = string();
        seen[0] = true;
      } else if (key == "fortran_order" && !seen[1]) {
        header->fortran_order = boolean();
        seen[1] = true;
      } else if (key == "shape" && !seen[2]) {
        header->shape = tuple();
        seen[2] = true;
      } else {
        refuse("has a header with the key '" + key + "' too many");
      }
      if (!taken(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (at_ != end_) refuse("has more in its header than a dictionary");
    if (!seen[0] || !seen[1] || !seen[2]) {
      refuse("has a header without one of descr, fortran_order and shape");
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& message) const {
    throw Error{DATA, path_, message, "write the file with numpy.save"};
  }

  void skip_blanks() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t')) at_++;
  }

  bool taken(char letter) {
    skip_blanks();
    if (at_ == end_ || *at_ != letter) return false;
    at_++;
    return true;
  }

  void expect(char letter) {
    if (!taken(letter)) refuse(std::string("has a header without the '") + letter + "' expected");
  }

  std::string string() {
    const char quote = taken('\'') ? '\'' : '"';
    if (quote == '"' && !taken('"')) {
      refuse(
          "has a header with another value than text where text is expected: a structured type?");
    }
    std::string text;
    for (; at_ < end_ && *at_ != quote; at_++) {
      if (*at_ == '\\' || (unsigned char)*at_ < 0x20) refuse("has a header with an odd text");
      text += *at_;
    }
    if (at_ == end_) refuse("has a header that ends within a text");
    at_++;
    return text;
  }

  bool boolean() {
    skip_blanks();
    for (const char* word : {"True", "False"}) {
      const size_t length = strlen(word);
      if ((size_t)(end_ - at_) < length || memcmp(at_, word, length) != 0) continue;
      at_ += length;
      return *word == 'T';
    }
    refuse("has a header whose fortran_order is neither True nor False");
  }

  std::vector<uint64_t> tuple() {
    std::vector<uint64_t> found;
    expect('(');
    while (!taken(')')) {
      if (found.size() == MOST_AXES) refuse("has a header with more than 64 axes");
      found.push_back(number());
      if (!taken(',')) {
        expect(')');
        break;
      }
    }
    return found;
  }

  uint64_t number() {
    skip_blanks();
    const char* start = at_;
    uint64_t value = 0;
    for (; at_ < end_ && *at_ >= '0' && *at_ <= '9'; at_++) {
      if (__builtin_mul_overflow(value, 10u, &value) ||
          __builtin_add_overflow(value, (uint64_t)(*at_ - '0'), &value)) {
        refuse("has a header with a size past 2^64");
      }
    }
    if (at_ == start) refuse("has a header with a size that is no whole number");
    return value;
  }

  const std::string& path_;
  const char* at_;
  const char* end_;
};

}  // namespace

const char* npy_descr(uint32_t dtype) { return TYPES[dtype - 1].descr; }
const char* dtype_name(uint32_t dtype) { return TYPES[dtype - 1].name; }

std::string descr_text(const std::string& descr) {
  for (const TypeRow& row : TYPES) {
    if (descr == row.descr) return row.name;
  }
  return descr;
}

NpyHeader read_npy_header(const std::string& path, const Bytes& file) {
  const auto refuse = [&](const std::string& message, const char* next) {
    throw Error{DATA, path, message, next};
  };
  if (file.size() < 10 || memcmp(file.data(), MAGIC, sizeof MAGIC) != 0) {
    refuse("does not start as a .npy file does",
           "write it with numpy.save, or name raw bytes NAME.bin");
  }
  const uint32_t major = file[6], minor = file[7];
  if ((major != 1 && major != 2) || minor != 0) {
    refuse("is .npy version " + std::to_string(major) + "." + std::to_string(minor) +
               "; 1.0 and 2.0 are read",
           "write it with numpy.save");
  }
  uint64_t length = file[8] | (uint64_t)file[9] << 8, start = 10;
  if (major == 2) {
    if (file.size() < 12) refuse("ends within its header", "copy or write it again");
    length |= (uint64_t)file[10] << 16 | (uint64_t)file[11] << 24;
    start = 12;
  }
  if (length > MOST_NPY_HEADER) {
    refuse("has a header of " + std::to_string(length) + " bytes; at most 65536 are read",
           "write it with numpy.save");
  }
  if (length > file.size() - start) refuse("ends within its header", "copy or write it again");
  NpyHeader header;
  HeaderText(path, reinterpret_cast<const char*>(file.data()) + start, (size_t)length)
      .read(&header);
  header.data_at = start + length;
  return header;
}

Bytes npy_bytes(uint32_t dtype, const std::vector<uint64_t>& shape, const uint8_t* data,
                uint64_t nbytes) {
  std::string text =
      std::string("{'descr': '") + npy_descr(dtype) + "', 'fortran_order': False, 'shape': (";
  for (const uint64_t dim : shape) text += std::to_string(dim) + ", ";
  // NumPy writes (5,) but (1, 3).
  text.resize(text.size() - (shape.size() == 1 ? 1 : 2));
  text += "), }";
  constexpr size_t BEFORE = 10, ALIGNMENT = 64;
  text.append(ALIGNMENT - 1 - (BEFORE + text.size()) % ALIGNMENT, ' ');
  text += '\n';
  Bytes file(std::begin(MAGIC), std::end(MAGIC));
  file.insert(file.end(), {1, 0, (uint8_t)(text.size() & 255), (uint8_t)(text.size() >> 8)});
  file.insert(file.end(), text.begin(), text.end());
  file.insert(file.end(), data, data + nbytes);
  return file;
}

}  // namespace run
