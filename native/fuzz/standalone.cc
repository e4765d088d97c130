// Runs a harness without libFuzzer: replays files, then runs changed ones, the same for the same seed.
//
//   open_fuzzer COUNT SEED FILE...
#include <stdio.h>
#include <stdlib.h>

#include <fstream>
#include <iterator>
#include <vector>

#include "harness.h"
#include "mutate.h"

using namespace bittrue_fuzz;

namespace {

constexpr size_t MOST_BYTES = 16384;
constexpr uint32_t LONGEST_WALK = 6;

Bytes read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  require((bool)file, path);
  return Bytes(std::istreambuf_iterator<char>(file), {});
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
  if (argc < 4) {
    fprintf(stderr, "usage: %s COUNT SEED FILE...\n", argv[0]);
    return 2;
  }
  std::vector<Bytes> corpus;
  for (int i = 3; i < argc; i++) {
    corpus.push_back(read_file(argv[i]));
    LLVMFuzzerTestOneInput(corpus.back().data(), corpus.back().size());
  }
  const uint64_t wanted = strtoull(argv[1], nullptr, 10);
  Random random(strtoull(argv[2], nullptr, 10));
  uint64_t done = 0;
  while (done < wanted) done += walk(corpus, &random);
  printf("%zu files and %llu changed ones: nothing found\n", corpus.size(),
         (unsigned long long)done);
  return 0;
}
