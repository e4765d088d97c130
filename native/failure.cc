#include "failure.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "bittrue.h"

namespace bittrue {

size_t utf8_length(const uint8_t* byte, size_t left) {
  if (left == 0) return 0;
  const uint32_t lead = byte[0];
  const size_t more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || more >= left) return 0;
  for (size_t i = 1; i <= more; i++) {
    if ((byte[i] & 0xc0) != 0x80) return 0;
  }
  if (more < 2) return more + 1;
  const uint32_t next = byte[1];
  const bool bad = (lead == 0xe0 && next < 0xa0) || (lead == 0xed && next > 0x9f) ||
                   (lead == 0xf0 && next < 0x90) || (lead == 0xf4 && next > 0x8f);
  return bad ? 0 : more + 1;
}

void fail(int32_t code, uint64_t offset, const char* format, ...) {
  char text[sizeof(bittrue_error::text)];
  va_list values;
  va_start(values, format);
  vsnprintf(text, sizeof text, format, values);
  va_end(values);
  // Names are the caller's or the file's, and the limits above may cut a character in two.
  auto* byte = reinterpret_cast<uint8_t*>(text);
  for (size_t left = strlen(text), length; left > 0; byte += length, left -= length) {
    length = utf8_length(byte, left);
    if (length > 0 && *byte >= 0x20) continue;
    *byte = '?';
    length = 1;
  }
  throw Failure{code, offset, text};
}

}  // namespace bittrue
