#include "vectors.h"

#include <string.h>

#include <algorithm>

namespace bittrue {
namespace {

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
