#include "arrays.h"

#include <algorithm>

#include "npy.h"
#include "text.h"

namespace run {
namespace {

std::string names_of(const std::vector<Tensor>& tensors) {
  std::string text;
  for (const Tensor& tensor : tensors) text += (text.empty() ? "" : ", ") + quoted(tensor.name);
  return text;
}

std::string described(const Tensor& tensor) {
  return std::string(dtype_name(tensor.dtype)) + " " + shape_text(tensor.shape);
}

// A word of the command line taken apart: which tensor (its place in the list), and which file.
struct Chosen {
  uint32_t place;
  std::string path;
};

// Whether a word reads as NAME=FILE: paths have a '/' before their '=', if they have one.
bool names_something(const std::string& word) {
  const size_t equals = word.find('=');
  return equals != std::string::npos && word.rfind('/', equals) == std::string::npos;
}

// A name may hold '=' too, so the names are tried. A file that is there under the whole word wins
// where there is one tensor.
Chosen choose(const std::vector<Tensor>& tensors, const std::string& word, const char* option) {
  Chosen found{UINT32_MAX, ""};
  size_t longest = 0;
  for (uint32_t i = 0; i < tensors.size(); i++) {
    const std::string start = tensors[i].name + "=";
    if (start.size() > longest && word.compare(0, start.size(), start) == 0) {
      found = {i, word.substr(start.size())};
      longest = start.size();
    }
  }
  const bool path = found.place == UINT32_MAX && !names_something(word);
  if (tensors.size() == 1 && (path || is_there(word))) return {0, word};
  if (found.place == UINT32_MAX) {
    throw Error{USAGE, "",
                std::string(option) + " " + quoted(word) + " does not say for which tensor",
                std::string("write ") + option + " NAME=FILE; the names are " + names_of(tensors)};
  }
  return found;
}

// The order of axes, after the first, that turns `given` into `wanted`; empty if there is none.
std::string transposed(const std::vector<uint64_t>& given, const std::vector<uint64_t>& wanted) {
  if (given.size() != 4 || wanted.size() != 4) return "";
  for (const auto& order : {std::vector<size_t>{0, 2, 3, 1}, {0, 3, 1, 2}}) {
    bool same = true;
    for (size_t axis = 0; axis < 4; axis++) same = same && given[order[axis]] == wanted[axis];
    if (same) return order[1] == 2 ? "0, 2, 3, 1" : "0, 3, 1, 2";
  }
  return "";
}

// What to do about an array of another type or shape.
std::string advice(const NpyHeader& header, const Tensor& tensor) {
  const bool codes = tensor.dtype == BITTRUE_UINT8 && tensor.scale > 0;
  if (header.descr != npy_descr(tensor.dtype)) {
    if (codes && tensor.scale == 1 && header.descr.find('f') != std::string::npos) {
      return "give raw pixels, 0 to 255, as numpy.uint8; if x is in 0 to 1: "
             "numpy.rint(x * 255).astype(numpy.uint8); `bittrue check` says more of an array";
    }
    if (codes && header.descr.find('f') != std::string::npos) {
      return "give codes: numpy.clip(numpy.rint(x.astype(numpy.float32) / numpy.float32(" +
             float_text(tensor.scale) + ")) + " + std::to_string(tensor.zero_point) +
             ", 0, 255).astype(numpy.uint8)";
    }
    if (tensor.dtype == BITTRUE_FLOAT32) return "give x.astype(numpy.float32)";
    return "make the numbers as the network takes them; `bittrue check` says more of an array";
  }
  const std::string order = transposed(header.shape, tensor.shape);
  if (!order.empty()) {
    return "give numpy.ascontiguousarray(x.transpose(" + order + "))";
  }
  return "give an array of exactly this shape; see --list";
}

Bytes array_of(const std::string& path, const Tensor& tensor) {
  // Reading past what could fit is no use: one byte too many says so.
  Bytes file = read_file(path, tensor.nbytes + MOST_NPY_HEADER + 12);
  const NpyHeader header = read_npy_header(path, file);
  if (header.descr != npy_descr(tensor.dtype) || header.shape != tensor.shape) {
    throw Error{DATA, path,
                "holds " + descr_text(header.descr) + " " + shape_text(header.shape) + ", input " +
                    quoted(tensor.name) + " takes " + described(tensor),
                advice(header, tensor)};
  }
  if (header.fortran_order) {
    throw Error{DATA, path, "is in Fortran order, which is not read",
                "numpy.save(file, numpy.ascontiguousarray(x))"};
  }
  const uint64_t found = file.size() - header.data_at;
  if (found != tensor.nbytes) {
    throw Error{DATA, path,
                "has " + std::string(found > tensor.nbytes ? "more than " : "") +
                    std::to_string(found > tensor.nbytes ? tensor.nbytes : found) +
                    " bytes of elements, its header says " + std::to_string(tensor.nbytes),
                "copy or write it again"};
  }
  file.erase(file.begin(), file.begin() + (ptrdiff_t)header.data_at);
  return file;
}

Bytes raw_of(const std::string& path, const Tensor& tensor) {
  Bytes file = read_file(path, tensor.nbytes);
  if (file.size() != tensor.nbytes) {
    const bool more = file.size() > tensor.nbytes;
    throw Error{
        DATA, path,
        "has " +
            (more ? "more than " + std::to_string(tensor.nbytes) : std::to_string(file.size())) +
            " bytes, input " + quoted(tensor.name) + ", " + described(tensor) + ", takes " +
            std::to_string(tensor.nbytes),
        "give exactly the elements' bytes, little-endian, the last axis running fastest"};
  }
  return file;
}

Bytes read_input(const std::string& path, const Tensor& tensor) {
  if (ends_in(path, ".npy")) return array_of(path, tensor);
  if (ends_in(path, ".bin")) return raw_of(path, tensor);
  throw Error{USAGE, path, "the name ends neither in .npy nor in .bin",
              "give a .npy file, or raw bytes as .bin"};
}

std::string index_json(const std::vector<Tensor>& tensors) {
  std::string text = "[\n";
  for (uint32_t i = 0; i < tensors.size(); i++) {
    const Tensor& row = tensors[i];
    text += "  {\"file\": " + json_string(file_name(i, row.name)) +
            ", \"name\": " + json_string(row.name) + ", \"tensor\": " + std::to_string(row.index) +
            ", \"dtype\": \"" + dtype_name(row.dtype) + "\", \"shape\": " + shape_text(row.shape) +
            ", \"scale\": " + float_text(row.scale) +
            ", \"zero_point\": " + std::to_string(row.zero_point) + "}";
    text += i + 1 < tensors.size() ? ",\n" : "\n";
  }
  return text + "]\n";
}

}  // namespace

std::vector<Bytes> read_inputs(const std::vector<Tensor>& tensors,
                               const std::vector<std::string>& given) {
  std::vector<std::string> paths(tensors.size());
  for (const std::string& word : given) {
    const Chosen found = choose(tensors, word, "--input");
    if (!paths[found.place].empty()) {
      throw Error{USAGE, "", "input " + quoted(tensors[found.place].name) + " is given twice",
                  "give each input once"};
    }
    paths[found.place] = found.path;
  }
  std::vector<Tensor> missing;
  for (uint32_t i = 0; i < tensors.size(); i++) {
    if (paths[i].empty()) missing.push_back(tensors[i]);
  }
  if (!missing.empty()) {
    throw Error{USAGE, "", "no file is given for input " + names_of(missing),
                tensors.size() == 1 ? "give --input FILE" : "give --input NAME=FILE for each"};
  }
  std::vector<Bytes> arrays;
  for (uint32_t i = 0; i < tensors.size(); i++) arrays.push_back(read_input(paths[i], tensors[i]));
  return arrays;
}

Targets find_targets(const std::vector<Tensor>& tensors, const std::vector<std::string>& given) {
  Targets found;
  for (const std::string& word : given) {
    if (is_folder(word) || ends_in(word, "/")) {
      found.folders.push_back(word);
      continue;
    }
    const Chosen chosen = choose(tensors, word, "--output");
    if (!ends_in(chosen.path, ".npy") && !ends_in(chosen.path, ".bin")) {
      throw Error{USAGE, chosen.path, "the name ends neither in .npy nor in .bin, and is no folder",
                  "name it .npy or .bin, or end a folder's name in /"};
    }
    for (const Target& other : found.files) {
      if (other.path == chosen.path) {
        throw Error{USAGE, chosen.path, "two outputs go to one file", "name two files"};
      }
    }
    found.files.push_back({chosen.place, chosen.path});
  }
  return found;
}

void write_array(const std::string& path, const Tensor& tensor, const Bytes& bytes) {
  write_file(path, ends_in(path, ".bin")
                       ? bytes
                       : npy_bytes(tensor.dtype, tensor.shape, bytes.data(), bytes.size()));
}

void write_folder(const std::string& folder, const std::vector<Tensor>& tensors,
                  const std::vector<Bytes>& arrays) {
  make_folder(folder);
  const std::string start = ends_in(folder, "/") ? folder : folder + "/";
  for (uint32_t i = 0; i < tensors.size(); i++) {
    write_array(start + file_name(i, tensors[i].name), tensors[i], arrays[i]);
  }
  const std::string text = index_json(tensors);
  write_file(start + "index.json", {text.begin(), text.end()});
}

}  // namespace run
