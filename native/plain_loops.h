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
#include "arith_float.h"
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

// --- padding ------------------------------------------------------------------------------------

// Copies of codes as T, with zeros around.
template <typename T>
void pad_units(const void* args, int64_t begin, int64_t end) {
  const PadArgs a = *static_cast<const PadArgs*>(args);
  const Shape s = a.shape;
  const Taps cols = taps_inside(-a.pad_left, 1, a.copy_w, s.w);
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t row = unit % a.copy_h - a.pad_top;
    const bool empty = row < 0 || row >= s.h || cols.first >= cols.last;
    const int64_t left = (empty ? a.copy_w : cols.first) * s.c;
    const int64_t right = (empty ? a.copy_w : cols.last) * s.c;
    T* y = static_cast<T*>(a.copy) + unit * a.copy_w * s.c;
    for (int64_t i = 0; i < left; i++) y[i] = 0;
    const uint8_t* x =
        empty ? a.x : a.x + ((unit / a.copy_h * s.h + row) * s.w - a.pad_left) * s.c + left;
#pragma GCC ivdep
    for (int64_t i = 0; i < right - left; i++) y[left + i] = x[i];
    for (int64_t i = right; i < a.copy_w * s.c; i++) y[i] = 0;
  }
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

// --- products of two activations -----------------------------------------------------------------

// R sums of k products (a - zero_a) * (b - zero_b), of one row of a with R rows of b. Differences
// fit 16 bits, and the sums int32 (verify.cc bounds k).
template <int R>
void dot_rows(const uint8_t* a, const uint8_t* b, int64_t k, int32_t zero_a, int32_t zero_b,
              int32_t* sums) {
  int32_t acc[R] = {};
  for (int64_t i = 0; i < k; i++) {
    const int16_t left = (int16_t)(a[i] - zero_a);
    for (int r = 0; r < R; r++) acc[r] += left * (int16_t)(b[r * k + i] - zero_b);
  }
  for (int r = 0; r < R; r++) sums[r] = acc[r];
}

inline void matmul_store(const MatmulArgs& a, int64_t at, int64_t column, int32_t acc) {
  const float m = a.multiplier[a.channels > 1 ? column : 0];
  if (a.f32) {
    static_cast<float*>(a.y)[at + column] = (float)acc * m;
  } else {
    static_cast<uint8_t*>(a.y)[at + column] =
        requantize(acc, m, a.range.zero_point, a.range.lo, a.range.hi);
  }
}

inline void matmul_units(const void* args, int64_t begin, int64_t end) {
  constexpr int64_t ROWS = 4;
  const MatmulArgs a = *static_cast<const MatmulArgs*>(args);
  for (int64_t unit = begin; unit < end; unit++) {
    int64_t rest = unit / a.m, a_at = unit % a.m * a.k, b_at = 0;
    for (int64_t axis = a.axes - 1; axis >= 0; axis--) {
      const int64_t index = rest % a.size[axis];
      rest /= a.size[axis];
      a_at += index * a.a_stride[axis];
      b_at += index * a.b_stride[axis];
    }
    int64_t column = 0;
    for (; column + ROWS <= a.n; column += ROWS) {
      int32_t sums[ROWS];
      dot_rows<ROWS>(a.a + a_at, a.b + b_at + column * a.k, a.k, a.zero_a, a.zero_b, sums);
      for (int64_t r = 0; r < ROWS; r++) matmul_store(a, unit * a.n, column + r, sums[r]);
    }
    for (; column < a.n; column++) {
      int32_t sum;
      dot_rows<1>(a.a + a_at, a.b + b_at + column * a.k, a.k, a.zero_a, a.zero_b, &sum);
      matmul_store(a, unit * a.n, column, sum);
    }
  }
}

// --- bilinear resize -----------------------------------------------------------------------------

