// A few threads that share the units of one kernel call in fixed parts.
#ifndef BITTRUE_THREADS_H_
#define BITTRUE_THREADS_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "kernels.h"

namespace bittrue {

// Sets the float environment of the calling thread to the law of docs/numerics.md (round to
// nearest even, denormals kept, exceptions masked) and restores the old one.
class FloatEnvironment {
 public:
  FloatEnvironment();
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  uint64_t saved_;
};

class Threads {
 public:
  // `wanted` threads, the caller's included; 0 for one a core. Takes what the system gives.
  explicit Threads(uint32_t wanted);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  uint32_t count() const { return (uint32_t)workers_.size() + 1; }

  // Run units 0 to units - 1 in `parts` equal parts, at most count(), and wait for all of them.
  // One call at a time.
  void run(Kernel kernel, const void* args, int64_t units, uint32_t parts);

 private:
  struct Job {
    Kernel kernel;
    const void* args;
    int64_t units;
    uint32_t parts;
  };
  void work(uint32_t index);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Job job_{};
  // Written under the mutex; atomic, so that a thread may watch them for a moment before it sleeps.
  std::atomic<uint64_t> generation_{0};
  std::atomic<uint32_t> pending_{0};
  bool stop_ = false;
  int owner_;  // process; after a fork the workers are gone
};

}  // namespace bittrue

#endif  // BITTRUE_THREADS_H_
