// The command line of bittrue-run.
#ifndef BITTRUE_RUN_OPTIONS_H_
#define BITTRUE_RUN_OPTIONS_H_

#include <stdint.h>

#include <string>
#include <vector>

namespace run {

enum class Action { RUN, VERIFY, LIST, ISAS, VERSION, HELP };

struct Options {
  Action action = Action::RUN;
  std::string model;
  std::vector<std::string> inputs;   // as given: FILE or NAME=FILE
  std::vector<std::string> outputs;  // FILE, NAME=FILE, or a folder
  std::string taps;                  // a folder, or empty
  std::string isa;                   // empty: not given
  uint32_t threads = 0;              // 0: not given
  uint32_t repeat = 0;               // 0: run once, without times
};

extern const char HELP[];

// Throws Error(USAGE).
Options parse_options(const std::vector<std::string>& words);

}  // namespace run

#endif  // BITTRUE_RUN_OPTIONS_H_
