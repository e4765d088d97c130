// What every kernel is given. A kernel allocates nothing, keeps no state and calls no library; all
// sizes have been checked against the buffers by verify.cc, all pointers are set by plan.cc.
//
// A kernel does the work units begin to end - 1 of its instruction. Units write disjoint bytes and
// read nothing that another unit writes, so any split over threads gives the same results.
#ifndef BITTRUE_KERNELS_H_
#define BITTRUE_KERNELS_H_

#include <stddef.h>
#include <stdint.h>

namespace bittrue {

using Kernel = void (*)(const void* args, int64_t begin, int64_t end);

struct Window {
  int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
};

// Pictures: x [n, h, w, c], y [n, oh, ow, o].
struct Shape {
  int64_t n, h, w, c, oh, ow, o;
};

// Codes: zero point, least and greatest.
struct Range {
  int32_t zero_point, lo, hi;
};

// CONV on x as it stands. Unit: one row of y, n * oh of them.
struct ConvArgs {
  const uint8_t* x;
  const int8_t* weight;  // [o, kernel_h, kernel_w, c / groups]
  const int32_t* bias;   // [row classes, col_classes, o]
  const int32_t* row_class;
  const int32_t* col_class;
  const float* multiplier;  // [o]
  void* y;                  // float where f32, else uint8
  Shape shape;
  Window window;
  Range range;
  int64_t groups, col_classes;
  bool f32;
};

// Copy of x with a border of zeros. Unit: one row of the copy, n * copy_h of them.
struct PadArgs {
  const uint8_t* x;
  void* copy;  // [n, copy_h, copy_w, c], uint8 or uint16
  Shape shape;
  int64_t copy_h, copy_w, pad_top, pad_left;
};

// CONV on tiles of output channels, x padded, weights packed (pack.h). A row is a run of pixels of
// y: one of its rows, or `ow` pixels of the whole picture where `flat`.
// Unit: one tile of one row; tiles outside where tiles_outside, else rows.
struct TileArgs {
  const void* x;          // the padded copy, or x itself
  const void* weight;     // packed [tile][step][tile size][elements a step]
  const int64_t* offset;  // dense: of each run; depthwise: of each tap; in elements of x
  const int32_t* bias;    // [row classes, col_classes, tiles * tile size], packed order
  const int32_t* row_class;
  const int32_t* col_class;
  const float* multiplier;  // [tiles * tile size], packed order
  void* y;
  int64_t runs;       // dense: runs of x; depthwise: 1
  int64_t run_steps;  // steps a run
  int64_t tiles, rows, row_pixels, last_row_pixels, rows_per_picture;
  int64_t x_picture, x_row, x_pixel;  // elements from one picture, row, pixel to the next
  int64_t o, col_classes;
  Range range;
  bool f32, flat, tiles_outside;
};

// ADD, MUL, DIV, MIN, MAX, COMPARE, F32_BINARY over at most six axes, the last one innermost. Unit:
// one run of the last axis.
struct BinaryArgs {
  const void* a;
  const void* b;
  void* y;
  const float* multiplier;  // MUL, DIV [K], the others on codes [2, K]
  int64_t channels;         // K
  int64_t axes, size[6], a_stride[6], b_stride[6];
  int32_t zero_a, zero_b, function;
  Range range;
};

// TABLE, QUANTIZE, DEQUANTIZE, F32_UNARY. Unit: one run of `run` elements, the last one `last_run`.
struct UnaryArgs {
  const void* x;
  void* y;
  const void* table;  // TABLE uint8 [K, 256], QUANTIZE and DEQUANTIZE float [K]
  int64_t channels;   // K
  int64_t run, units, last_run;
  int32_t zero_point, function;
};

// MAX_POOL, AVG_POOL. Unit: one row of y, n * oh of them.
struct PoolArgs {
  const uint8_t* x;
  uint8_t* y;
  const int32_t* row_class;
  const int32_t* col_class;
  const float* multiplier;
  Shape shape;
  Window window;
  Range range;
  int64_t col_classes;
  int32_t zero_x;
};

// GATHER_2D. Unit: one row of y, n * oh of them.
struct GatherArgs {
  const uint8_t* x;
  uint8_t* y;
  const int32_t* rows;
  const int32_t* cols;
  Shape shape;
  int64_t pixel_bytes;
};

// COPY. Unit: one index of the first `outer` axes; 1 unit where the writes may overlap.
struct CopyArgs {
  const uint8_t* x;
  uint8_t* y;
  const uint8_t* table;  // or null
  int64_t item;          // bytes an element; 1 or 4
  int64_t axes, outer, size[6], src_stride[6], dst_stride[6];
};

// FILL. Unit: 4096 elements.
struct FillArgs {
  void* y;
  int64_t count;
  int32_t value;
  bool f32;
};

// F32_WHERE over at most six axes, the last one innermost. Unit: one run of the last axis.
struct WhereArgs {
  const float* input[3];  // condition, a, b
  float* y;
  int64_t axes, size[6], stride[3][6];
};

// F32_REDUCE. Unit: one run of the last axis of x.
struct ReduceArgs {
  const float* x;
  float* y;
  int64_t length;
  int32_t function;
};

// F32_MATMUL. Unit: MATMUL_ROWS rows of one product, `row_blocks` of them.
struct F32MatmulArgs {
  const float* a;  // [m, k]
  const float* b;  // [k, n]
  float* y;        // [m, n]
  int64_t m, k, n, row_blocks;
  int64_t axes, size[6], a_stride[6], b_stride[6];  // of the leading axes
};

constexpr int64_t MATMUL_ROWS = 4;

// F32_SOFTMAX. Unit: one run of the last axis.
struct SoftmaxArgs {
  const float* x;
  float* y;
  int64_t length;
};

// MATMUL. Unit: one row of y, the product of the leading sizes times m of them.
struct MatmulArgs {
  const uint8_t* a;  // [..., m, k]
  const uint8_t* b;  // [..., n, k]
  void* y;           // [..., m, n]; float where f32, else uint8
  const float* multiplier;
  int64_t channels;  // of multiplier: 1 or n
  int64_t m, n, k;
  int64_t axes, size[4], a_stride[4], b_stride[4];  // leading axes, strides in elements
  int32_t zero_a, zero_b;
  Range range;
  bool f32;
};

// RESIZE_LINEAR. Unit: one row of y, n * oh of them.
struct ResizeArgs {
  const uint8_t* x;
  uint8_t* y;
  const int32_t* rows;        // [oh, 2]
  const int32_t* row_weight;  // [oh, 2], each pair adding up to 2048
  const int32_t* cols;        // [ow, 2]
  const int32_t* col_weight;  // [ow, 2]
  Shape shape;
};

constexpr int64_t FILL_UNIT = 4096;

// How a kernel of CONV on tiles wants its constants and x (pack.h). A tile is the output channels
// that it computes together; a step is the elements of a run that one instruction multiplies and
// adds.
struct PackFormat {
  int64_t tile;          // output channels
  int64_t step;          // elements
  int64_t item;          // bytes an element of the weights: they are widened to this
  int64_t code_item;     // bytes an element of x: the padded copy is widened to this, by `pad`
  Kernel pad;            // on PadArgs
  const uint8_t* order;  // place in the tile -> channel in the tile
  bool signed_codes;     // the kernel multiplies code - 128: see pack_biases
};

constexpr int64_t SLACK = 128;  // bytes that a kernel of CONV may read past a padded copy

#define KERNEL(instruction, form, isa, function) \
  void function(const void* args, int64_t begin, int64_t end);
#define TILES(form, isa, function)                             \
  void function(const void* args, int64_t begin, int64_t end); \
  extern const PackFormat function##_format;
#include "kernels.inc"
#undef KERNEL
#undef TILES

void pad_bytes_scalar(const void* args, int64_t begin, int64_t end);
#if defined(__x86_64__)
void pad_words_avx2(const void* args, int64_t begin, int64_t end);
#endif

}  // namespace bittrue

#endif  // BITTRUE_KERNELS_H_
