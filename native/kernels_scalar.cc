// Kernels in plain C++, one for every instruction: the reference for all others, and what runs
// where no other takes the shape.
#include <stddef.h>
#include <stdint.h>

#include "arith.h"
#include "kernels.h"
#include "plain_axes.h"
#include "plain_elementwise.h"
#include "plain_sums.h"
#include "plain_windows.h"

namespace bittrue {
namespace {

void copy_bytes(uint8_t* y, const uint8_t* x, int64_t count) {
  for (int64_t i = 0; i < count; i++) y[i] = x[i];
}

// --- convolution ---------------------------------------------------------------------------------

uint32_t dot(const uint8_t* x, const int8_t* w, int64_t count) {
  uint32_t sum = 0;  // wraps on purpose; a legal program never gets there
  for (int64_t i = 0; i < count; i++) sum += (uint32_t)((int32_t)x[i] * (int32_t)w[i]);
  return sum;
}

void store(const ConvArgs& a, int64_t at, int64_t channel, uint32_t acc) {
  const float m = a.multiplier[channel];
  if (a.f32) {
    static_cast<float*>(a.y)[at + channel] = (float)(int32_t)acc * m;
  } else {
    static_cast<uint8_t*>(a.y)[at + channel] =
        requantize((int32_t)acc, m, a.range.zero_point, a.range.lo, a.range.hi);
  }
}

// One pixel of y of a convolution whose every channel sees one channel of x.
void depthwise_pixel(const ConvArgs& a, const uint8_t* picture, const int32_t* bias, int64_t at,
                     int64_t y0, int64_t x0, Taps rows, Taps cols) {
  constexpr int64_t BLOCK = 64;
  const Window& w = a.window;
  const int64_t taps = w.kernel_h * w.kernel_w;
  for (int64_t start = 0; start < a.shape.o; start += BLOCK) {
    const int64_t count = a.shape.o - start < BLOCK ? a.shape.o - start : BLOCK;
    uint32_t acc[BLOCK];
    for (int64_t i = 0; i < count; i++) acc[i] = (uint32_t)bias[start + i];
    for (int64_t ky = rows.first; ky < rows.last; ky++) {
      for (int64_t kx = cols.first; kx < cols.last; kx++) {
        const int64_t row = y0 + ky * w.dilation_h, col = x0 + kx * w.dilation_w;
        const uint8_t* x = picture + (row * a.shape.w + col) * a.shape.c + start;
        const int8_t* weight = a.weight + start * taps + ky * w.kernel_w + kx;
        for (int64_t i = 0; i < count; i++) {
          acc[i] += (uint32_t)((int32_t)x[i] * (int32_t)weight[i * taps]);
        }
      }
    }
    for (int64_t i = 0; i < count; i++) store(a, at, start + i, acc[i]);
  }
}

void grouped_pixel(const ConvArgs& a, const uint8_t* picture, const int32_t* bias, int64_t at,
                   int64_t y0, int64_t x0, Taps rows, Taps cols) {
  const Window& w = a.window;
  const int64_t deep = a.shape.c / a.groups, wide = a.shape.o / a.groups;
  const bool joined = a.groups == 1 && w.dilation_w == 1;  // a kernel row is one run of bytes
  for (int64_t channel = 0; channel < a.shape.o; channel++) {
    const uint8_t* x = picture + channel / wide * deep;
    const int8_t* weight = a.weight + channel * w.kernel_h * w.kernel_w * deep;
    uint32_t acc = (uint32_t)bias[channel];
    for (int64_t ky = rows.first; ky < rows.last; ky++) {
      const uint8_t* x_row = x + (y0 + ky * w.dilation_h) * a.shape.w * a.shape.c;
      const int8_t* w_row = weight + ky * w.kernel_w * deep;
      if (joined) {
        if (cols.first < cols.last) {
          acc += dot(x_row + (x0 + cols.first) * deep, w_row + cols.first * deep,
                     (cols.last - cols.first) * deep);
        }
        continue;
      }
      for (int64_t kx = cols.first; kx < cols.last; kx++) {
        acc += dot(x_row + (x0 + kx * w.dilation_w) * a.shape.c, w_row + kx * deep, deep);
      }
    }
    store(a, at, channel, acc);
  }
}

// --- copy ----------------------------------------------------------------------------------------

template <typename T>
void copy_run(const CopyArgs& a, const T* x, T* y, int64_t axis) {
  const int64_t x_step = a.src_stride[axis], y_step = a.dst_stride[axis];
  if (axis + 1 < a.axes) {
    for (int64_t i = 0; i < a.size[axis]; i++)
      copy_run(a, x + i * x_step, y + i * y_step, axis + 1);
  } else if (a.table != nullptr) {
    for (int64_t i = 0; i < a.size[axis]; i++) y[i * y_step] = (T)a.table[(uint8_t)x[i * x_step]];
  } else if (x_step == 1 && y_step == 1) {
    for (int64_t i = 0; i < a.size[axis]; i++) y[i] = x[i];
  } else {
    for (int64_t i = 0; i < a.size[axis]; i++) y[i * y_step] = x[i * x_step];
  }
}

template <typename T>
void copy_units(const CopyArgs& a, int64_t begin, int64_t end) {
  for (int64_t unit = begin; unit < end; unit++) {
    const auto start = offsets_of<2>(unit, a.outer, a.size, {a.src_stride, a.dst_stride});
    copy_run(a, reinterpret_cast<const T*>(a.x) + start.of[0],
             reinterpret_cast<T*>(a.y) + start.of[1], a.outer);
  }
}

}  // namespace

void conv_general_scalar(const void* args, int64_t begin, int64_t end) {
  const ConvArgs a = *static_cast<const ConvArgs*>(args);
  const Shape s = a.shape;
  const Window w = a.window;
  const bool depthwise = a.groups == s.c && s.c == s.o;
  for (int64_t unit = begin; unit < end; unit++) {
    const int64_t oy = unit % s.oh;
    const int64_t y0 = oy * w.stride_h - w.pad_top;
    const uint8_t* picture = a.x + unit / s.oh * s.h * s.w * s.c;
    const Taps rows = taps_inside(y0, w.dilation_h, w.kernel_h, s.h);
    for (int64_t ox = 0; ox < s.ow; ox++) {
      const int64_t x0 = ox * w.stride_w - w.pad_left;
      const Taps cols = taps_inside(x0, w.dilation_w, w.kernel_w, s.w);
      const int32_t* bias = a.bias + (a.row_class[oy] * a.col_classes + a.col_class[ox]) * s.o;
      const int64_t at = (unit * s.ow + ox) * s.o;
      (depthwise ? depthwise_pixel : grouped_pixel)(a, picture, bias, at, y0, x0, rows, cols);
    }
  }
}

void table_scalar(const void* args, int64_t begin, int64_t end) {
  const UnaryArgs a = *static_cast<const UnaryArgs*>(args);
  const uint8_t* table = static_cast<const uint8_t*>(a.table);
  unary<uint8_t, uint8_t>(a, begin, end,
                          [table](uint8_t x, int64_t k) { return table[k * 256 + x]; });
}

#define PLAIN(instruction, name)                                     \
  void name##_scalar(const void* args, int64_t begin, int64_t end) { \
    name##_units(args, begin, end);                                  \
  }
