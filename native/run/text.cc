#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

namespace run {

std::string quoted(const std::string& name) {
  std::string text = "'";
  for (const char letter : name) {
    const auto byte = (unsigned char)letter;
    char escaped[5];
    snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    if (byte < 0x20 || byte == 0x7f) {
      text += escaped;
    } else {
      text += letter;
    }
  }
  return text + "'";
}

std::string json_string(const std::string& name) {
  std::string text = "\"";
  for (const char letter : name) {
    const auto byte = (unsigned char)letter;
    char escaped[7];
    snprintf(escaped, sizeof escaped, "\\u%04x", byte);
    if (byte < 0x20 || byte == 0x7f) {
      text += escaped;
    } else if (letter == '"' || letter == '\\') {
      text += {'\\', letter};
    } else {
      text += letter;
    }
  }
  return text + "\"";
}

std::string shape_text(const std::vector<uint64_t>& shape) {
  std::string text;
  for (const uint64_t dim : shape) text += (text.empty() ? "" : ", ") + std::to_string(dim);
  return "[" + text + "]";
}

std::string float_text(float value) {
  char text[32];
  snprintf(text, sizeof text, "%.9g", (double)value);
  return text;
}

std::string file_name(uint32_t number, const std::string& name) {
  constexpr size_t MOST_LETTERS = 80;
  char digits[16];
  snprintf(digits, sizeof digits, "%05u_", number);
  std::string text = digits;
  for (const char letter : name.substr(0, MOST_LETTERS)) {
    const auto byte = (unsigned char)letter;
    text += byte < 0x80 && (isalnum(byte) || letter == '.' || letter == '-') ? letter : '_';
  }
  return text + ".npy";
}

bool ends_in(const std::string& text, const char* end) {
  const size_t length = strlen(end);
  return text.size() >= length && strcasecmp(text.c_str() + text.size() - length, end) == 0;
}

}  // namespace run
