// The engine's threads at their busiest, for a build with ThreadSanitizer:
//
//   thread_driver [FILE]
//
// First threads.cc alone, with parts forced: kernels of one unit to a few hundred, in every number
// of parts, by several callers with threads of their own at once. Then, where a FILE of cases
// (case.h) is given, all its programs at once, each opened three times with 4 threads; every run
// must give the bytes that one thread gives. Returns 0 if all is well.
#include <stdlib.h>

#include <memory>
#include <thread>

#include "case.h"
#include "threads.h"

namespace {

constexpr int CALLERS = 3;
constexpr uint32_t THREADS = 4;
constexpr int ROUNDS = 20;

struct Marks {
  uint32_t* at;
};

void mark(const void* args, int64_t begin, int64_t end) {
  const Marks& marks = *static_cast<const Marks*>(args);
  for (int64_t unit = begin; unit < end; unit++) marks.at[unit]++;
}

// Each step adds one to every unit; the next one reads what the last wrote, on another thread.
bool forced_parts() {
  bittrue::Threads threads(THREADS);
  std::vector<uint32_t> counts(331);
  const Marks marks{counts.data()};
  uint32_t steps = 0;
  for (int round = 0; round < ROUNDS; round++) {
    for (uint32_t parts = 1; parts <= threads.count(); parts++, steps++) {
      threads.run(mark, &marks, (int64_t)counts.size(), parts);
      threads.run(mark, &marks, parts, parts);  // a unit each
      for (uint32_t unit = 0; unit < parts; unit++) counts[unit]--;
    }
  }
  for (const uint32_t count : counts) {
    if (count != steps) return false;
  }
  return true;
}

// True if three runs of the program on THREADS threads have the bytes of one on one thread.
bool same_bytes(const Case& next) {
  Opened alone(next, 1), shared(next, THREADS);
  if (alone.code() != BITTRUE_OK || shared.code() != BITTRUE_OK) return false;
  alone.run(next);
  for (int round = 0; round < 3; round++) {
    shared.run(next);
    if (shared.code() != BITTRUE_OK || shared.bytes() != alone.bytes()) return false;
  }
  return true;
}

// Calls every job in a thread of its own; true if all are.
template <typename Job>
bool all_at_once(size_t count, const Job& job) {
  std::vector<std::thread> callers;
  const auto good = std::make_unique<bool[]>(count);
  for (size_t i = 0; i < count; i++) callers.emplace_back([&, i] { good[i] = job(i); });
  bool all = true;
  for (size_t i = 0; i < count; i++) {
    callers[i].join();
    all = all && good[i];
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (!all_at_once(CALLERS, [](size_t) { return forced_parts(); })) {
    fprintf(stderr, "a unit was run more or less than once\n");
    return 1;
  }
  std::vector<Case> cases;
  if (argc == 2) {
    FILE* file = fopen(argv[1], "rb");
    if (file == nullptr) {
      fprintf(stderr, "%s cannot be read\n", argv[1]);
      return 2;
    }
    for (Case next; read_case(file, &next);) cases.push_back(next);
    fclose(file);
  }
  if (!all_at_once(cases.size() * CALLERS,
                   [&](size_t i) { return same_bytes(cases[i / CALLERS]); })) {
    fprintf(stderr, "a program gave other bytes on %u threads\n", THREADS);
    return 1;
  }
  printf("%d callers, %zu programs: well\n", CALLERS, cases.size());
  return 0;
}
