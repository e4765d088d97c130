// Sums and products: matrix products, softmax, reductions.
//
// As plain_elementwise.h says: plain loops that the files of several ISAs compile.
#ifndef BITTRUE_PLAIN_SUMS_H_
#define BITTRUE_PLAIN_SUMS_H_

#include <stddef.h>
#include <stdint.h>

#include "arith.h"
#include "arith_float.h"
#include "kernels.h"
#include "plain_axes.h"

namespace bittrue {
namespace {

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
    const auto start = offsets_of<2>(unit / a.m, a.axes, a.size, {a.a_stride, a.b_stride});
    const uint8_t* row = a.a + start.of[0] + unit % a.m * a.k;
    const uint8_t* columns = a.b + start.of[1];
    int64_t column = 0;
    for (; column + ROWS <= a.n; column += ROWS) {
      int32_t sums[ROWS];
      dot_rows<ROWS>(row, columns + column * a.k, a.k, a.zero_a, a.zero_b, sums);
      for (int64_t r = 0; r < ROWS; r++) matmul_store(a, unit * a.n, column + r, sums[r]);
    }
    for (; column < a.n; column++) {
      int32_t sum;
      dot_rows<1>(row, columns + column * a.k, a.k, a.zero_a, a.zero_b, &sum);
      matmul_store(a, unit * a.n, column, sum);
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

// The greatest (or least) element; NaN if any is. Zeros of both signs are equal
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
    const auto start = offsets_of<2>(product, a.axes, a.size, {a.a_stride, a.b_stride});
    const float* x = a.a + start.of[0] + first * a.k;
    const float* w = a.b + start.of[1];
    float* y = a.y + (product * a.m + first) * a.n;
    for (int64_t left = 0; left < a.n; left += 16) {
      const int64_t columns = a.n - left < 16 ? a.n - left : 16;
      if (a.m - first >= MATMUL_ROWS) {
        matmul_block<MATMUL_ROWS>(a, x, w + left, y + left, columns);
        continue;
      }
      for (int64_t r = 0; r < a.m - first; r++) {
        matmul_block<1>(a, x + r * a.k, w + left, y + r * a.n + left, columns);
      }
    }
  }
}

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_PLAIN_SUMS_H_
