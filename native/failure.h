// How the engine's parts report what went wrong; interface.cc turns it into a bittrue_error.
#ifndef BITTRUE_FAILURE_H_
#define BITTRUE_FAILURE_H_

#include <stddef.h>
#include <stdint.h>

#include <string>

namespace bittrue {

struct Failure {
  int32_t code;     // BITTRUE_FORMAT, ...
  uint64_t offset;  // byte of the file, or BITTRUE_NO_OFFSET
  std::string text;
};

// Bytes of the UTF-8 character at `byte`, of which `left` bytes are there; 0 if it is none:
// overlong forms, surrogates and what lies past U+10FFFF are none.
size_t utf8_length(const uint8_t* byte, size_t left);

// Throw a Failure with text as printf makes it; in it, what is no UTF-8 or no printable character
// becomes '?'.
[[noreturn]] __attribute__((format(printf, 3, 4))) void fail(int32_t code, uint64_t offset,
                                                             const char* format, ...);

}  // namespace bittrue

#endif  // BITTRUE_FAILURE_H_
