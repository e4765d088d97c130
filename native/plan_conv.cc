// CONV: by a vector kernel on tiles of output channels where one takes the shape, else as it
// stands.
#include <algorithm>
#include <optional>

#include "pack.h"
#include "planner.h"

namespace bittrue {
namespace {

constexpr int64_t FLAT_ROW = 96;  // pixels of a 1 x 1 convolution that make a row
constexpr int64_t WEIGHTS_IN_CACHE = 256 << 10;
// Padding is not worth it where the copy is more than these times x: only odd or hostile programs
// get there.
constexpr int64_t MOST_PADDING = 8;

// How a vector kernel goes over a convolution.
struct Tiling {
  uint32_t kernel;  // row of the kernel table
  PackFormat format;
  bool depthwise;
  bool joined;        // a run is a whole row of the kernel, whose taps are neighbours in x
  int64_t runs, run;  // how many, and elements of one
  int64_t steps;      // of a run
  int64_t tiles;
};

std::optional<Tiling> find_tiling(const ConvArgs& conv, Isa isa) {
  const Shape& s = conv.shape;
  const Window& w = conv.window;
  const bool depthwise = conv.groups > 1 && conv.groups == s.c && s.c == s.o;
  if (conv.groups > 1 && !depthwise) return std::nullopt;
  const int32_t row = find_kernel(Kind::CONV, depthwise ? Form::DEPTHWISE : Form::DENSE, isa);
  if (row < 0) return std::nullopt;
  Tiling tiling{};
  tiling.kernel = (uint32_t)row;
  tiling.format = *kernel_row(tiling.kernel).format;
  tiling.depthwise = depthwise;
  tiling.joined = !depthwise && (w.dilation_w == 1 || w.kernel_w == 1);
  const int64_t taps = w.kernel_h * w.kernel_w;
  tiling.runs = depthwise ? 1 : tiling.joined ? w.kernel_h : taps;
  tiling.run = depthwise ? taps : tiling.joined ? w.kernel_w * s.c : s.c;
  tiling.steps = (tiling.run + tiling.format.step - 1) / tiling.format.step;
  tiling.tiles = (s.o + tiling.format.tile - 1) / tiling.format.tile;
  return tiling;
}

// x as a vector kernel reads it: padded copy or x itself.
struct Source {
  int64_t copy_h, copy_w;
  bool direct;
  uint64_t bytes;  // of the copy
};

// Nothing where a copy would be too large.
std::optional<Source> find_source(const ConvArgs& conv, const Tiling& tiling) {
  const Shape& s = conv.shape;
  const Window& w = conv.window;
  const int64_t item = tiling.format.code_item;
  const int64_t copy_h = (s.oh - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1;
  const int64_t copy_w = (s.ow - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1;
  const bool whole_steps = !tiling.depthwise && tiling.run % tiling.format.step == 0;
  if (item == 1 && whole_steps && w.pad_top == 0 && w.pad_left == 0 && copy_h <= s.h &&
      copy_w <= s.w) {
    return Source{s.h, s.w, true, 0};
  }
  int64_t elements = 0;  // the sizes are below 2^48, their product may not fit
  if (__builtin_mul_overflow(copy_h, copy_w, &elements) ||
      __builtin_mul_overflow(elements, s.n * s.c, &elements) ||
      elements > MOST_PADDING * (s.n * s.h * s.w * s.c) + (1 << 20)) {
    return std::nullopt;
  }
  return Source{copy_h, copy_w, false, (uint64_t)(elements * item + SLACK)};
}

// In x, of each tap, or of the first tap of each run.
const int64_t* keep_offsets(Planner& at, const ConvArgs& conv, const Tiling& tiling,
                            const Source& source) {
  const Window& w = conv.window;
  const int64_t count = tiling.depthwise ? tiling.steps * tiling.format.step : tiling.runs;
  auto* offset = at.keep_packed<int64_t>(Memory((uint64_t)count * 8, "offsets of taps"));
  const int64_t wide = tiling.joined ? 1 : w.kernel_w;
  for (int64_t i = 0; i < w.kernel_h * wide; i++) {
    const int64_t row = i / wide * w.dilation_h, col = i % wide * w.dilation_w;
    offset[i] = (row * source.copy_w + col) * conv.shape.c;
  }
  return offset;
}

void lay_rows(const ConvArgs& conv, int64_t classes, TileArgs* args) {
  const Shape& s = conv.shape;
  const Window& w = conv.window;
  args->flat = w.kernel_h == 1 && w.kernel_w == 1 && w.stride_h == 1 && w.stride_w == 1 &&
               w.pad_top == 0 && w.pad_left == 0 && s.oh == s.h && s.ow == s.w && classes == 1;
  if (args->flat) {
    const int64_t pixels = s.n * s.oh * s.ow;
    args->rows = (pixels + FLAT_ROW - 1) / FLAT_ROW;
    args->row_pixels = FLAT_ROW;
    args->last_row_pixels = pixels - (args->rows - 1) * FLAT_ROW;
    args->x_row = FLAT_ROW * s.c;
    args->rows_per_picture = args->rows;
  } else {
    args->rows = s.n * s.oh;
    args->row_pixels = args->last_row_pixels = s.ow;
    args->rows_per_picture = s.oh;
  }
}

void lay_source(Planner& at, const ConvArgs& conv, const Tiling& tiling, const Source& source,
                TileArgs* args) {
  const Shape& s = conv.shape;
  args->x_pixel = conv.window.stride_w * s.c;
  args->x_row = conv.window.stride_h * source.copy_w * s.c;
  args->x_picture = source.copy_h * source.copy_w * s.c;
  if (source.direct) {
    args->x = conv.x;
    return;
  }
  auto* pad = at.keep<PadArgs>({conv.x, nullptr, s, source.copy_h, source.copy_w,
                                conv.window.pad_top, conv.window.pad_left});
  at.keep_scratch(source.bytes, &pad->copy, &args->x);
  const int64_t rows = s.n * source.copy_h;
  at.add(tiling.format.pad, pad, rows, rows * source.copy_w * s.c / 4);
}

void lay_constants(Planner& at, const ConvArgs& conv, const Tiling& tiling, int64_t classes,
                   TileArgs* args) {
  const PackFormat& format = tiling.format;
  const int64_t o = conv.shape.o;
  args->weight =
      at.keep_packed<uint8_t>(pack_weights(format, conv.weight, o, tiling.runs, tiling.run));
  args->bias = at.keep_packed<int32_t>(
      pack_biases(format, conv.bias, classes, o, conv.weight, tiling.runs * tiling.run));
  args->multiplier = at.keep_packed<float>(pack_channels(format, conv.multiplier, 1, o));
  args->row_class = conv.row_class;
  args->col_class = conv.col_class;
  args->col_classes = conv.col_classes;
}

// Plan by a vector kernel; false where the general kernel must do it.
bool plan_tiles(Planner& at, const ConvArgs& conv) {
  const std::optional<Tiling> tiling = find_tiling(conv, at.isa());
  if (!tiling) return false;
  const std::optional<Source> source = find_source(conv, *tiling);
  if (!source) return false;
  const PackFormat& format = tiling->format;
  const int64_t classes = at.x(conv::BIAS).dim(0) * at.x(conv::BIAS).dim(1);
  const int64_t channels = tiling->tiles * format.tile;
  const int64_t weights = tiling->runs * tiling->steps * format.step * format.item;  // of each
  if (!at.count_packed((uint64_t)(channels * (weights + 4 + 4 * classes)))) return false;
  auto* args = at.keep<TileArgs>();
  args->y = conv.y;
  args->runs = tiling->runs;
  args->run_steps = tiling->steps;
  args->tiles = tiling->tiles;
  args->o = conv.shape.o;
  args->range = conv.range;
  args->f32 = conv.f32;
  args->tiles_outside = channels * weights > WEIGHTS_IN_CACHE;
  args->offset = keep_offsets(at, conv, *tiling, *source);
  lay_constants(at, conv, *tiling, classes, args);
  lay_source(at, conv, *tiling, *source, args);
  lay_rows(conv, classes, args);
  at.add_kernel(tiling->kernel, args, args->tiles * args->rows,
                at.y().count() / 16 * (tiling->runs * tiling->run));
  return true;
}

}  // namespace

void plan_CONV(Planner& at) {
  const Tensor& weight = at.x(conv::WEIGHT);
  ConvArgs conv{};
  conv.x = at.in<uint8_t>(conv::X);
  conv.weight = at.in<int8_t>(conv::WEIGHT);
  conv.bias = at.in<int32_t>(conv::BIAS);
  conv.row_class = at.in<int32_t>(conv::ROW_CLASS);
  conv.col_class = at.in<int32_t>(conv::COL_CLASS);
  conv.multiplier = at.in<float>(conv::MULTIPLIER);
  conv.y = at.out<uint8_t>();
  conv.shape = at.picture();
  conv.window = at.window(weight.dim(1), weight.dim(2), conv::WINDOW);
  conv.groups = at.param(conv::GROUPS);
  conv.range = at.range(conv::RANGE);
  conv.col_classes = at.x(conv::BIAS).dim(1);
  conv.f32 = at.y().dtype == BITTRUE_FLOAT32;
  if (plan_tiles(at, conv)) return;
  const Shape& s = conv.shape;
  at.add_general(at.keep(conv), s.n * s.oh, at.y().count() / 16 * (weight.count() / s.o));
}

}  // namespace bittrue
