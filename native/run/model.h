// A program of the C interface as bittrue-run uses it: opened, with its tensors as values.
#ifndef BITTRUE_RUN_MODEL_H_
#define BITTRUE_RUN_MODEL_H_

#include <stdint.h>

#include <memory>
#include <string>
#include <vector>

#include "bittrue.h"
#include "error.h"
#include "files.h"

namespace run {

struct Tensor {
  uint32_t index;
  std::string name;
  uint32_t dtype;
  std::vector<uint64_t> shape;  // physical
  uint64_t nbytes;
  float scale;
  int32_t zero_point;
  bool constant;
};

// The engine's error as one of ours. `where` is the file or option that it is about.
Error error_of(const bittrue_error& error, const std::string& where);

class Model {
 public:
  // Throws Error(MODEL) for a damaged file, Error(USAGE) for an ISA that this CPU does not run.
  Model(const std::string& path, const Bytes& file, const std::string& isa, uint32_t threads);

  bittrue_program* program() const { return program_.get(); }
  const bittrue_program_info& info() const { return info_; }
  const std::vector<Tensor>& inputs() const { return inputs_; }
  const std::vector<Tensor>& outputs() const { return outputs_; }

  // The tensors that are computed or given: all but the constants.
  std::vector<Tensor> computed() const;

  // Run once: one array for each input, output and tensor to tap. Throws Error(INTERNAL).
  void run(const std::vector<Bytes>& inputs, std::vector<Bytes>* outputs,
           const std::vector<Tensor>& tapped = {}, std::vector<Bytes>* taps = nullptr) const;

 private:
  Tensor read_tensor(uint32_t index) const;

  struct Close {
    void operator()(bittrue_program* program) const { bittrue_close(program); }
  };
  std::unique_ptr<bittrue_program, Close> program_;
  bittrue_program_info info_{};
  std::vector<Tensor> inputs_, outputs_;
};

}  // namespace run

#endif  // BITTRUE_RUN_MODEL_H_
