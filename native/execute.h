// A program that is ready to run.
#ifndef BITTRUE_EXECUTE_H_
#define BITTRUE_EXECUTE_H_

#include <atomic>
#include <memory>

#include "bittrue.h"
#include "memory.h"
#include "plan.h"
#include "program.h"
#include "threads.h"

namespace bittrue {

struct OpenOptions {
  bool copy;  // keep the file's bytes; else point into them
  Isa isa;
  uint32_t threads;  // 0 for one a core
};

// The caller's memory for one run.
struct RunBuffers {
  const bittrue_input* inputs;
  uint32_t input_count;
  const bittrue_output* outputs;
  uint32_t output_count;
  const bittrue_tap* taps;
  uint32_t tap_count;
};

class Engine {
 public:
  // Throws Failure.
  Engine(const uint8_t* file, uint64_t nbytes, const OpenOptions& options);

  const Program& program() const { return program_; }
  const Plan& plan() const { return plan_; }
  Isa isa() const { return isa_; }
  uint32_t threads() const { return threads_.count(); }

  // Throws Failure before anything is computed.
  void run(const RunBuffers& buffers);

 private:
  void check(const RunBuffers& buffers) const;
  void compute(const RunBuffers& buffers);
  void copy_out(uint32_t tensor, void* to) const;

  Memory copy_;
  Program program_;
  Isa isa_;
  Threads threads_;
  Plan plan_;
  std::atomic<bool> running_{false};
};

}  // namespace bittrue

#endif  // BITTRUE_EXECUTE_H_
