// Cases as the tests write them: tests/kernels/places.py is the other side. All numbers are
// little-endian, as on every CPU that the engine is built for.
//
//   case: u32 threads, u32 arrays, 16 bytes ISA (zeros at the end), then arrays + 1 blocks: the
//         program, and its inputs in order
//   block: u64 bytes, the bytes
#ifndef BITTRUE_TESTS_CASE_H_
#define BITTRUE_TESTS_CASE_H_

#include <stdint.h>
#include <stdio.h>

#include <string>
#include <vector>

#include "bittrue.h"

using Blocks = std::vector<std::vector<uint8_t>>;

struct Case {
  uint32_t threads = 0;
  std::string isa;
  std::vector<uint8_t> program;
  Blocks inputs;
};

inline bool read_bytes(FILE* from, void* to, size_t count) {
  return count == 0 || fread(to, 1, count, from) == count;
}

inline bool read_block(FILE* from, std::vector<uint8_t>* to) {
  uint64_t count = 0;
  if (!read_bytes(from, &count, sizeof count)) return false;
  to->resize((size_t)count);
  return read_bytes(from, to->data(), to->size());
}

// False at the end of the file, or where it is cut short.
inline bool read_case(FILE* from, Case* to) {
  uint32_t counts[2] = {};
  char isa[17] = {};
  if (!read_bytes(from, counts, sizeof counts) || !read_bytes(from, isa, 16)) return false;
  to->threads = counts[0];
  to->isa = isa;
  to->inputs.assign(counts[1], {});
  if (!read_block(from, &to->program)) return false;
  for (auto& input : to->inputs) {
    if (!read_block(from, &input)) return false;
  }
  return true;
}

// A program in the engine with a place for every tensor.
class Opened {
 public:
  Opened(const Case& from, uint32_t threads) {
    code_ = bittrue_open(from.program.data(), from.program.size(), BITTRUE_COPY, from.isa.c_str(),
                         threads, &program_, &error_);
    if (code_ != BITTRUE_OK) return;
    bittrue_get_info(program_, &info_);
    for (uint32_t i = 0; i < info_.tensors; i++) {
      bittrue_tensor_info tensor;
      bittrue_get_tensor(program_, i, &tensor);
      bytes_.emplace_back((size_t)tensor.nbytes);
    }
    for (uint32_t i = 0; i < info_.outputs; i++) {
      outputs_.emplace_back(bytes_[bittrue_get_output(program_, i)].size());
    }
  }
  ~Opened() { bittrue_close(program_); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  // Run twice; every tensor's bytes are then in bytes(), and the outputs at the end in outputs().
  // A tap forces its tensor to exist: the second run has none, and must give the same outputs.
  void run(const Case& from) {
    std::vector<bittrue_tap> taps;
    for (uint32_t i = 0; i < info_.tensors; i++) {
      taps.push_back({i, 0, bytes_[i].data(), bytes_[i].size()});
    }
    Blocks untapped = outputs_;
    run(from, taps, &outputs_);
    if (code_ == BITTRUE_OK) run(from, {}, &untapped);
    if (code_ == BITTRUE_OK && untapped != outputs_) {
      code_ = BITTRUE_INTERNAL;
      snprintf(error_.text, sizeof error_.text, "taps changed outputs");
    }
  }

  int32_t code() const { return code_; }
  const char* error() const { return error_.text; }
  const bittrue_program_info& info() const { return info_; }
  const Blocks& bytes() const { return bytes_; }
  const Blocks& outputs() const { return outputs_; }
  std::string kernel(uint32_t instruction) const {
    bittrue_kernel_row row{};
    bittrue_kernel_table(bittrue_get_kernel(program_, instruction), &row);
    return row.name;
  }

 private:
  void run(const Case& from, const std::vector<bittrue_tap>& taps, Blocks* to) {
    std::vector<bittrue_input> inputs;
    std::vector<bittrue_output> outputs;
    for (const auto& input : from.inputs) inputs.push_back({input.data(), input.size()});
    for (auto& output : *to) outputs.push_back({output.data(), output.size()});
    code_ = bittrue_run(program_, inputs.data(), (uint32_t)inputs.size(), outputs.data(),
                        (uint32_t)outputs.size(), taps.data(), (uint32_t)taps.size(), &error_);
  }

  bittrue_program* program_ = nullptr;
  bittrue_error error_{};
  bittrue_program_info info_{};
  int32_t code_ = BITTRUE_OK;
  Blocks bytes_, outputs_;
};

#endif  // BITTRUE_TESTS_CASE_H_
