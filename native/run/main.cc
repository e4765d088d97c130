// bittrue-run: an executable of bittrue on a machine without Python. It uses bittrue.h and nothing
// else of the engine.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <numeric>
#include <string>
#include <vector>

#include "arrays.h"
#include "bittrue.h"
#include "error.h"
#include "files.h"
#include "model.h"
#include "npy.h"
#include "options.h"
#include "text.h"
#include "verify.h"

namespace run {
namespace {

void print_isas() {
  const char* name;
  for (uint32_t i = 0; (name = bittrue_isa_name(i)) != nullptr; i++) {
    printf("%-12s %s\n", name, bittrue_isa_available(i) ? "available" : "not on this CPU");
  }
}

void print_tensors(const char* what, const std::vector<Tensor>& tensors) {
  for (const Tensor& row : tensors) {
    printf("%s %s %s %s", what, quoted(row.name).c_str(), dtype_name(row.dtype),
           shape_text(row.shape).c_str());
    if (row.scale > 0) {
      printf(" scale %s zero_point %d", float_text(row.scale).c_str(), row.zero_point);
    }
    printf(", %llu bytes\n", (unsigned long long)row.nbytes);
  }
}

void print_model(const Model& model) {
  print_tensors("input ", model.inputs());
  print_tensors("output", model.outputs());
}

void print_times(std::vector<double> times, const Model& model) {
  std::sort(times.begin(), times.end());
  const size_t half = times.size() / 2;
  const double median = times.size() % 2 ? times[half] : (times[half - 1] + times[half]) / 2;
  const double mean = std::accumulate(times.begin(), times.end(), 0.0) / (double)times.size();
  printf("%zu runs, %s, %u threads: min %.3f ms, median %.3f ms, mean %.3f ms\n", times.size(),
         model.info().isa, model.info().threads, times.front(), median, mean);
}

// Run again and again; each run must give the bytes of the first.
void measure(const Model& model, const std::vector<Bytes>& inputs, const std::vector<Bytes>& wanted,
             uint32_t count) {
  std::vector<double> times;
  std::vector<Bytes> outputs;
  for (uint32_t i = 0; i < count; i++) {
    const auto start = std::chrono::steady_clock::now();
    model.run(inputs, &outputs);
    const std::chrono::duration<double, std::milli> taken =
        std::chrono::steady_clock::now() - start;
    times.push_back(taken.count());
    if (outputs != wanted) {
      throw Error{INTERNAL, "", "run " + std::to_string(i + 2) + " gave other bytes than the first",
                  "please report it with the executable and the input"};
    }
  }
  print_times(times, model);
}

void run(const Options& options, const Model& model) {
  const Targets targets = find_targets(model.outputs(), options.outputs);
  const std::vector<Bytes> inputs = read_inputs(model.inputs(), options.inputs);
  std::vector<Bytes> outputs, taps;
  const std::vector<Tensor> tapped =
      options.taps.empty() ? std::vector<Tensor>() : model.computed();
  model.run(inputs, &outputs, tapped, &taps);
  for (const Target& target : targets.files) {
    write_array(target.path, model.outputs()[target.output], outputs[target.output]);
    printf("wrote %s\n", target.path.c_str());
  }
  for (const std::string& folder : targets.folders) {
    write_folder(folder, model.outputs(), outputs);
    printf("wrote %zu outputs to %s\n", outputs.size(), folder.c_str());
  }
  if (!options.taps.empty()) {
    write_folder(options.taps, tapped, taps);
    printf("wrote %zu tensors to %s\n", tapped.size(), options.taps.c_str());
  }
  if (options.repeat > 0) measure(model, inputs, outputs, options.repeat);
}

bool verify_with(const Options& options) {
  const std::vector<std::string> isas =
      options.isa.empty() ? available_isas() : std::vector<std::string>{options.isa};
  const std::vector<uint32_t> threads = options.threads == 0
                                            ? std::vector<uint32_t>{1, 2, 4}
                                            : std::vector<uint32_t>{options.threads};
  return verify(options.model, read_file(options.model, UINT64_MAX), isas, threads);
}

void run_or_list(const Options& options) {
  const Bytes file = read_file(options.model, UINT64_MAX);
  const char* named = getenv("BITTRUE_ISA");
  const std::string isa = !options.isa.empty() ? options.isa : named != nullptr ? named : "auto";
  const Model model(options.model, file, isa, options.threads);
  if (options.action == Action::LIST) {
    print_model(model);
  } else {
    run(options, model);
  }
}

ExitCode perform(const Options& options) {
  switch (options.action) {
    case Action::HELP:
      printf("%s", HELP);
      return DONE;
    case Action::VERSION:
      printf("bittrue-run %s\n", bittrue_version());
      return DONE;
    case Action::ISAS:
      print_isas();
      return DONE;
    case Action::VERIFY:
      return verify_with(options) ? DONE : DIFFERENT;
    default:
      run_or_list(options);
      return DONE;
  }
}

int show(const Error& error) {
  fprintf(stderr, "error: %s%s%s%s%s\n", error.where.c_str(), error.where.empty() ? "" : ": ",
          error.message.c_str(), error.next.empty() ? "" : "; next: ", error.next.c_str());
  return error.code;
}

int main_of(const std::vector<std::string>& words) {
  try {
    const ExitCode code = perform(parse_options(words));
    if (fflush(stdout) != 0 || ferror(stdout)) {
      return show({DATA, "standard output", "cannot be written", "make room on the disk"});
    }
    return code;
  } catch (const Error& error) {
    return show(error);
  } catch (const std::bad_alloc&) {
    return show({DEVICE, "", "not enough memory", "close other programs"});
  } catch (const std::exception& other) {
    return show(
        {INTERNAL, "", std::string("a bug in bittrue: ") + other.what(), "please report it"});
  }
}

}  // namespace
}  // namespace run

int main(int count, char** words) {
  signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of write
  return run::main_of({words + (count > 0), words + count});
}
