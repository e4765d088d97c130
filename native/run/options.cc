#include "options.h"

#include <algorithm>

#include "bittrue.h"
#include "error.h"
#include "text.h"

namespace run {

const char HELP[] =
    R"(usage: bittrue-run MODEL.bte --input X.npy --output Y.npy [options]
       bittrue-run MODEL.bte --verify

Runs an executable that `bittrue` compiled; nothing else is needed, no Python.

  --input FILE          what goes in: .npy, or .bin with exactly the tensor's bytes
  --input NAME=FILE     the same where there are several inputs; once for each
  --output FILE         where the output goes: .npy or .bin
  --output NAME=FILE    the same where there are several outputs; others are not written
  --output FOLDER/      all outputs as .npy, with index.json
  --taps FOLDER         every computed tensor as .npy, as it was when last written, with index.json
  --repeat N            run N times more and print the least, median and mean time in ms
  --threads N           how many compute, 0 (the default) for one a core; changes no bit
  --isa NAME            instruction set, or auto (the default), the fastest; changes no bit
  --verify              run the executable's conformance vectors and compare every tensor with the
                        bits it must have: with each instruction set that this CPU runs, or the
                        one of --isa, and 1, 2 and 4 threads, or those of --threads
  --list                print the inputs and outputs, and run nothing
  --isas                print the instruction sets, and which of them this CPU runs
  --version, --help

Arrays go in and come out as the program holds them (--list shows it): the type and the shape must
be the same, nothing is converted, and outputs that are codes stay codes: the value of one is
(code - zero_point) * scale. A network that was given preprocessing takes raw uint8 pixels
[1, H, W, C], channels last. An array x that is channels first, [1, C, H, W], is then given as
    numpy.save("x.npy", numpy.ascontiguousarray(x.transpose(0, 2, 3, 1)))
A network without it keeps the order of its source, mostly [1, C, H, W]. Values for an input of
codes are given as clip(rint(x / scale) + zero_point, 0, 255) in uint8.

Exit codes: 0 done or same; 1 different bits; 2 usage; 3 bad executable; 5 bad input or data; 6 not enough memory;
70 a bug in bittrue.
)";

namespace {

// An option that takes no value, and what it asks for.
struct Flag {
  const char* name;
  Action action;
};

constexpr Flag FLAGS[] = {
    {"--verify", Action::VERIFY},   {"--list", Action::LIST}, {"--isas", Action::ISAS},
    {"--version", Action::VERSION}, {"--help", Action::HELP}, {"-h", Action::HELP},
};

const char NEXT[] = "see bittrue-run --help";

uint32_t number(const std::string& name, const std::string& text, uint32_t least, uint32_t most) {
  uint64_t value = 0;
  const bool digits =
      !text.empty() && text.size() <= 9 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (digits) value = std::stoul(text);
  if (!digits || value < least || value > most) {
    throw Error{USAGE, "",
                name + " " + quoted(text) + " is no whole number from " + std::to_string(least) +
                    " to " + std::to_string(most),
                NEXT};
  }
  return (uint32_t)value;
}

void take_value(const std::string& name, const std::string& value, Options* options) {
  constexpr uint32_t MOST_RUNS = 1000000;
  const auto once = [&](std::string* place) {
    if (!place->empty()) throw Error{USAGE, "", name + " is given twice", NEXT};
    *place = value;
  };
  if (name == "--input") {
    options->inputs.push_back(value);
  } else if (name == "--output" || name == "-o") {
    options->outputs.push_back(value);
  } else if (name == "--taps") {
    once(&options->taps);
  } else if (name == "--isa") {
    once(&options->isa);
  } else if (name == "--threads") {
    options->threads = number(name, value, 0, BITTRUE_MAX_THREADS);
  } else if (name == "--repeat") {
    options->repeat = number(name, value, 1, MOST_RUNS);
  } else {
    throw Error{USAGE, "", quoted(name) + " is no option", NEXT};
  }
}

void check(const Options& options) {
  const bool runs = options.action == Action::RUN;
  if (!runs && options.action != Action::LIST && options.action != Action::VERIFY) return;
  if (options.model.empty()) {
    throw Error{USAGE, "", "no executable is given",
                "bittrue-run MODEL.bte --input X.npy --output Y.npy"};
  }
  if (!runs) {
    if (!options.inputs.empty() || !options.outputs.empty() || !options.taps.empty() ||
        options.repeat > 0) {
      throw Error{USAGE, "", "--verify and --list run no input and write no file",
                  "leave out --input, --output, --taps and --repeat"};
    }
    return;
  }
  if (options.outputs.empty() && options.taps.empty() && options.repeat == 0) {
    throw Error{USAGE, "", "nothing is asked for",
                "give --output, --taps, --repeat, --verify or --list"};
  }
}

}  // namespace

Options parse_options(const std::vector<std::string>& words) {
  Options options;
  for (size_t i = 0; i < words.size(); i++) {
    const std::string& word = words[i];
    const auto* flag = std::find_if(std::begin(FLAGS), std::end(FLAGS),
                                    [&](const Flag& row) { return word == row.name; });
    if (flag != std::end(FLAGS)) {
      options.action = flag->action;
    } else if (word.empty() || word[0] != '-') {
      if (!options.model.empty()) {
        throw Error{USAGE, "",
                    "two executables are given: " + quoted(options.model) + " and " + quoted(word),
                    NEXT};
      }
      options.model = word;
    } else if (const size_t equals = word.find('=');
               word.rfind("--", 0) == 0 && equals != std::string::npos) {
      take_value(word.substr(0, equals), word.substr(equals + 1), &options);
    } else if (i + 1 < words.size()) {
      take_value(word, words[++i], &options);
    } else {
      throw Error{USAGE, "", quoted(word) + " is no option, or needs a value", NEXT};
    }
  }
  check(options);
  return options;
}

}  // namespace run
