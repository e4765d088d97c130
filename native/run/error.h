// How bittrue-run reports what went wrong: one line, and an exit code like those of `bittrue`.
#ifndef BITTRUE_RUN_ERROR_H_
#define BITTRUE_RUN_ERROR_H_

#include <string>

namespace run {

// The exit codes of bittrue.errors.
enum ExitCode {
  DONE = 0,
  DIFFERENT = 1,
  USAGE = 2,
  MODEL = 3,
  DATA = 5,
  DEVICE = 6,
  INTERNAL = 70,
};

struct Error {
  ExitCode code;
  std::string where;    // file, tensor or option
  std::string message;  // what, with the value
  std::string next;     // what to do; empty where nothing can be done
};

}  // namespace run

#endif  // BITTRUE_RUN_ERROR_H_
