#include "verify.h"

#include <stdio.h>
#include <string.h>

#include <algorithm>

#include "error.h"
#include "model.h"
#include "sha256.h"
#include "text.h"

namespace run {
namespace {

// Tensors are tapped in portions: all at once they may take more than a small machine has.
constexpr uint64_t PORTION = 64u << 20;

struct Mismatch {
  uint32_t vector;
  Tensor tensor;
  size_t count;  // how many tensors differ in that vector
};

std::string counted(size_t count, const char* what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::vector<Bytes> make_inputs(const Model& model, uint32_t vector) {
  std::vector<Bytes> inputs;
  for (uint32_t i = 0; i < model.inputs().size(); i++) {
    inputs.emplace_back((size_t)model.inputs()[i].nbytes);
    if (bittrue_fill_input(model.program(), vector, i, inputs[i].data(), inputs[i].size()) !=
        BITTRUE_OK) {
      throw Error{INTERNAL, "", "a bug in bittrue: a vector without its inputs",
                  "please report it"};
    }
  }
  return inputs;
}

// The instruction that writes a tensor last; -1 for an input that none writes.
int64_t writer_of(const Model& model, const Tensor& tensor) {
  const uint32_t writer = bittrue_get_writer(model.program(), tensor.index);
  return writer == UINT32_MAX ? -1 : (int64_t)writer;
}

bool same_bits(const Model& model, uint32_t vector, const Tensor& tensor, const Bytes& bytes) {
  const uint8_t* wanted = bittrue_get_hash(model.program(), vector, tensor.index);
  const auto found = sha256(bytes.data(), bytes.size());
  return wanted != nullptr && memcmp(wanted, found.data(), found.size()) == 0;
}

// A tap forces its tensor to exist: the outputs that differ only in a run without any.
void add_untapped(const Model& model, uint32_t vector, const std::vector<Bytes>& inputs,
                  std::vector<Tensor>* found) {
  std::vector<Bytes> outputs;
  model.run(inputs, &outputs);
  for (size_t i = 0; i < outputs.size(); i++) {
    const Tensor& output = model.outputs()[i];
    const bool known = std::any_of(found->begin(), found->end(), [&](const Tensor& tensor) {
      return tensor.index == output.index;
    });
    if (!known && !output.constant && !same_bits(model, vector, output, outputs[i]))
      found->push_back(output);
  }
}

// The tensors of a vector that differ, in running order.
std::vector<Tensor> differing(const Model& model, uint32_t vector,
                              const std::vector<Tensor>& tensors) {
  const std::vector<Bytes> inputs = make_inputs(model, vector);
  std::vector<Tensor> found;
  for (size_t first = 0; first < tensors.size();) {
    std::vector<Tensor> portion;
    for (uint64_t taken = 0; first < tensors.size(); first++) {
      taken += tensors[first].nbytes;
      if (!portion.empty() && taken > PORTION) break;
      portion.push_back(tensors[first]);
    }
    std::vector<Bytes> outputs, taps;
    model.run(inputs, &outputs, portion, &taps);
    for (size_t i = 0; i < portion.size(); i++) {
      if (!same_bits(model, vector, portion[i], taps[i])) found.push_back(portion[i]);
    }
  }
  add_untapped(model, vector, inputs, &found);
  std::stable_sort(found.begin(), found.end(), [&](const Tensor& a, const Tensor& b) {
    return writer_of(model, a) < writer_of(model, b);
  });
  return found;
}

std::string place_of(const Model& model, const Tensor& tensor) {
  const int64_t writer = writer_of(model, tensor);
  if (writer < 0) return "an input";
  bittrue_kernel_row row;
  bittrue_kernel_table(bittrue_get_kernel(model.program(), (uint32_t)writer), &row);
  return "written by instruction " + std::to_string(writer) + ", " + row.instruction + ", in " +
         row.name;
}

std::string told(const Model& model, const Mismatch& mismatch) {
  static const char* const PATTERNS[] = {"random", "lowest", "highest"};
  bittrue_vector_info info;
  bittrue_get_vector(model.program(), mismatch.vector, &info);
  return "DIFFERENT: vector " + std::to_string(mismatch.vector) + " (" + PATTERNS[info.pattern] +
         "), first at tensor " + quoted(mismatch.tensor.name) + ", " +
         place_of(model, mismatch.tensor) +
         "; tensors that differ in it: " + std::to_string(mismatch.count);
}

// One line; whether all bits are the same.
bool verify_one(const Model& model) {
  const std::vector<Tensor> tensors = model.computed();
  const uint32_t vectors = model.info().vectors;
  std::string verdict = "same bits";
  bool same = true;
  for (uint32_t vector = 0; vector < vectors && same; vector++) {
    const std::vector<Tensor> found = differing(model, vector, tensors);
    if (found.empty()) continue;
    same = false;
    verdict = told(model, {vector, found.front(), found.size()});
  }
  printf("%s, %s: %s, %s, %s\n", model.info().isa, counted(model.info().threads, "thread").c_str(),
         counted(vectors, "vector").c_str(), counted(tensors.size(), "tensor").c_str(),
         verdict.c_str());
  return same;
}

}  // namespace

bool verify(const std::string& path, const Bytes& file, const std::vector<std::string>& isas,
            const std::vector<uint32_t>& threads) {
  bool same = true;
  for (const std::string& isa : isas) {
    for (const uint32_t count : threads) {
      const Model model(path, file, isa, count);
      if (model.info().vectors == 0) {
        throw Error{
            USAGE, path,
            "the executable holds no conformance vectors: there is nothing to compare with",
            "compile it again with them: bittrue compile model.bta --vectors 2 -o model.bte"};
      }
      same = verify_one(model) && same;
    }
  }
  return same;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  const char* name;
  for (uint32_t i = 0; (name = bittrue_isa_name(i)) != nullptr; i++) {
    if (bittrue_isa_available(i)) names.push_back(name);
  }
  return names;
}

}  // namespace run
