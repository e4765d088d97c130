// Element by element: codes and floats, one input, two or three.
//
// Loops in plain C++ that the files of several ISAs compile, each with its own flags. Everything is
// in an anonymous namespace, so that no ISA's copy can be linked in place of another's. They are
// written so that compilers vectorise the inner loops: arguments are copied to locals, since a byte
// that is written could else be one of them.
#ifndef BITTRUE_PLAIN_ELEMENTWISE_H_
#define BITTRUE_PLAIN_ELEMENTWISE_H_

#include <stddef.h>
#include <stdint.h>

#include "arith.h"
#include "arith_float.h"
#include "kernels.h"
#include "plain_axes.h"

namespace bittrue {
namespace {

struct AddRule {
  BinaryArgs args;
  uint8_t operator()(uint8_t a, uint8_t b, int64_t k) const {
    const float left = (float)((int32_t)a - args.zero_a) * args.multiplier[k];
    const float right = (float)((int32_t)b - args.zero_b) * args.multiplier[args.channels + k];
    return finish(left + right, args.range.zero_point, args.range.lo, args.range.hi);
  }
};

struct MulRule {
  BinaryArgs args;
  uint8_t operator()(uint8_t a, uint8_t b, int64_t k) const {
    const int32_t product = ((int32_t)a - args.zero_a) * ((int32_t)b - args.zero_b);
    return finish((float)product * args.multiplier[k], args.range.zero_point, args.range.lo,
                  args.range.hi);
  }
};

struct DivRule {
  BinaryArgs args;
  uint8_t operator()(uint8_t a, uint8_t b, int64_t k) const {
    const float left = (float)((int32_t)a - args.zero_a);
    const float right = (float)((int32_t)b - args.zero_b);
    const float quotient = left == 0.0f && right == 0.0f ? 0.0f : left / right;
    return finish(quotient * args.multiplier[k], args.range.zero_point, args.range.lo,
                  args.range.hi);
  }
};

struct MinRule {
  BinaryArgs args;
  uint8_t operator()(uint8_t a, uint8_t b, int64_t k) const {
    const float left = (float)((int32_t)a - args.zero_a) * args.multiplier[k];
    const float right = (float)((int32_t)b - args.zero_b) * args.multiplier[args.channels + k];
    return finish(left < right ? left : right, args.range.zero_point, args.range.lo, args.range.hi);
  }
};

struct MaxRule {
  BinaryArgs args;
  uint8_t operator()(uint8_t a, uint8_t b, int64_t k) const {
    const float left = (float)((int32_t)a - args.zero_a) * args.multiplier[k];
    const float right = (float)((int32_t)b - args.zero_b) * args.multiplier[args.channels + k];
    return finish(left > right ? left : right, args.range.zero_point, args.range.lo, args.range.hi);
  }
};

inline bool is_equal(float a, float b) { return a == b; }
inline bool is_less(float a, float b) { return a < b; }
inline bool is_less_or_equal(float a, float b) { return a <= b; }

template <bool (*F)(float, float)>
struct CompareRule {
  BinaryArgs args;
  uint8_t operator()(uint8_t a, uint8_t b, int64_t k) const {
    const float left = (float)((int32_t)a - args.zero_a) * args.multiplier[k];
    const float right = (float)((int32_t)b - args.zero_b) * args.multiplier[args.channels + k];
    return F(left, right);
  }
};

// The function is a template argument, so that each has a loop of its own that vectorises.
template <float (*F)(float, float)>
struct FloatRule {
  float operator()(float a, float b, int64_t) const { return one_nan(F(a, b)); }
};

inline float f32_add(float a, float b) { return a + b; }
inline float f32_sub(float a, float b) { return a - b; }
inline float f32_mul(float a, float b) { return a * b; }
inline float f32_div(float a, float b) { return a / b; }
inline float f32_min(float a, float b) { return a < b ? a : b; }
inline float f32_max(float a, float b) { return a > b ? a : b; }
inline float f32_equal(float a, float b) { return truth(a == b); }
inline float f32_less(float a, float b) { return truth(a < b); }
inline float f32_less_or_equal(float a, float b) { return truth(a <= b); }
inline float f32_greater(float a, float b) { return truth(a > b); }
inline float f32_greater_or_equal(float a, float b) { return truth(a >= b); }
inline float f32_sqrt(float x) { return __builtin_sqrtf(x); }
inline float f32_neg(float x) { return float_of_bits(bits_of_float(x) ^ SIGN_BIT); }
inline float f32_reciprocal(float x) { return 1.0f / x; }

// The steps are template arguments where they are usual, so that the loop vectorises. ivdep holds:
// y overlaps an input only where it is that input, element by element (verify.cc).
template <int A, int B, int K, typename T, typename Rule>
void binary_loop(const T* a, const T* b, T* y, int64_t count, const Rule rule) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; i++) y[i] = rule(a[i * A], b[i * B], i * K);
}

