// Threads for ThreadSanitizer: programs run, are opened and closed side by side, and calls on one
// program meet. Every result is compared with that of one thread alone.
//
//   threads_driver ROUNDS FILE...
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "bittrue.h"
#include "harness.h"

using namespace bittrue_fuzz;

namespace {

constexpr uint32_t CALLERS = 3;
constexpr uint32_t MOST_THREADS = 4;

Bytes read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  require((bool)file, path);
  return Bytes(std::istreambuf_iterator<char>(file), {});
}

ProgramPtr open_file(const Bytes& file, uint32_t threads) {
  bittrue_error error;
  ProgramPtr program =
      open_program(file.data(), file.size(), BITTRUE_COPY, nullptr, threads, &error);
  require(program != nullptr, "the file is opened");
  return program;
}

// Memory for one run: inputs are the same bytes every time.
class Buffers {
 public:
  explicit Buffers(const bittrue_program* program) {
    bittrue_program_info info;
    bittrue_get_info(program, &info);
    for (uint32_t i = 0; i < info.inputs; i++) {
      inputs_.push_back(make(program, bittrue_get_input(program, i)));
      for (size_t at = 0; at < inputs_.back().size(); at++) {
        inputs_.back()[at] = (uint8_t)(at * 131 + at / 7);
      }
    }
    for (uint32_t i = 0; i < info.outputs; i++) {
      outputs_.push_back(make(program, bittrue_get_output(program, i)));
    }
  }

  int32_t run(bittrue_program* program) {
    std::vector<bittrue_input> in;
    std::vector<bittrue_output> out;
    for (const Bytes& bytes : inputs_) in.push_back({bytes.data(), bytes.size()});
    for (Bytes& bytes : outputs_) out.push_back({bytes.data(), bytes.size()});
    return bittrue_run(program, in.data(), (uint32_t)in.size(), out.data(), (uint32_t)out.size(),
                       nullptr, 0, nullptr);
  }

  const std::vector<Bytes>& outputs() const { return outputs_; }

 private:
  static Bytes make(const bittrue_program* program, uint32_t tensor) {
    bittrue_tensor_info info;
    require(bittrue_get_tensor(program, tensor, &info) == BITTRUE_OK, "a port's tensor is told");
    return Bytes(info.nbytes);
  }

  std::vector<Bytes> inputs_, outputs_;
};

std::vector<Bytes> outputs_alone(const Bytes& file) {
  const ProgramPtr program = open_file(file, 1);
  Buffers buffers(program.get());
  require(buffers.run(program.get()) == BITTRUE_OK, "it runs alone");
  return buffers.outputs();
}

// Open, run twice, close; the second run starts on what the first one left.
void use(const Bytes& file, uint32_t threads, const std::vector<Bytes>& wanted) {
  const ProgramPtr program = open_file(file, threads);
  for (int i = 0; i < 2; i++) {
    Buffers buffers(program.get());
    require(buffers.run(program.get()) == BITTRUE_OK, "it runs beside others");
    require(buffers.outputs() == wanted, "it gives the bytes of one thread");
  }
}

// Several callers, each with programs of its own, begin at different files.
void run_side_by_side(const std::vector<Bytes>& files,
                      const std::vector<std::vector<Bytes>>& wanted) {
  std::vector<std::thread> callers;
  for (uint32_t caller = 0; caller < CALLERS; caller++) {
    callers.emplace_back([&, caller] {
      for (size_t i = 0; i < files.size(); i++) {
        const size_t which = (i + caller * files.size() / CALLERS) % files.size();
        use(files[which], 1 + (uint32_t)(i + caller) % MOST_THREADS, wanted[which]);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

// Two callers on one program, and a third that only asks: each run is done or refused, never mixed.
void run_one_program(const Bytes& file, const std::vector<Bytes>& wanted, uint32_t* done,
                     uint32_t* refused) {
  const ProgramPtr program = open_file(file, 2);
  std::atomic<uint32_t> counts[2] = {{0}, {0}};
  const auto call = [&] {
    Buffers buffers(program.get());
    for (int i = 0; i < 20; i++) {
      const int32_t code = buffers.run(program.get());
      require(code == BITTRUE_OK || code == BITTRUE_USAGE, "a second run is refused");
      require(code != BITTRUE_OK || buffers.outputs() == wanted, "a refused run disturbs none");
      counts[code != BITTRUE_OK]++;
    }
  };
  std::thread first(call), second(call);
  for (int i = 0; i < 100; i++) {
    bittrue_program_info info;
    bittrue_get_info(program.get(), &info);
    require(bittrue_get_tensor(program.get(), info.tensors, nullptr) == BITTRUE_USAGE, "no tensor");
  }
  first.join();
  second.join();
  *done += counts[0];
  *refused += counts[1];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s ROUNDS FILE...\n", argv[0]);
    return 2;
  }
  std::vector<Bytes> files;
  std::vector<std::vector<Bytes>> wanted;
  for (int i = 2; i < argc; i++) {
    files.push_back(read_file(argv[i]));
    wanted.push_back(outputs_alone(files.back()));
  }
  uint32_t done = 0, refused = 0;
  for (int round = 0; round < atoi(argv[1]); round++) {
    run_side_by_side(files, wanted);
    for (size_t i = 0; i < files.size(); i++) run_one_program(files[i], wanted[i], &done, &refused);
  }
  printf("%zu programs: %u runs beside another of the same program, %u refused; no race found\n",
         files.size(), done, refused);
  return refused > 0 ? 0 : 1;  // nothing met: nothing was tested
}
