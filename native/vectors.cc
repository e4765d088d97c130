#include "vectors.h"

#include <string.h>

#include <algorithm>
#include <cmath>

#include "failure.h"
#include "file_layout.h"
#include "program.h"

namespace bittrue {
namespace {

void check_range(const FileLayout& file, const Program& program, uint32_t input) {
  const uint64_t at = file.sections[VECTORS].offset + Vectors::RANGE_BYTES * input;
  const uint32_t dtype = program.tensors[program.inputs[input]].dtype;
  bool good;
  if (dtype == BITTRUE_FLOAT32) {
    const auto low = file.read<float>(at), high = file.read<float>(at + 4);
    // Comparisons with a NaN are false; a difference with an infinity is not finite.
    good = low <= high && std::isfinite(high - low);
  } else {
    const auto low = (int32_t)file.u32(at), high = (int32_t)file.u32(at + 4);
    const int32_t least = dtype == BITTRUE_UINT8 ? 0 : dtype == BITTRUE_INT8 ? -128 : INT32_MIN;
    const int32_t most = dtype == BITTRUE_UINT8 ? 255 : dtype == BITTRUE_INT8 ? 127 : INT32_MAX;
    good = least <= low && low <= high && high <= most;
  }
  if (!good) {
    fail(BITTRUE_FORMAT, at, "the range of input %u is none of its type: 0x%08x to 0x%08x", input,
         file.u32(at), file.u32(at + 4));
  }
}

void check_vector(const FileLayout& file, uint64_t at, uint32_t index) {
  const uint32_t pattern = file.u32(at);
  if (pattern > Vectors::HIGHEST) {
    fail(BITTRUE_FORMAT, at, "pattern of vector %u must be 0 to 2, not %u", index, pattern);
  }
  if (file.u32(at + 4) != 0)
    fail(BITTRUE_FORMAT, at + 4, "word 1 of vector %u must be zero", index);
  if (pattern != Vectors::RANDOM && file.u64(at + 8) != 0) {
    fail(BITTRUE_FORMAT, at + 8, "seed of vector %u must be 0, it is not random", index);
  }
}

// Number `index` of splitmix64 (Steele, Lea, Flood, 2014). Unsigned on purpose: modulo 2^64.
uint64_t splitmix64(uint64_t seed, uint64_t index) {
  uint64_t mixed = seed + (index + 1) * 0x9e3779b97f4a7c15u;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
  return mixed ^ mixed >> 31;
}

// The elements of one input: `start` is how many elements the inputs before it have.
template <typename Element, typename Draw>
void fill(const bittrue_vector_info& info, uint64_t start, Element low, Element high,
          const Tensor& tensor, void* data, const Draw& draw) {
  auto* to = static_cast<uint8_t*>(data);
  const auto count = (uint64_t)tensor.count();
  for (uint64_t i = 0; i < count; i++) {
    const Element element = info.pattern == Vectors::LOWEST ? low
                            : info.pattern == Vectors::HIGHEST
                                ? high
                                : draw(splitmix64(info.seed, start + i));
    memcpy(to + i * sizeof element, &element, sizeof element);
  }
}

template <typename Element>
void fill_whole(const bittrue_vector_info& info, uint64_t start, const uint8_t* range,
                const Tensor& tensor, void* data) {
  int32_t low, high;
  memcpy(&low, range, sizeof low);
  memcpy(&high, range + 4, sizeof high);
  const auto steps = (uint64_t)((int64_t)high - low + 1);  // at most 2^32
  fill(info, start, (Element)low, (Element)high, tensor, data,
       [&](uint64_t drawn) { return (Element)(low + (int64_t)((drawn >> 32) * steps >> 32)); });
}

void fill_floats(const bittrue_vector_info& info, uint64_t start, const uint8_t* range,
                 const Tensor& tensor, void* data) {
  float low, high;
  memcpy(&low, range, sizeof low);
  memcpy(&high, range + 4, sizeof high);
  const float span = high - low;
  fill(info, start, low, high, tensor, data, [&](uint64_t drawn) {
    const float share = (float)(drawn >> 40) * 0x1p-24f;  // exact, below 1
    return std::min(low + span * share, high);
  });
}

}  // namespace

Vectors read_vectors(const FileLayout& file, const Program& program) {
  Vectors vectors;
  for (uint32_t i = 0; i < file.tensors; i++) {
    if (!program.buffers[program.tensors[i].buffer].constant) vectors.hashed.push_back(i);
  }
  uint64_t elements = 0;
  for (const uint32_t input : program.inputs) {
    vectors.input_starts.push_back(elements);
    elements += (uint64_t)program.tensors[input].count();  // 1024 inputs of at most 2^40 bytes
  }
  const uint64_t row_bytes = Vectors::HEAD_BYTES + Vectors::HASH_BYTES * vectors.hashed.size();
  const uint64_t range_bytes = Vectors::RANGE_BYTES * file.inputs;
  file.require_length(VECTORS, file.vectors == 0 ? 0 : range_bytes + file.vectors * row_bytes, "");
  if (file.vectors == 0) return vectors;
  const uint64_t start = file.sections[VECTORS].offset;
  for (uint32_t i = 0; i < file.inputs; i++) check_range(file, program, i);
  for (uint32_t i = 0; i < file.vectors; i++) {
    check_vector(file, start + range_bytes + i * row_bytes, i);
  }
  vectors.count = file.vectors;
  vectors.section = file.file + start;
  return vectors;
}

bittrue_vector_info vector_info(const Vectors& vectors, uint32_t index) {
  bittrue_vector_info info{};
  const uint8_t* row = vectors.row(index);
  memcpy(&info.pattern, row, sizeof info.pattern);
  memcpy(&info.seed, row + 8, sizeof info.seed);
  return info;
}

void fill_input(const Program& program, uint32_t vector, uint32_t input, void* data) {
  const bittrue_vector_info info = vector_info(program.vectors, vector);
  const uint8_t* range = program.vectors.section + Vectors::RANGE_BYTES * input;
  const uint64_t start = program.vectors.input_starts[input];
  const Tensor& tensor = program.tensors[program.inputs[input]];
  switch (tensor.dtype) {
    case BITTRUE_UINT8:
      return fill_whole<uint8_t>(info, start, range, tensor, data);
    case BITTRUE_INT8:
      return fill_whole<int8_t>(info, start, range, tensor, data);
    case BITTRUE_INT32:
      return fill_whole<int32_t>(info, start, range, tensor, data);
    default:
      return fill_floats(info, start, range, tensor, data);
  }
}

const uint8_t* find_hash(const Vectors& vectors, uint32_t vector, uint32_t tensor) {
  const auto& hashed = vectors.hashed;
  const auto found = std::lower_bound(hashed.begin(), hashed.end(), tensor);
  if (vector >= vectors.count || found == hashed.end() || *found != tensor) return nullptr;
  const auto place = (uint64_t)(found - hashed.begin());
  return vectors.row(vector) + Vectors::HEAD_BYTES + Vectors::HASH_BYTES * place;
}

}  // namespace bittrue
