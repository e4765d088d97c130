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

Engine::Engine(const uint8_t* file, uint64_t nbytes, const OpenOptions& options)
    : copy_(options.copy ? copy_of(file, nbytes) : Memory()),
      program_(read_program(options.copy ? copy_.data() : file, nbytes)),
      isa_(options.isa),
      threads_(options.threads),
      plan_(make_plan(program_, isa_, threads_.count(), nbytes)) {}

void Engine::check(const RunBuffers& buffers) const {
  check_count("input", buffers.input_count, program_.inputs.size(), buffers.inputs);
  check_count("output", buffers.output_count, program_.outputs.size(), buffers.outputs);
  check_count("tap", buffers.tap_count, buffers.tap_count, buffers.taps);
  for (uint32_t i = 0; i < buffers.input_count; i++) {
    const bittrue_input& input = buffers.inputs[i];
    check_buffer("input", program_.tensors[program_.inputs[i]], input.data, input.nbytes);
  }
  for (uint32_t i = 0; i < buffers.output_count; i++) {
    const bittrue_output& output = buffers.outputs[i];
    check_buffer("output", program_.tensors[program_.outputs[i]], output.data, output.nbytes);
  }
  for (uint32_t i = 0; i < buffers.tap_count; i++) {
    const bittrue_tap& tap = buffers.taps[i];
    if (tap.tensor >= program_.tensors.size()) {
      fail(BITTRUE_DATA, BITTRUE_NO_OFFSET, "tap %u is of tensor %u, the program has %zu", i,
           tap.tensor, program_.tensors.size());
    }
    check_buffer("tap", program_.tensors[tap.tensor], tap.data, tap.nbytes);
  }
}

void Engine::copy_out(uint32_t tensor, void* to) const {
  const Tensor& from = program_.tensors[tensor];
  memcpy(to, plan_.at(program_, from), from.nbytes);
}

// Run all steps, and copy each tap right after the last instruction that writes its buffer.
void Engine::compute(const RunBuffers& buffers) {
  // After how many instructions a tap is due: 0 for NO_INSTRUCTION, which wraps on purpose.
  const auto due_after = [&](const bittrue_tap& tap) {
    return plan_.last_writer[program_.tensors[tap.tensor].buffer] + 1;
  };
  std::vector<bittrue_tap> due(buffers.taps, buffers.taps + buffers.tap_count);
  std::stable_sort(due.begin(), due.end(), [&](const bittrue_tap& a, const bittrue_tap& b) {
    return due_after(a) < due_after(b);
  });
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
}

void Engine::run(const RunBuffers& buffers) {
  check(buffers);
  const Running running(&running_);
  const FloatEnvironment environment;
  for (uint32_t i = 0; i < buffers.input_count; i++) {
    const Tensor& to = program_.tensors[program_.inputs[i]];
    memcpy(plan_.at(program_, to), buffers.inputs[i].data, to.nbytes);
  }
  compute(buffers);
  for (uint32_t i = 0; i < buffers.output_count; i++) {
    copy_out(program_.outputs[i], buffers.outputs[i].data);
  }
}

}  // namespace bittrue