#include "plain_kernels.inc"

void gather_2d_scalar(const void* args, int64_t begin, int64_t end) {
  const GatherArgs a = *static_cast<const GatherArgs*>(args);
  const Shape s = a.shape;
  for (int64_t unit = begin; unit < end; unit++) {
    const uint8_t* x = a.x + (unit / s.oh * s.h + a.rows[unit % s.oh]) * s.w * a.pixel_bytes;
    uint8_t* y = a.y + unit * s.ow * a.pixel_bytes;
    for (int64_t ox = 0; ox < s.ow; ox++) {
      copy_bytes(y + ox * a.pixel_bytes, x + a.cols[ox] * a.pixel_bytes, a.pixel_bytes);
    }
  }
}

void copy_scalar(const void* args, int64_t begin, int64_t end) {
  const CopyArgs a = *static_cast<const CopyArgs*>(args);
  if (a.item == 1) return copy_units<uint8_t>(a, begin, end);
  copy_units<uint32_t>(a, begin, end);
}

void fill_scalar(const void* args, int64_t begin, int64_t end) {
  const FillArgs a = *static_cast<const FillArgs*>(args);
  const int64_t first = begin * FILL_UNIT;
  const int64_t last = end * FILL_UNIT < a.count ? end * FILL_UNIT : a.count;
  if (a.f32) {
    uint32_t* y = static_cast<uint32_t*>(a.y);
    for (int64_t i = first; i < last; i++) y[i] = (uint32_t)a.value;
  } else {
    uint8_t* y = static_cast<uint8_t*>(a.y);
    for (int64_t i = first; i < last; i++) y[i] = (uint8_t)a.value;
  }
}

void pad_bytes_scalar(const void* args, int64_t begin, int64_t end) {
  pad_units<uint8_t>(args, begin, end);
}

}  // namespace bittrue
