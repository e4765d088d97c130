#include "threads.h"

#include <unistd.h>

#include <system_error>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace bittrue {
namespace {

void run_part(Kernel kernel, const void* args, int64_t units, uint32_t parts, uint32_t part) {
  const int64_t begin = units / parts * part + units % parts * part / parts;
  const int64_t end = units / parts * (part + 1) + units % parts * (part + 1) / parts;
  if (begin < end) kernel(args, begin, end);
}

// Looks at `ready` for some 20 us: the next step of a network comes sooner than a sleeping thread
// wakes up.
template <typename Ready>
void watch(const Ready& ready) {
  for (int i = 0; i < 500 && !ready(); i++) {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
  }
}

}  // namespace

#if defined(__x86_64__)

FloatEnvironment::FloatEnvironment() : saved_(_mm_getcsr()) {
  _mm_setcsr(0x1f80);  // all exceptions masked; rounding 00; flush-to-zero, denormals-are-zero off
}
FloatEnvironment::~FloatEnvironment() { _mm_setcsr((uint32_t)saved_); }

#elif defined(__aarch64__)

FloatEnvironment::FloatEnvironment() {
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
  __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)0));  // rounding 00, FZ off, traps off
}
FloatEnvironment::~FloatEnvironment() { __asm__ volatile("msr fpcr, %0" ::"r"(saved_)); }

#else
#error "set the rounding mode and denormal flags of this architecture here"
#endif

Threads::Threads(uint32_t wanted) : owner_(getpid()) {
  if (wanted == 0) wanted = std::thread::hardware_concurrency();
  try {
    for (uint32_t index = 1; index < wanted; index++) {
      workers_.emplace_back([this, index] { work(index); });
    }
  } catch (const std::system_error&) {
    // Fewer threads give the same results later.
  }
}

Threads::~Threads() {
  if (getpid() != owner_) {
    for (std::thread& worker : workers_) worker.detach();
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Threads::run(Kernel kernel, const void* args, int64_t units, uint32_t parts) {
  if (parts > count()) parts = count();
  if (parts <= 1 || getpid() != owner_) {
    kernel(args, 0, units);
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    job_ = {kernel, args, units, parts};
    pending_ = parts - 1;
    generation_++;
  }
  wake_.notify_all();
  run_part(kernel, args, units, parts, 0);
  watch([this] { return pending_ == 0; });
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [this] { return pending_ == 0; });
}

void Threads::work(uint32_t index) {
  const FloatEnvironment environment;
  uint64_t seen = 0;
  for (;;) {
    Job job;
    watch([this, seen] { return generation_ != seen; });
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this, seen] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
      job = job_;
    }
    if (index >= job.parts) continue;
    run_part(job.kernel, job.args, job.units, job.parts, index);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--pending_ == 0) done_.notify_one();
  }
}

}  // namespace bittrue
