#include "execute.h"

#include <string.h>

#include <algorithm>
#include <vector>

namespace bittrue {
namespace {

using ull = unsigned long long;  // for printf

void check_count(const char* what, uint32_t given, size_t wanted, const void* list) {
  if (given != wanted) {
    fail(BITTRUE_DATA, BITTRUE_NO_OFFSET, "the program has %zu %ss, not %u", wanted, what, given);
  }
  if (given > 0 && list == nullptr) {
    fail(BITTRUE_DATA, BITTRUE_NO_OFFSET, "the list of %ss is null", what);
  }
}

void check_buffer(const char* what, const Tensor& tensor, const void* data, uint64_t nbytes) {
  if (data == nullptr) {
    fail(BITTRUE_DATA, BITTRUE_NO_OFFSET, "%s '%.80s' is null", what, tensor.name.c_str());
  }
  if (nbytes != tensor.nbytes) {
    fail(BITTRUE_DATA, BITTRUE_NO_OFFSET, "%s '%.80s' takes %llu bytes, not %llu", what,
         tensor.name.c_str(), (ull)tensor.nbytes, (ull)nbytes);
  }
}

// Marks a run, so that a second one at the same time is refused.
class Running {
 public:
  explicit Running(std::atomic<bool>* flag) : flag_(flag) {
    if (flag_->exchange(true)) {
      fail(BITTRUE_USAGE, BITTRUE_NO_OFFSET,
           "another run of this program is under way; open it once for each thread");
    }
  }
  ~Running() { flag_->store(false); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  std::atomic<bool>* flag_;
};

Memory copy_of(const uint8_t* file, uint64_t nbytes) {
  Memory memory(nbytes, "a copy of the file");
  memcpy(memory.data(), file, nbytes);
  return memory;
}

}  // namespace

Engine::Engine(const uint8_t* file, uint64_t nbytes, bool copy, Isa isa, uint32_t threads)
    : copy_(copy ? copy_of(file, nbytes) : Memory()),
      program_(read_program(copy ? copy_.data() : file, nbytes)),
      isa_(isa),
      threads_(threads),
      plan_(make_plan(program_, isa, threads_.count(), nbytes)) {}

void Engine::check_buffers(const bittrue_input* inputs, uint32_t input_count,
                           const bittrue_output* outputs, uint32_t output_count,
                           const bittrue_tap* taps, uint32_t tap_count) const {
  check_count("input", input_count, program_.inputs.size(), inputs);
  check_count("output", output_count, program_.outputs.size(), outputs);
  check_count("tap", tap_count, tap_count, taps);
  for (uint32_t i = 0; i < input_count; i++) {
    check_buffer("input", program_.tensors[program_.inputs[i]], inputs[i].data, inputs[i].nbytes);
  }
  for (uint32_t i = 0; i < output_count; i++) {
    check_buffer("output", program_.tensors[program_.outputs[i]], outputs[i].data,
                 outputs[i].nbytes);
  }
  for (uint32_t i = 0; i < tap_count; i++) {
    if (taps[i].tensor >= program_.tensors.size()) {
      fail(BITTRUE_DATA, BITTRUE_NO_OFFSET, "tap %u is of tensor %u, the program has %zu", i,
           taps[i].tensor, program_.tensors.size());
    }
    check_buffer("tap", program_.tensors[taps[i].tensor], taps[i].data, taps[i].nbytes);
  }
}

void Engine::copy_out(uint32_t tensor, void* to) const {
  const Tensor& from = program_.tensors[tensor];
  memcpy(to, plan_.at(program_, from), from.nbytes);
}

void Engine::run(const bittrue_input* inputs, uint32_t input_count, const bittrue_output* outputs,
                 uint32_t output_count, const bittrue_tap* taps, uint32_t tap_count) {
  check_buffers(inputs, input_count, outputs, output_count, taps, tap_count);
  // After how many instructions a tap is due: NO_INSTRUCTION wraps to 0 on purpose.
  static_assert((uint32_t)(NO_INSTRUCTION + 1) == 0, "");
  const auto due_after = [&](const bittrue_tap& tap) {
    return plan_.last_writer[program_.tensors[tap.tensor].buffer] + 1;
  };
  std::vector<bittrue_tap> due(taps, taps + tap_count);
  std::stable_sort(due.begin(), due.end(), [&](const bittrue_tap& a, const bittrue_tap& b) {
    return due_after(a) < due_after(b);
  });
  const Running running(&running_);
  const FloatEnvironment environment;
  for (uint32_t i = 0; i < input_count; i++) {
    const Tensor& to = program_.tensors[program_.inputs[i]];
    memcpy(plan_.at(program_, to), inputs[i].data, to.nbytes);
  }
  size_t tap = 0, step = 0;
  for (uint32_t done = 0; done <= program_.instructions.size(); done++) {
    for (const size_t end = done == 0 ? 0 : plan_.step_end[done - 1]; step < end; step++) {
      const Step& next = plan_.steps[step];
      threads_.run(next.kernel, next.args, next.units, next.parts);
    }
    for (; tap < due.size() && due_after(due[tap]) == done; tap++) {
      copy_out(due[tap].tensor, due[tap].data);
    }
  }
  for (uint32_t i = 0; i < output_count; i++) copy_out(program_.outputs[i], outputs[i].data);
}

}  // namespace bittrue
