// Loops in plain C++ that the files of several ISAs compile, each with its own flags. Everything is
// in an anonymous namespace, so that no ISA's copy can be linked in place of another's.
//
// Written so that compilers vectorise the inner loops: arguments are copied to locals, since a byte
// that is written could else be one of them.
#ifndef BITTRUE_PLAIN_LOOPS_H_
#define BITTRUE_PLAIN_LOOPS_H_

#include <stddef.h>
#include <stdint.h>

#include "arith.h"
#include "kernels.h"

namespace bittrue {
namespace {

// Taps k with 0 <= start + k * dilation < length, as [first, last).
struct Taps {
  int64_t first, last;
};

inline Taps taps_inside(int64_t start, int64_t dilation, int64_t kernel, int64_t length) {
  const int64_t first = start < 0 ? (-start + dilation - 1) / dilation : 0;
  const int64_t last = start < length ? (length - start + dilation - 1) / dilation : 0;
  return {first < kernel ? first : kernel, last < kernel ? last : kernel};
}

// --- elementwise ---------------------------------------------------------------------------------

struct BinaryRun {
  int64_t a, b, y;  // element offsets of a run of the last axis
};

inline BinaryRun binary_run(const BinaryArgs& args, int64_t unit) {
  const int64_t last = args.axes - 1;
  BinaryRun run{0, 0, unit * args.size[last]};
  for (int64_t axis = last - 1; axis >= 0; axis--) {
    const int64_t index = unit % args.size[axis];
    unit /= args.size[axis];
    run.a += index * args.a_stride[axis];
    run.b += index * args.b_stride[axis];
  }
  return run;
}

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

struct FloatRule {
  int32_t function;
  float operator()(float a, float b, int64_t) const { return one_nan(result(a, b)); }
  float result(float a, float b) const {
    switch (function) {
      case 0:
        return a + b;
      case 1:
        return a - b;
      case 2:
        return a * b;
      case 3:
        return a / b;
      case 4:
        return a < b ? a : b;
      default:
        return a > b ? a : b;
    }
  }
};

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
  for (int64_t unit = begin; unit < end; unit++) {
    const BinaryRun run = binary_run(args, unit);
    const T* a = static_cast<const T*>(args.a) + run.a;
    const T* b = static_cast<const T*>(args.b) + run.b;
    T* y = static_cast<T*>(args.y) + run.y;
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

inline float unary_function(int32_t function, float x) {
  switch (function) {
    case 0:
      return exponential(x);
    case 1:
      return sigmoid(x);
    case 2:
      return __builtin_sqrtf(x);
    case 3:
      return float_of_bits(bits_of_float(x) ^ 0x80000000u);
    default:
      return float_of_bits(bits_of_float(x) & 0x7fffffffu);
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

inline void f32_binary_units(const void* args, int64_t begin, int64_t end) {
  const BinaryArgs a = *static_cast<const BinaryArgs*>(args);
  binary<float>(a, begin, end, FloatRule{a.function});
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

inline void f32_unary_units(const void* args, int64_t begin, int64_t end) {
  const UnaryArgs a = *static_cast<const UnaryArgs*>(args);
  const int32_t function = a.function;
  unary<float, float>(
      a, begin, end, [function](float x, int64_t) { return one_nan(unary_function(function, x)); });
}

inline void max_pool_units(const void* args, int64_t begin, int64_t end) {
  const PoolArgs a = *static_cast<const PoolArgs*>(args);
  const Shape s = a.shape;
  const Window w = a.window;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t y0 = unit % s.oh * w.stride_h - w.pad_top;
    const uint8_t* picture = a.x + unit / s.oh * s.h * s.w * s.c;
    const Taps rows = taps_inside(y0, w.dilation_h, w.kernel_h, s.h);
    for (int64_t ox = 0; ox < s.ow; ox++) {
      const int64_t x0 = ox * w.stride_w - w.pad_left;
      const Taps cols = taps_inside(x0, w.dilation_w, w.kernel_w, s.w);
      uint8_t* y = a.y + (unit * s.ow + ox) * s.c;
      for (int64_t i = 0; i < s.c; i++) y[i] = 0;
      for (int64_t ky = rows.first; ky < rows.last; ky++) {
        for (int64_t kx = cols.first; kx < cols.last; kx++) {
          const int64_t row = y0 + ky * w.dilation_h, col = x0 + kx * w.dilation_w;
          const uint8_t* x = picture + (row * s.w + col) * s.c;
          for (int64_t i = 0; i < s.c; i++) y[i] = x[i] > y[i] ? x[i] : y[i];
        }
      }
    }
  }
}

inline void avg_pool_units(const void* args, int64_t begin, int64_t end) {
  constexpr int64_t BLOCK = 256;
  const PoolArgs a = *static_cast<const PoolArgs*>(args);
  const Shape s = a.shape;
  const Window w = a.window;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t oy = unit % s.oh;
    const int64_t y0 = oy * w.stride_h - w.pad_top;
    const uint8_t* picture = a.x + unit / s.oh * s.h * s.w * s.c;
    const Taps rows = taps_inside(y0, w.dilation_h, w.kernel_h, s.h);
    for (int64_t ox = 0; ox < s.ow; ox++) {
      const int64_t x0 = ox * w.stride_w - w.pad_left;
      const Taps cols = taps_inside(x0, w.dilation_w, w.kernel_w, s.w);
      const float m = a.multiplier[a.row_class[oy] * a.col_classes + a.col_class[ox]];
      const int64_t high = rows.last > rows.first ? rows.last - rows.first : 0;
      const int64_t wide = cols.last > cols.first ? cols.last - cols.first : 0;
      const uint32_t base = 0u - (uint32_t)(high * wide) * (uint32_t)a.zero_x;
      for (int64_t start = 0; start < s.c; start += BLOCK) {
        const int64_t count = s.c - start < BLOCK ? s.c - start : BLOCK;
        uint32_t acc[BLOCK];
        for (int64_t i = 0; i < count; i++) acc[i] = base;
        for (int64_t ky = rows.first; ky < rows.last; ky++) {
          for (int64_t kx = cols.first; kx < cols.last; kx++) {
            const int64_t row = y0 + ky * w.dilation_h, col = x0 + kx * w.dilation_w;
            const uint8_t* x = picture + (row * s.w + col) * s.c + start;
            for (int64_t i = 0; i < count; i++) acc[i] += x[i];
          }
        }
        uint8_t* y = a.y + (unit * s.ow + ox) * s.c + start;
        for (int64_t i = 0; i < count; i++) {
          y[i] = requantize((int32_t)acc[i], m, a.range.zero_point, a.range.lo, a.range.hi);
        }
      }
    }
  }
}

inline void f32_softmax_units(const void* args, int64_t begin, int64_t end) {
  const SoftmaxArgs a = *static_cast<const SoftmaxArgs*>(args);
  for (int64_t unit = begin; unit < end; unit++) {
    const float* x = a.x + unit * a.length;
    float* y = a.y + unit * a.length;
    float greatest = x[0];  // NaN once one is met
    for (int64_t i = 1; i < a.length; i++) {
      if (!(x[i] <= greatest) && greatest == greatest) greatest = x[i];
    }
#pragma GCC ivdep
    for (int64_t i = 0; i < a.length; i++) y[i] = exponential(x[i] - greatest);
    float lanes[SUM_LANES] = {};
    for (int64_t i = 0; i < a.length; i++) {
      lanes[i % SUM_LANES] = lanes[i % SUM_LANES] + y[i];
    }
    const float sum = tree_sum(lanes);
    for (int64_t i = 0; i < a.length; i++) y[i] = one_nan(y[i] / sum);
  }
}

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_PLAIN_LOOPS_H_
