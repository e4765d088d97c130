// Runs a harness without libFuzzer, but called like it: replays the files in some folders, then
// runs changed ones, the same for the same seed. Options that only libFuzzer has are passed over.
//
//   open_fuzzer -runs=100000 -seed=1 FOLDER...
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "harness.h"
#include "mutate.h"

using namespace bittrue_fuzz;

namespace {

constexpr size_t MOST_BYTES = 16384;
constexpr uint32_t LONGEST_WALK = 6;

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  require((bool)file, path.c_str());
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

// Those in `path`, in the order of their names, or `path` itself.
std::vector<Bytes> read_files(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> paths = {path};
  if (std::filesystem::is_directory(path)) {
    paths.assign(std::filesystem::directory_iterator(path), {});
    std::sort(paths.begin(), paths.end());
  }
  std::vector<Bytes> files;
  for (const auto& each : paths) files.push_back(read_file(each));
  return files;
}

// A few changes, one on the other, of a file or of two joined; each is run.
uint64_t walk(const std::vector<Bytes>& corpus, Random* random) {
  Bytes at(MOST_BYTES);
  const Bytes& first = corpus[random->below(corpus.size())];
  const Bytes& second = corpus[random->below(corpus.size())];
  size_t size = 0;
  if (random->one_in(4)) {
    size = LLVMFuzzerCustomCrossOver(first.data(), first.size(), second.data(), second.size(),
                                     at.data(), MOST_BYTES, random->below(UINT32_MAX));
  }
  if (size == 0) size = put(first, at.data(), MOST_BYTES);
  const uint32_t steps = 1 + random->below(LONGEST_WALK);
  for (uint32_t i = 0; i < steps; i++) {
    size = LLVMFuzzerCustomMutator(at.data(), size, MOST_BYTES, random->below(UINT32_MAX));
    const Bytes exact(at.begin(), at.begin() + (ptrdiff_t)size);  // its end is a block's end
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
  }
  return steps;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t wanted = 0, seed = 1;
  std::vector<Bytes> corpus;
  for (int i = 1; i < argc; i++) {
    if (strncmp(argv[i], "-runs=", 6) == 0) {
      wanted = strtoull(argv[i] + 6, nullptr, 10);
    } else if (strncmp(argv[i], "-seed=", 6) == 0) {
      seed = strtoull(argv[i] + 6, nullptr, 10);
    } else if (argv[i][0] != '-') {
      for (Bytes& file : read_files(argv[i])) corpus.push_back(std::move(file));
    }
  }
  require(!corpus.empty(), "a file to start from");
  for (const Bytes& file : corpus) LLVMFuzzerTestOneInput(file.data(), file.size());
  Random random(seed);
  uint64_t done = 0;
  while (done < wanted) done += walk(corpus, &random);
  printf("%zu files and %llu changed ones: nothing found\n", corpus.size(),
         (unsigned long long)done);
  return 0;
}
