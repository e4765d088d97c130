// The instruction table as data (instructions.inc, float_functions.inc).
#ifndef BITTRUE_INSTRUCTIONS_H_
#define BITTRUE_INSTRUCTIONS_H_

#include <stdint.h>

#include <string_view>

namespace bittrue {

// The number that stands for a kind in a file.
enum class Kind : uint32_t {
#define INSTRUCTION(name, code, inputs, constants, outputs, params, in_place) name = code,
#include "instructions.inc"
};

// Words have one blank between.
constexpr uint32_t count_words(std::string_view words) {
  uint32_t count = words.empty() ? 0 : 1;
  for (const char letter : words) count += letter == ' ';
  return count;
}

constexpr uint32_t count_optional(std::string_view words) {
  uint32_t count = 0;
  for (const char letter : words) count += letter == '?';
  return count;
}

// Where `word` stands among words; what is none of them does not compile.
constexpr uint32_t place_of(std::string_view words, std::string_view word) {
  for (uint32_t place = 0;; place++) {
    const std::string_view first = words.substr(0, words.find(' '));
    if (first == word) return place;
    if (first == words) throw "no such word";
    words.remove_prefix(first.size() + 1);
  }
}

struct InstructionRow {
  const char* name;
  Kind kind;
  const char* inputs;
  const char* outputs;
  const char* params;
  bool in_place;
  uint32_t constants;  // of the inputs, the last ones
  // Counted from the words above.
  uint32_t input_count, optional_count, output_count, param_count;

  // Places, of inputs and parameters by name.
  constexpr uint32_t input(std::string_view role) const { return place_of(inputs, role); }
  constexpr uint32_t param(std::string_view param) const { return place_of(params, param); }
};

inline constexpr InstructionRow INSTRUCTIONS[] = {
#define INSTRUCTION(name, code, inputs, constants, outputs, params, in_place) \
  {#name,                                                                     \
   Kind::name,                                                                \
   inputs,                                                                    \
   outputs,                                                                   \
   params,                                                                    \
   in_place,                                                                  \
   constants,                                                                 \
   count_words(inputs),                                                       \
   count_optional(inputs),                                                    \
   count_words(outputs),                                                      \
   count_words(params)},
#include "instructions.inc"
};

// The row of a number in a file; null where there is none.
constexpr const InstructionRow* find_instruction(uint32_t code) {
  for (const InstructionRow& row : INSTRUCTIONS) {
    if ((uint32_t)row.kind == code) return &row;
  }
  return nullptr;
}

inline constexpr const char* BINARY_FUNCTIONS[] = {
#define BINARY_FUNCTION(name, function) #name,
#include "float_functions.inc"
};
inline constexpr const char* UNARY_FUNCTIONS[] = {
#define UNARY_FUNCTION(name, function) #name,
#include "float_functions.inc"
};
inline constexpr const char* REDUCTIONS[] = {
#define REDUCTION(name, function) #name,
#include "float_functions.inc"
};
inline constexpr const char* COMPARE_FUNCTIONS[] = {
#define COMPARE_FUNCTION(name, function) #name,
#include "float_functions.inc"
};

}  // namespace bittrue

#endif  // BITTRUE_INSTRUCTIONS_H_
