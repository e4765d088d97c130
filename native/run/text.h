// Texts of bittrue-run: names that may hold anything, shapes, and file names made of them.
#ifndef BITTRUE_RUN_TEXT_H_
#define BITTRUE_RUN_TEXT_H_

#include <stdint.h>

#include <string>
#include <vector>

namespace run {

// 'name' with control characters as \xNN, so that a name from a file cannot steer a terminal.
std::string quoted(const std::string& name);

// "name" as JSON.
std::string json_string(const std::string& name);

// [1, 3, 4]
std::string shape_text(const std::vector<uint64_t>& shape);

// A number that reads back as the same float32.
std::string float_text(float value);

// "00012_layer1_conv.npy": the number makes it the only one, the rest is for people. Only letters
// that every file system takes.
std::string file_name(uint32_t number, const std::string& name);

// Whether `text` ends in `end`, ASCII letters of either case being the same.
bool ends_in(const std::string& text, const char* end);

}  // namespace run

#endif  // BITTRUE_RUN_TEXT_H_