template <int K, typename T, typename Rule>
void binary_steps(const BinaryArgs& args, const T* a, const T* b, T* y, const Rule& rule) {
  const int64_t last = args.axes - 1;
  const int64_t count = args.size[last];
  if (args.a_stride[last] && args.b_stride[last]) return binary_loop<1, 1, K>(a, b, y, count, rule);
  if (args.a_stride[last]) return binary_loop<1, 0, K>(a, b, y, count, rule);
  if (args.b_stride[last]) return binary_loop<0, 1, K>(a, b, y, count, rule);
  binary_loop<0, 0, K>(a, b, y, count, rule);
}

template <typename T, typename Rule>
void binary(const BinaryArgs& args, int64_t begin, int64_t end, const Rule& rule) {
  const int64_t last = args.axes - 1;
  for (int64_t unit = begin; unit < end; unit++) {
    const auto start = offsets_of<2>(unit, last, args.size, {args.a_stride, args.b_stride});
    const T* a = static_cast<const T*>(args.a) + start.of[0];
    const T* b = static_cast<const T*>(args.b) + start.of[1];
    T* y = static_cast<T*>(args.y) + unit * args.size[last];
    if (args.channels > 1) {
      binary_steps<1>(args, a, b, y, rule);
    } else {
      binary_steps<0>(args, a, b, y, rule);
    }
  }
}

template <typename X, typename Y, typename Rule>
void unary(const UnaryArgs& args, int64_t begin, int64_t end, const Rule rule) {
  for (int64_t unit = begin; unit < end; unit++) {
    const X* x = static_cast<const X*>(args.x) + unit * args.run;
    Y* y = static_cast<Y*>(args.y) + unit * args.run;
    const int64_t count = unit + 1 == args.units ? args.last_run : args.run;
    if (args.channels > 1) {
#pragma GCC ivdep
      for (int64_t i = 0; i < count; i++) y[i] = rule(x[i], i);
    } else {
#pragma GCC ivdep
      for (int64_t i = 0; i < count; i++) y[i] = rule(x[i], 0);
    }
  }
}

// TABLE. `wide(x, y, count, table)` looks up as many codes of a run as it likes in one table, and
// returns how many; the loop does the rest.
template <typename Wide>
void table_units(const void* args, int64_t begin, int64_t end, const Wide& wide) {
  const UnaryArgs a = *static_cast<const UnaryArgs*>(args);
  const uint8_t* table = static_cast<const uint8_t*>(a.table);
  for (int64_t unit = begin; unit < end; unit++) {
    const uint8_t* x = static_cast<const uint8_t*>(a.x) + unit * a.run;
    uint8_t* y = static_cast<uint8_t*>(a.y) + unit * a.run;
    const int64_t count = unit + 1 == a.units ? a.last_run : a.run;
    const int64_t step = a.channels > 1 ? 256 : 0;
    int64_t i = step == 0 ? wide(x, y, count, table) : 0;
    for (; i < count; i++) y[i] = table[i * step + x[i]];
  }
}

inline void add_units(const void* args, int64_t begin, int64_t end) {
  const BinaryArgs a = *static_cast<const BinaryArgs*>(args);
  binary<uint8_t>(a, begin, end, AddRule{a});
}

inline void mul_units(const void* args, int64_t begin, int64_t end) {
  const BinaryArgs a = *static_cast<const BinaryArgs*>(args);
  binary<uint8_t>(a, begin, end, MulRule{a});
}

