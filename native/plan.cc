#include "plan.h"

#include <algorithm>
#include <numeric>

#include "dispatch.h"
#include "pack.h"

namespace bittrue {
namespace {

// Shared by threads only where each part has at least this many element operations: below, waking
// a thread takes about as long as the work (10 us).
#ifndef BITTRUE_PART_COST
#define BITTRUE_PART_COST 65536
#endif
constexpr int64_t PART_COST = BITTRUE_PART_COST;
constexpr int64_t UNARY_RUN = 4096;
constexpr int64_t BINARY_RUN = 16384;
constexpr int64_t COPY_RUN = 65536;
constexpr int64_t FLAT_ROW = 96;    // pixels of a 1 x 1 convolution that make a row
constexpr int64_t COPY_UNITS = 64;  // enough to share
constexpr uint64_t WEIGHTS_IN_CACHE = 256 << 10;
constexpr uint64_t SLACK = 128;  // bytes that vector kernels may read past a padded copy
// Vector kernels are not worth padding or packing that takes more than these times the original;
// only odd or hostile programs get there, and run by the general kernel.
constexpr int64_t MOST_PADDING = 8;
constexpr uint64_t MOST_PACKING = 4;
constexpr uint64_t SMALL = 64 << 20;

template <typename To>
To* pointer(uint8_t* at) {
  return reinterpret_cast<To*>(at);
}

class Planner {
 public:
  Planner(const Program& program, Isa isa, uint32_t threads, uint64_t file_bytes)
      : program_(program), isa_(isa), threads_(threads), file_bytes_(file_bytes) {}

  Plan make() {
    plan_.arena = Memory(program_.arena_bytes, "the arena");
    plan_.last_writer.assign(program_.buffers.size(), 0);
    for (size_t i = 0; i < program_.instructions.size(); i++) {
      at_ = &program_.instructions[i];
      plan_instruction();
      plan_.step_end.push_back((uint32_t)plan_.steps.size());
      plan_.last_writer[y().buffer] = (uint32_t)i + 1;
    }
    plan_.scratch = Memory(scratch_bytes_, "scratch for padded copies");
    for (const void** place : scratch_readers_) *place = plan_.scratch.data();
    for (void** place : scratch_writers_) *place = plan_.scratch.data();
    return std::move(plan_);
  }

 private:
  const Tensor& x(uint32_t input = 0) const { return program_.tensors[at_->inputs[input]]; }
  const Tensor& y() const { return program_.tensors[at_->output]; }

  template <typename T>
  const T* in(uint32_t input) const {
    return pointer<const T>(plan_.at(program_, x(input)));
  }

  template <typename T>
  T* out() const {
    return pointer<T>(plan_.at(program_, y()));
  }

  template <typename Args>
  Args* keep() {
    plan_.args.push_back(std::make_shared<Args>());
    return static_cast<Args*>(plan_.args.back().get());
  }

  // A guess, not a size: elements may be 2^40, and as many operations for each.
  static int64_t cost_of(int64_t elements, int64_t operations) {
    return (int64_t)std::min((double)elements * (double)operations / 4, 1e15);
  }

  void add(Kernel kernel, const void* args, int64_t units, int64_t cost) {
    const int64_t parts = std::min({(int64_t)threads_, units, 1 + cost / PART_COST});
    plan_.steps.push_back({kernel, args, units, (uint32_t)parts});
  }

  // Plan the whole instruction as one call of its general kernel.
  void add_general(const void* args, int64_t units, int64_t cost) {
    const auto row = (uint32_t)find_kernel(at_->row->kind, Form::GENERAL, isa_);
    plan_.kernels.push_back(row);
    add(kernel_row(row).run, args, units, cost);
  }