inline void resize_linear_units(const void* args, int64_t begin, int64_t end) {
  const ResizeArgs a = *static_cast<const ResizeArgs*>(args);
  const Shape s = a.shape;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t oy = unit % s.oh;
    const uint8_t* picture = a.x + unit / s.oh * s.h * s.w * s.c;
    const uint8_t* upper = picture + a.rows[2 * oy] * s.w * s.c;
    const uint8_t* lower = picture + a.rows[2 * oy + 1] * s.w * s.c;
    const int32_t up = a.row_weight[2 * oy], down = a.row_weight[2 * oy + 1];
    for (int64_t ox = 0; ox < s.ow; ox++) {
      const int64_t left = a.cols[2 * ox] * s.c, right = a.cols[2 * ox + 1] * s.c;
      const int32_t first = a.col_weight[2 * ox], second = a.col_weight[2 * ox + 1];
      uint8_t* y = a.y + (unit * s.ow + ox) * s.c;
#pragma GCC ivdep
      for (int64_t i = 0; i < s.c; i++) {
        const int32_t before = up * upper[left + i] + down * lower[left + i];  // below 2^20
        const int32_t after = up * upper[right + i] + down * lower[right + i];
        const int32_t acc = first * before + second * after;  // below 2^30
        y[i] = (uint8_t)((acc + (1 << 21) - 1 + ((acc >> 22) & 1)) >> 22);
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

inline void f32_where_units(const void* args, int64_t begin, int64_t end) {
  const WhereArgs a = *static_cast<const WhereArgs*>(args);
  const int64_t last = a.axes - 1, count = a.size[last];
  for (int64_t unit = begin; unit < end; unit++) {
    const float* from[3] = {a.input[0], a.input[1], a.input[2]};
    int64_t rest = unit;
    for (int64_t axis = last - 1; axis >= 0; axis--) {
      for (int i = 0; i < 3; i++) from[i] += rest % a.size[axis] * a.stride[i][axis];
      rest /= a.size[axis];
    }
    float* y = a.y + unit * count;
    for (int64_t i = 0; i < count; i++) {
      const float on = from[1][i * a.stride[1][last]], off = from[2][i * a.stride[2][last]];
      y[i] = one_nan(from[0][i * a.stride[0][last]] == 0.0f ? off : on);
    }
  }
}

// Each of 16 lanes takes x[lane], x[lane + 16], ... by `step`, from `start`.
template <typename Step>
void fill_lanes(float* lanes, const float* x, int64_t length, float start, const Step step) {
  for (int64_t lane = 0; lane < SUM_LANES; lane++) lanes[lane] = start;
  int64_t i = 0;
  for (; i + SUM_LANES <= length; i += SUM_LANES) {
    for (int64_t lane = 0; lane < SUM_LANES; lane++) lanes[lane] = step(lanes[lane], x[i + lane]);
  }
  for (int64_t lane = 0; i + lane < length; lane++) lanes[lane] = step(lanes[lane], x[i + lane]);
}

// The greatest (or least, of negated values) element; NaN if any is. Zeros of both signs are equal
// here, and the sum makes them +0.
template <bool LEAST>
float extreme(const float* x, int64_t length) {
  float found = x[0];  // NaN once one is met
  for (int64_t i = 1; i < length; i++) {
    const bool stays = LEAST ? x[i] >= found : x[i] <= found;
    if (!stays && found == found) found = x[i];
  }
  return found + 0.0f;
}

inline float reduce_sum(const float* x, int64_t length) {
  float lanes[SUM_LANES];
  fill_lanes(lanes, x, length, 0.0f, [](float sum, float item) { return sum + item; });
  return tree_sum(lanes);
}

inline float reduce_mean(const float* x, int64_t length) {
  return reduce_sum(x, length) / (float)length;
}

inline float reduce_max(const float* x, int64_t length) { return extreme<false>(x, length); }

inline float reduce_min(const float* x, int64_t length) { return extreme<true>(x, length); }

inline float reduce_prod(const float* x, int64_t length) {
  float lanes[SUM_LANES];
  fill_lanes(lanes, x, length, 1.0f, [](float product, float item) { return product * item; });
  return tree_product(lanes);
}

inline float reduce_l2(const float* x, int64_t length) {
  float lanes[SUM_LANES];
  fill_lanes(lanes, x, length, 0.0f, [](float sum, float item) { return sum + item * item; });
  return __builtin_sqrtf(tree_sum(lanes));
}

template <float (*F)(const float*, int64_t)>
void f32_reduce_by(const ReduceArgs& args, int64_t begin, int64_t end) {
  for (int64_t unit = begin; unit < end; unit++) {
    args.y[unit] = one_nan(F(args.x + unit * args.length, args.length));
  }
}

inline void f32_reduce_units(const void* args, int64_t begin, int64_t end) {
  const ReduceArgs a = *static_cast<const ReduceArgs*>(args);
  using Units = void (*)(const ReduceArgs&, int64_t, int64_t);
  constexpr Units UNITS[] = {
#define REDUCTION(name, function) f32_reduce_by<function>,
#include "float_functions.inc"
  };
  UNITS[a.function](a, begin, end);
}

// ROWS rows of a times up to 16 columns of b, every sum in the order of k.
template <int ROWS>
void matmul_block(const F32MatmulArgs& a, const float* x, const float* w, float* y,
                  int64_t columns) {
  constexpr int64_t WIDE = 16;
  float acc[ROWS][WIDE] = {};
  if (columns == WIDE) {
    for (int64_t k = 0; k < a.k; k++) {
      const float* row = w + k * a.n;
#pragma GCC unroll 4
      for (int64_t r = 0; r < ROWS; r++) {
        const float factor = x[r * a.k + k];
        for (int64_t j = 0; j < WIDE; j++) acc[r][j] = acc[r][j] + factor * row[j];
      }
    }
  } else {
    for (int64_t k = 0; k < a.k; k++) {
      for (int64_t r = 0; r < ROWS; r++) {
        const float factor = x[r * a.k + k];
        for (int64_t j = 0; j < columns; j++) acc[r][j] = acc[r][j] + factor * w[k * a.n + j];
      }
    }
  }
  for (int64_t r = 0; r < ROWS; r++) {
    for (int64_t j = 0; j < columns; j++) y[r * a.n + j] = one_nan(acc[r][j]);
  }
}

inline void f32_matmul_units(const void* args, int64_t begin, int64_t end) {
  const F32MatmulArgs a = *static_cast<const F32MatmulArgs*>(args);
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t first = unit % a.row_blocks * MATMUL_ROWS, product = unit / a.row_blocks;
    const float* x = a.a + first * a.k;
    const float* w = a.b;
    int64_t rest = product;
    for (int64_t axis = a.axes - 1; axis >= 0; axis--) {
      x += rest % a.size[axis] * a.a_stride[axis];
      w += rest % a.size[axis] * a.b_stride[axis];
      rest /= a.size[axis];
    }
    float* y = a.y + (product * a.m + first) * a.n;
    for (int64_t start = 0; start < a.n; start += 16) {
      const int64_t columns = a.n - start < 16 ? a.n - start : 16;
      if (a.m - first >= MATMUL_ROWS) {
        matmul_block<MATMUL_ROWS>(a, x, w + start, y + start, columns);
        continue;
      }
      for (int64_t r = 0; r < a.m - first; r++) {
        matmul_block<1>(a, x + r * a.k, w + start, y + r * a.n + start, columns);
      }
    }
  }
}

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_PLAIN_LOOPS_H_
