// How the engine's parts report what went wrong; interface.cc turns it into a bittrue_error.
#ifndef BITTRUE_FAILURE_H_
#define BITTRUE_FAILURE_H_

#include <stdint.h>

#include <string>

namespace bittrue {

struct Failure {
  int32_t code;     // BITTRUE_FORMAT, ...
  uint64_t offset;  // byte of the file, or BITTRUE_NO_OFFSET
  std::string text;
};

// Throw a Failure with text as printf makes it.
[[noreturn]] __attribute__((format(printf, 3, 4))) void fail(int32_t code, uint64_t offset,
                                                             const char* format, ...);

}  // namespace bittrue

#endif  // BITTRUE_FAILURE_H_
