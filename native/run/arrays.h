// Which file is which input or output, and arrays to and from files.
#ifndef BITTRUE_RUN_ARRAYS_H_
#define BITTRUE_RUN_ARRAYS_H_

#include <string>
#include <vector>

#include "files.h"
#include "model.h"

namespace run {

// The bytes of each input, in the program's order, from FILE or NAME=FILE.
// Throws Error(USAGE) for names, Error(DATA) for a file that does not fit its tensor.
std::vector<Bytes> read_inputs(const std::vector<Tensor>& tensors,
                               const std::vector<std::string>& given);

// Where each output goes, refused before anything runs.
struct Target {
  uint32_t output;  // index into the program's outputs
  std::string path;
};
struct Targets {
  std::vector<Target> files;
  std::vector<std::string> folders;
};
Targets find_targets(const std::vector<Tensor>& tensors, const std::vector<std::string>& given);

// Write one array as .npy or .bin, by the ending of its name. Throws Error(DATA).
void write_array(const std::string& path, const Tensor& tensor, const Bytes& bytes);

// Write arrays as .npy into a folder, which is made if need be, and index.json, which says what
// each file holds. Throws Error(DATA).
void write_folder(const std::string& folder, const std::vector<Tensor>& tensors,
                  const std::vector<Bytes>& arrays);

}  // namespace run

#endif  // BITTRUE_RUN_ARRAYS_H_