  void plan_instruction() {
    switch (at_->row->kind) {
      case Kind::CONV:
        return plan_conv();
      case Kind::ADD:
      case Kind::MUL:
      case Kind::DIV:
      case Kind::MIN:
      case Kind::MAX:
      case Kind::COMPARE:
      case Kind::F32_BINARY:
        return plan_binary();
      case Kind::MATMUL:
        return plan_matmul();
      case Kind::RESIZE_LINEAR:
        return plan_resize();
      case Kind::TABLE:
      case Kind::QUANTIZE:
      case Kind::DEQUANTIZE:
        return plan_unary(x(1).dim(0));
      case Kind::F32_UNARY:
        return plan_unary(1);
      case Kind::MAX_POOL:
      case Kind::AVG_POOL:
        return plan_pool();
      case Kind::GATHER_2D:
        return plan_gather();
      case Kind::COPY:
        return plan_copy();
      case Kind::FILL:
        return plan_fill();
      case Kind::F32_SOFTMAX:
        return plan_softmax();
      case Kind::F32_WHERE:
        return plan_where();
      case Kind::F32_REDUCE:
        return plan_reduce();
      case Kind::F32_MATMUL:
        return plan_f32_matmul();
    }
  }

  Shape picture() const {
    return {x().dim(0), x().dim(1), x().dim(2), x().dim(3), y().dim(1), y().dim(2), y().dim(3)};
  }

  // --- convolution -------------------------------------------------------------------------------

  void plan_conv() {
    const Tensor& weight = x(1);
    ConvArgs conv{};
    conv.x = in<uint8_t>(0);
    conv.weight = in<int8_t>(1);
    conv.bias = in<int32_t>(2);
    conv.row_class = in<int32_t>(3);
    conv.col_class = in<int32_t>(4);
    conv.multiplier = in<float>(5);
    conv.y = out<uint8_t>();
    conv.shape = picture();
    conv.window = {weight.dim(1), weight.dim(2), at_->param(0), at_->param(1),
                   at_->param(2), at_->param(3), at_->param(4), at_->param(5)};
    conv.groups = at_->param(6);
    conv.range = {at_->param(7), at_->param(8), at_->param(9)};
    conv.col_classes = x(2).dim(1);
    conv.f32 = y().dtype == BITTRUE_FLOAT32;
    if (plan_tiles(conv)) return;
    const Shape& s = conv.shape;
    auto* kept = keep<ConvArgs>();
    *kept = conv;
    add_general(kept, s.n * s.oh, y().count() / 16 * (weight.count() / s.o));
  }

  // x as a vector kernel reads it: padded copy or x itself.
  struct Source {
    int64_t copy_h, copy_w;
    bool direct;
    uint64_t bytes;  // of the copy
  };

  // Lay out runs, or taps; false where the general kernel must do it.
  bool plan_tiles(const ConvArgs& conv) {
    const Shape& s = conv.shape;
    const Window& w = conv.window;
    const bool depthwise = conv.groups > 1 && conv.groups == s.c && s.c == s.o;
    if (conv.groups > 1 && !depthwise) return false;
    const Form form = depthwise ? Form::DEPTHWISE : Form::DENSE;
    const int32_t row = find_kernel(Kind::CONV, form, isa_);
    if (row < 0) return false;
    const Isa isa = kernel_row((uint32_t)row).isa;
    const PackFormat format = pack_format(form, isa);

    const bool joined = !depthwise && (w.dilation_w == 1 || w.kernel_w == 1);
    const int64_t taps = w.kernel_h * w.kernel_w;
    const int64_t runs = depthwise ? 1 : joined ? w.kernel_h : taps;
    const int64_t run = depthwise ? taps : joined ? w.kernel_w * s.c : s.c;
    const int64_t steps = (run + format.step - 1) / format.step;
    const int64_t tiles = (s.o + format.tile - 1) / format.tile;
    const int64_t item = format.code_item;
    Source source{};
    if (!lay_source(conv, item, !depthwise && item == 1 && run % format.step == 0, &source)) {
      return false;
    }
    const int64_t classes = x(2).dim(0) * x(2).dim(1);
    const auto packed =
        (uint64_t)(tiles * format.tile) *
        ((uint64_t)(runs * steps * format.step * format.item) + 4 + 4 * (uint64_t)classes);
    if (plan_.packed_bytes + packed > MOST_PACKING * file_bytes_ + SMALL) return false;
    plan_.packed_bytes += packed;

    auto* args = keep<TileArgs>();
    args->weight = keep_packed(pack_weights(format, conv.weight, s.o, runs, run));
    args->bias = pointer<int32_t>(
        keep_packed(pack_biases(format, conv.bias, classes, s.o, conv.weight, runs * run)));
    args->multiplier = pointer<float>(keep_packed(pack_channels(format, conv.multiplier, 1, s.o)));
    args->offset = lay_offsets(conv, source, runs, depthwise ? steps * format.step : runs, joined);
    args->row_class = conv.row_class;
    args->col_class = conv.col_class;
    args->y = conv.y;
    args->runs = runs;
    args->run_steps = steps;
    args->tiles = tiles;
    args->x_pixel = w.stride_w * s.c;
    args->x_row = w.stride_h * source.copy_w * s.c;
    args->x_picture = source.copy_h * source.copy_w * s.c;
    args->o = s.o;
    args->col_classes = conv.col_classes;
    args->range = conv.range;
    args->f32 = conv.f32;
    args->tiles_outside =
        (uint64_t)(tiles * format.tile * runs * steps * format.step) * format.item >
        WEIGHTS_IN_CACHE;
    lay_rows(conv, classes, args);
    lay_copy(conv, source, isa, item, args);
    plan_.kernels.push_back((uint32_t)row);
    add(kernel_row((uint32_t)row).run, args, args->tiles * args->rows,
        y().count() / 16 * (runs * run));
    return true;
  }

