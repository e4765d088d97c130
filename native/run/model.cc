#include "model.h"

namespace run {

Error error_of(const bittrue_error& error, const std::string& where) {
  std::string place = where;
  if (error.offset != BITTRUE_NO_OFFSET) place += " at byte " + std::to_string(error.offset);
  switch (error.code) {
    case BITTRUE_FORMAT:
      return {MODEL, place, error.text, "copy the file again, or compile the network again"};
    case BITTRUE_USAGE:
      return {USAGE, "", error.text, "choose one that is available, or leave --isa out"};
    case BITTRUE_MEMORY:
      return {DEVICE, place, error.text, "free memory, or run on a larger machine"};
    case BITTRUE_DATA:
      return {DATA, place, error.text, "see --list for what the buffers must be"};
    default:
      return {INTERNAL, place, std::string("a bug in bittrue: ") + error.text, "please report it"};
  }
}

Model::Model(const std::string& path, const Bytes& file, const std::string& isa, uint32_t threads) {
  bittrue_program* opened = nullptr;
  bittrue_error error;
  if (bittrue_open(file.data(), file.size(), BITTRUE_COPY, isa.c_str(), threads, &opened, &error) !=
      BITTRUE_OK) {
    throw error_of(error, path);
  }
  program_.reset(opened);
  bittrue_get_info(opened, &info_);
  for (uint32_t i = 0; i < info_.inputs; i++) {
    inputs_.push_back(read_tensor(bittrue_get_input(opened, i)));
  }
  for (uint32_t i = 0; i < info_.outputs; i++) {
    outputs_.push_back(read_tensor(bittrue_get_output(opened, i)));
  }
}

Tensor Model::read_tensor(uint32_t index) const {
  bittrue_tensor_info info;
  bittrue_get_tensor(program(), index, &info);
  return {index,       info.name,  info.dtype,      {info.dims, info.dims + info.rank},
          info.nbytes, info.scale, info.zero_point, info.constant != 0};
}

std::vector<Tensor> Model::computed() const {
  std::vector<Tensor> found;
  for (uint32_t i = 0; i < info_.tensors; i++) {
    const Tensor tensor = read_tensor(i);
    if (!tensor.constant) found.push_back(tensor);
  }
  return found;
}

void Model::run(const std::vector<Bytes>& inputs, std::vector<Bytes>* outputs,
                const std::vector<Tensor>& tapped, std::vector<Bytes>* taps) const {
  std::vector<bittrue_input> in;
  std::vector<bittrue_output> out;
  std::vector<bittrue_tap> inner;
  for (const Bytes& bytes : inputs) in.push_back({bytes.data(), bytes.size()});
  outputs->resize(outputs_.size());
  for (size_t i = 0; i < outputs_.size(); i++) {
    Bytes& bytes = (*outputs)[i];
    bytes.resize((size_t)outputs_[i].nbytes);
    out.push_back({bytes.data(), bytes.size()});
  }
  if (taps != nullptr) taps->resize(tapped.size());
  for (size_t i = 0; i < tapped.size(); i++) {
    Bytes& bytes = (*taps)[i];
    bytes.resize((size_t)tapped[i].nbytes);
    inner.push_back({tapped[i].index, 0, bytes.data(), bytes.size()});
  }
  bittrue_error error;
  if (bittrue_run(program(), in.data(), (uint32_t)in.size(), out.data(), (uint32_t)out.size(),
                  inner.data(), (uint32_t)inner.size(), &error) != BITTRUE_OK) {
    throw error_of(error, "");
  }
}

}  // namespace run