inline void div_units(const void* args, int64_t begin, int64_t end) {
  const BinaryArgs a = *static_cast<const BinaryArgs*>(args);
  binary<uint8_t>(a, begin, end, DivRule{a});
}

inline void min_units(const void* args, int64_t begin, int64_t end) {
  const BinaryArgs a = *static_cast<const BinaryArgs*>(args);
  binary<uint8_t>(a, begin, end, MinRule{a});
}

inline void max_units(const void* args, int64_t begin, int64_t end) {
  const BinaryArgs a = *static_cast<const BinaryArgs*>(args);
  binary<uint8_t>(a, begin, end, MaxRule{a});
}

template <bool (*F)(float, float)>
void compare_by(const BinaryArgs& args, int64_t begin, int64_t end) {
  binary<uint8_t>(args, begin, end, CompareRule<F>{args});
}

inline void compare_units(const void* args, int64_t begin, int64_t end) {
  const BinaryArgs a = *static_cast<const BinaryArgs*>(args);
  using Units = void (*)(const BinaryArgs&, int64_t, int64_t);
  constexpr Units UNITS[] = {
#define COMPARE_FUNCTION(name, function) compare_by<function>,
#include "float_functions.inc"
  };
  UNITS[a.function](a, begin, end);
}

template <float (*F)(float, float)>
void f32_binary_by(const BinaryArgs& args, int64_t begin, int64_t end) {
  binary<float>(args, begin, end, FloatRule<F>{});
}

inline void f32_binary_units(const void* args, int64_t begin, int64_t end) {
  const BinaryArgs a = *static_cast<const BinaryArgs*>(args);
  using Units = void (*)(const BinaryArgs&, int64_t, int64_t);
  constexpr Units UNITS[] = {
#define BINARY_FUNCTION(name, function) f32_binary_by<function>,
#include "float_functions.inc"
  };
  UNITS[a.function](a, begin, end);
}

inline void quantize_units(const void* args, int64_t begin, int64_t end) {
  const UnaryArgs a = *static_cast<const UnaryArgs*>(args);
  const float* scale = static_cast<const float*>(a.table);
  const int32_t zero = a.zero_point;
  unary<float, uint8_t>(a, begin, end,
                        [scale, zero](float x, int64_t k) { return quantize(x, scale[k], zero); });
}

inline void dequantize_units(const void* args, int64_t begin, int64_t end) {
  const UnaryArgs a = *static_cast<const UnaryArgs*>(args);
  const float* scale = static_cast<const float*>(a.table);
  const int32_t zero = a.zero_point;
  unary<uint8_t, float>(
      a, begin, end, [scale, zero](uint8_t x, int64_t k) { return dequantize(x, scale[k], zero); });
}

template <float (*F)(float)>
void f32_unary_by(const UnaryArgs& args, int64_t begin, int64_t end) {
  unary<float, float>(args, begin, end, [](float x, int64_t) { return one_nan(F(x)); });
}

inline void f32_unary_units(const void* args, int64_t begin, int64_t end) {
  const UnaryArgs a = *static_cast<const UnaryArgs*>(args);
  using Units = void (*)(const UnaryArgs&, int64_t, int64_t);
  constexpr Units UNITS[] = {
#define UNARY_FUNCTION(name, function) f32_unary_by<function>,
#include "float_functions.inc"
  };
  UNITS[a.function](a, begin, end);
}

inline void f32_where_units(const void* args, int64_t begin, int64_t end) {
  const WhereArgs a = *static_cast<const WhereArgs*>(args);
  const int64_t last = a.axes - 1, count = a.size[last];
  for (int64_t unit = begin; unit < end; unit++) {
    const auto start = offsets_of<3>(unit, last, a.size, {a.stride[0], a.stride[1], a.stride[2]});
    const float* from[3];
    for (int i = 0; i < 3; i++) from[i] = a.input[i] + start.of[i];
    float* y = a.y + unit * count;
    for (int64_t i = 0; i < count; i++) {
      const float on = from[1][i * a.stride[1][last]], off = from[2][i * a.stride[2][last]];
      y[i] = one_nan(from[0][i * a.stride[0][last]] == 0.0f ? off : on);
    }
  }
}

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_PLAIN_ELEMENTWISE_H_