  uint8_t* keep_packed(Memory memory) {
    plan_.packed.push_back(std::move(memory));
    return plan_.packed.back().data();
  }

  bool lay_source(const ConvArgs& conv, int64_t item, bool may_be_direct, Source* source) const {
    const Shape& s = conv.shape;
    const Window& w = conv.window;
    source->copy_h = (s.oh - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h + 1;
    source->copy_w = (s.ow - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1;
    if (may_be_direct && w.pad_top == 0 && w.pad_left == 0 && source->copy_h <= s.h &&
        source->copy_w <= s.w) {
      *source = {s.h, s.w, true, 0};
      return true;
    }
    int64_t elements = 0;  // the sizes are below 2^48, their product may not fit
    if (__builtin_mul_overflow(source->copy_h, source->copy_w, &elements) ||
        __builtin_mul_overflow(elements, s.n * s.c, &elements) ||
        elements > MOST_PADDING * x().count() + (1 << 20)) {
      return false;
    }
    source->bytes = (uint64_t)(elements * item) + SLACK;
    return true;
  }

  const int64_t* lay_offsets(const ConvArgs& conv, const Source& source, int64_t runs,
                             int64_t count, bool joined) {
    const Window& w = conv.window;
    const bool rows_only = joined && runs == w.kernel_h;
    Memory memory((uint64_t)count * 8, "offsets of taps");
    auto* offset = pointer<int64_t>(memory.data());
    const int64_t wide = rows_only ? 1 : w.kernel_w;
    for (int64_t i = 0; i < w.kernel_h * wide; i++) {
      const int64_t row = i / wide * w.dilation_h, col = i % wide * w.dilation_w;
      offset[i] = (row * source.copy_w + col) * conv.shape.c;
    }
    return pointer<int64_t>(keep_packed(std::move(memory)));
  }

  static void lay_rows(const ConvArgs& conv, int64_t classes, TileArgs* args) {
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

  void lay_copy(const ConvArgs& conv, const Source& source, Isa isa, int64_t item, TileArgs* args) {
    if (source.direct) {
      args->x = conv.x;
      return;
    }
    auto* pad = keep<PadArgs>();
    *pad = {conv.x,
            nullptr,
            conv.shape,
            source.copy_h,
            source.copy_w,
            conv.window.pad_top,
            conv.window.pad_left};
    scratch_bytes_ = std::max(scratch_bytes_, source.bytes);
    scratch_writers_.push_back(&pad->copy);
    scratch_readers_.push_back(&args->x);
    const int64_t rows = conv.shape.n * source.copy_h;
    add(pad_kernel(isa, item), pad, rows, rows * source.copy_w * conv.shape.c / 4);
  }

  static Kernel pad_kernel(Isa isa, int64_t item) {
#if defined(__x86_64__)
    if (isa == Isa::AVX2 && item == 2) return pad_words_avx2;
#endif
    (void)isa, (void)item;
    return pad_bytes_scalar;
  }

  // --- the others --------------------------------------------------------------------------------

  void plan_binary() {
    const bool f32 = at_->row->kind == Kind::F32_BINARY;
    auto* args = keep<BinaryArgs>();
    args->a = in<uint8_t>(0);
    args->b = in<uint8_t>(1);
    args->y = out<uint8_t>();
    args->channels = 1;
    if (f32) {
      args->function = at_->param(0);
    } else {
      args->multiplier = in<float>(2);
      args->channels = x(2).dim(x(2).rank - 1);
      args->zero_a = at_->param(0);
      args->zero_b = at_->param(1);
      if (at_->row->kind == Kind::COMPARE) {
        args->function = at_->param(2);
      } else {
        args->range = {at_->param(2), at_->param(3), at_->param(4)};
      }
    }
    lay_axes(args);
    add_general(args, y().count() / args->size[args->axes - 1], y().count() / (f32 ? 4 : 1));
  }

  // The axes of y without those of length 1, neighbours joined where both inputs allow it; the last
  // one stays alone where it has multipliers, and not so long that threads could not share.
  void lay_axes(BinaryArgs* args) const {
    const Axes axes = joined_axes(2, args->channels == 1);
    args->axes = axes.count;
    for (int64_t i = 0; i < axes.count; i++) {
      args->size[i] = axes.size[i];
      args->a_stride[i] = axes.stride[0][i];
      args->b_stride[i] = axes.stride[1][i];
    }
  }

  struct Axes {
    int64_t count, size[6], stride[3][6];
  };

  // As `lay_axes` says, of the first `inputs` inputs; `join_last` where the last may be joined.
  Axes joined_axes(uint32_t inputs, bool join_last) const {
    Axes found{};  // from the last to the first
    int64_t stride[3] = {1, 1, 1};
    for (uint32_t axis = y().rank; axis-- > 0;) {
      const int64_t length = y().dim(axis), last = found.count - 1;
      int64_t step[3] = {};
      bool joins = last >= 0;
      for (uint32_t i = 0; i < inputs; i++) {
        step[i] = x(i).dim(axis) == 1 ? 0 : stride[i];
        stride[i] *= x(i).dim(axis);
        joins = joins && step[i] == found.stride[i][last] * found.size[last];
      }
      if (length == 1) continue;
      const bool inner = found.count == 1;
      if (joins && (!inner || (join_last && found.size[0] * length <= BINARY_RUN))) {
        found.size[last] *= length;
        continue;
      }
      found.size[found.count] = length;
      for (uint32_t i = 0; i < inputs; i++) found.stride[i][found.count] = step[i];
      found.count++;
    }
    if (found.count == 0) found.size[found.count++] = 1;
    std::reverse(found.size, found.size + found.count);
    for (auto& side : found.stride) std::reverse(side, side + found.count);
    return found;
  }

  void plan_unary(int64_t channels) {
    const Kind kind = at_->row->kind;
    auto* args = keep<UnaryArgs>();
    args->x = in<uint8_t>(0);
    args->y = out<uint8_t>();
    if (kind != Kind::F32_UNARY) args->table = in<uint8_t>(1);
    if (kind == Kind::F32_UNARY) args->function = at_->param(0);
    if (kind == Kind::QUANTIZE || kind == Kind::DEQUANTIZE) args->zero_point = at_->param(0);
    const int64_t count = y().count();
    args->channels = channels;
    args->run = channels > 1 ? channels : std::min(count, UNARY_RUN);
    args->units = (count + args->run - 1) / args->run;
    args->last_run = count - (args->units - 1) * args->run;
    add_general(args, args->units, kind == Kind::F32_UNARY ? 8 * count : count);
  }

  void plan_pool() {
    const bool average = at_->row->kind == Kind::AVG_POOL;
    auto* args = keep<PoolArgs>();
    args->x = in<uint8_t>(0);
    args->y = out<uint8_t>();
    args->shape = picture();
    args->window = {at_->param(0), at_->param(1), at_->param(2), at_->param(3),
                    at_->param(4), at_->param(5), at_->param(6), at_->param(7)};
    if (average) {
      args->row_class = in<int32_t>(1);
      args->col_class = in<int32_t>(2);
      args->multiplier = in<float>(3);
      args->col_classes = x(3).dim(1);
      args->zero_x = at_->param(8);
      args->range = {at_->param(9), at_->param(10), at_->param(11)};
    }
    const int64_t taps = std::min((int64_t)at_->param(0) * at_->param(1), x().dim(1) * x().dim(2));
    add_general(args, args->shape.n * args->shape.oh, cost_of(y().count(), taps));
  }

  void plan_gather() {
    auto* args = keep<GatherArgs>();
    args->x = in<uint8_t>(0);
    args->y = out<uint8_t>();
    args->rows = in<int32_t>(1);
    args->cols = in<int32_t>(2);
    args->shape = picture();
    args->pixel_bytes = x().dim(3) * (int64_t)(x().nbytes / (uint64_t)x().count());
    add_general(args, args->shape.n * args->shape.oh, (int64_t)y().nbytes / 4);
  }

  void plan_matmul() {
    const uint32_t rank = y().rank;
    auto* args = keep<MatmulArgs>();
    args->a = in<uint8_t>(0);
    args->b = in<uint8_t>(1);
    args->multiplier = in<float>(2);
    args->y = out<uint8_t>();
    args->channels = x(2).dim(0);
    args->m = y().dim(rank - 2);
    args->n = y().dim(rank - 1);
    args->k = x(0).dim(rank - 1);
    args->axes = (int64_t)rank - 2;
    int64_t a_stride = args->m * args->k, b_stride = args->n * args->k;
    for (uint32_t axis = rank - 2; axis-- > 0;) {
      args->size[axis] = y().dim(axis);
      args->a_stride[axis] = x(0).dim(axis) == 1 ? 0 : a_stride;
      args->b_stride[axis] = x(1).dim(axis) == 1 ? 0 : b_stride;
      a_stride *= x(0).dim(axis);
      b_stride *= x(1).dim(axis);
    }
    args->zero_a = at_->param(0);
    args->zero_b = at_->param(1);
    args->range = {at_->param(2), at_->param(3), at_->param(4)};
    args->f32 = y().dtype == BITTRUE_FLOAT32;
    add_general(args, y().count() / args->n, y().count() / 16 * args->k);
  }

  void plan_resize() {
    auto* args = keep<ResizeArgs>();
    args->x = in<uint8_t>(0);
    args->y = out<uint8_t>();
    args->rows = in<int32_t>(1);
    args->row_weight = in<int32_t>(2);
    args->cols = in<int32_t>(3);
    args->col_weight = in<int32_t>(4);
    args->shape = picture();
    add_general(args, args->shape.n * args->shape.oh, y().count());
  }

  void plan_copy() {
    constexpr uint32_t SOURCE = 6, TARGET = 13;
    auto* args = keep<CopyArgs>();
    args->item = (int64_t)(x().nbytes / (uint64_t)x().count());
    args->x = in<uint8_t>(0) + at_->param(SOURCE) * args->item;
    args->y = out<uint8_t>() + at_->param(TARGET) * args->item;
    args->table = at_->input_count == 2 ? in<uint8_t>(1) : nullptr;
    for (uint32_t axis = 0; axis < 6; axis++) {
      const int64_t size = at_->param(axis), from = at_->param(SOURCE + 1 + axis),
                    to = at_->param(TARGET + 1 + axis);
      if (size == 1) continue;
      const int64_t last = args->axes - 1;
      if (last >= 0 && args->src_stride[last] == from * size &&
          args->dst_stride[last] == to * size && args->size[last] * size <= COPY_RUN) {
        args->size[last] *= size;
        args->src_stride[last] = from;
        args->dst_stride[last] = to;
        continue;
      }
      args->size[args->axes] = size;
      args->src_stride[args->axes] = from;
      args->dst_stride[args->axes] = to;
      args->axes++;
    }
    if (args->axes == 0) args->size[args->axes++] = 1;
    int64_t units = 1;
    while (writes_once(*args) && args->outer < args->axes - 1 && units < COPY_UNITS) {
      units *= args->size[args->outer++];
    }
    add_general(args, units, units == 1 ? 0 : y().count());
  }

  // Whether each axis steps over all that the axes of smaller steps write.
  static bool writes_once(const CopyArgs& args) {
    std::vector<int64_t> order((size_t)args.axes);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](int64_t i, int64_t j) { return args.dst_stride[i] < args.dst_stride[j]; });
    int64_t reach = 0;
    for (const int64_t axis : order) {
      if (args.size[axis] > 1 && args.dst_stride[axis] <= reach) return false;
      reach += (args.size[axis] - 1) * args.dst_stride[axis];
    }
    return true;
  }

  void plan_fill() {
    auto* args = keep<FillArgs>();
    args->y = out<uint8_t>();
    args->count = y().count();
    args->value = at_->param(0);
    args->f32 = y().dtype == BITTRUE_FLOAT32;
    add_general(args, (args->count + FILL_UNIT - 1) / FILL_UNIT, args->count / 8);
  }

  void plan_softmax() {
    auto* args = keep<SoftmaxArgs>();
    args->x = in<float>(0);
    args->y = out<float>();
    args->length = y().dim(y().rank - 1);
    add_general(args, y().count() / args->length, 8 * y().count());
  }

  void plan_where() {
    const Axes axes = joined_axes(3, true);
    auto* args = keep<WhereArgs>();
    for (uint32_t i = 0; i < 3; i++) {
      args->input[i] = in<float>(i);
      std::copy_n(axes.stride[i], 6, args->stride[i]);
    }
    args->y = out<float>();
    args->axes = axes.count;
    std::copy_n(axes.size, 6, args->size);
    add_general(args, y().count() / args->size[args->axes - 1], y().count() / 4);
  }

  void plan_reduce() {
    auto* args = keep<ReduceArgs>();
    args->x = in<float>(0);
    args->y = out<float>();
    args->length = x().dim(x().rank - 1);
    args->function = at_->param(0);
    add_general(args, y().count(), x().count());
  }

  void plan_f32_matmul() {
    const uint32_t rank = y().rank;
    auto* args = keep<F32MatmulArgs>();
    args->a = in<float>(0);
    args->b = in<float>(1);
    args->y = out<float>();
    args->m = y().dim(rank - 2);
    args->n = y().dim(rank - 1);
    args->k = x(0).dim(rank - 1);
    args->row_blocks = (args->m + MATMUL_ROWS - 1) / MATMUL_ROWS;
    args->axes = rank - 2;
    int64_t products = 1, a_stride = args->m * args->k, b_stride = args->k * args->n;
    for (uint32_t axis = rank - 2; axis-- > 0;) {
      args->size[axis] = y().dim(axis);
      args->a_stride[axis] = x(0).dim(axis) == 1 ? 0 : a_stride;
      args->b_stride[axis] = x(1).dim(axis) == 1 ? 0 : b_stride;
      a_stride *= x(0).dim(axis);
      b_stride *= x(1).dim(axis);
      products *= y().dim(axis);
    }
    add_general(args, products * args->row_blocks, cost_of(y().count(), args->k));
  }

  const Program& program_;
  Isa isa_;
  uint32_t threads_;
  uint64_t file_bytes_;
  const Instruction* at_ = nullptr;
  Plan plan_;
  uint64_t scratch_bytes_ = 0;
  std::vector<const void**> scratch_readers_;
  std::vector<void**> scratch_writers_;
};

}  // namespace

Plan make_plan(const Program& program, Isa isa, uint32_t threads, uint64_t file_bytes) {
  return Planner(program, isa, threads, file_bytes).make();
}

}  // namespace bittrue
