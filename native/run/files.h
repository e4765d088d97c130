// Files of bittrue-run: read whole, written to a temporary file that is then renamed.
#ifndef BITTRUE_RUN_FILES_H_
#define BITTRUE_RUN_FILES_H_

#include <stdint.h>

#include <string>
#include <vector>

namespace run {

using Bytes = std::vector<uint8_t>;

// The bytes of a file, at most `most` + 1 of them: one too many shows that there are more.
// Throws Error(DATA).
Bytes read_file(const std::string& path, uint64_t most);

// Write a file so that at `path` there is all of it, or what was there before.
// Throws Error(DATA).
void write_file(const std::string& path, const Bytes& bytes);

bool is_folder(const std::string& path);
bool is_there(const std::string& path);

// Make a folder unless it is there. Throws Error(DATA).
void make_folder(const std::string& path);

}  // namespace run

#endif  // BITTRUE_RUN_FILES_H_
