// Windows of pictures: padding, pools, bilinear resize.
//
// As plain_elementwise.h says: plain loops that the files of several ISAs compile.
#ifndef BITTRUE_PLAIN_WINDOWS_H_
#define BITTRUE_PLAIN_WINDOWS_H_

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

}  // namespace
}  // namespace bittrue

#endif  // BITTRUE_PLAIN_WINDOWS_H_
