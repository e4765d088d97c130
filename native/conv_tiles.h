// The loop over tiles and rows that the vector kernels of CONV share. Everything is in an anonymous
// namespace: each ISA's file gets its own copy, compiled with its own flags.
#ifndef BITTRUE_CONV_TILES_H_
#define BITTRUE_CONV_TILES_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"
#include "tile_order.h"

namespace bittrue {
namespace {

constexpr int MOST_PIXELS = 8;

// A few neighbouring pixels of one row by one tile of output channels.
struct Spot {
  int64_t x;                         // element of the first pixel, tap 0
  int64_t tile;                      // of output channels
  int64_t y;                         // element of y: first pixel, first channel of the tile
  int64_t channels;                  // of the tile that y has
  const float* multiplier;           // at the tile
  const int32_t* bias[MOST_PIXELS];  // of each pixel, at the tile
};

// Of a step: what one instruction multiplies, for all channels of the tile.
template <typename Kernel>
constexpr int64_t STEP_WEIGHTS = Kernel::FORMAT.tile * Kernel::FORMAT.step;

// The packed weights of the spot's tile.
template <typename Kernel, typename T>
const T* tile_weights(const TileArgs& a, const Spot& spot) {
  static_assert(sizeof(T) == Kernel::FORMAT.item, "as packed");
  return static_cast<const T*>(a.weight) + spot.tile * a.runs * a.run_steps * STEP_WEIGHTS<Kernel>;
}

// x of the spot's first pixel, channel 0.
template <typename Kernel, typename T>
const T* spot_codes(const TileArgs& a, const Spot& spot) {
  static_assert(sizeof(T) == Kernel::FORMAT.code_item, "as padded");
  return static_cast<const T*>(a.x) + spot.x;
}

// The channels of a tile that y has.
template <typename T>
void store_part(const TileArgs& a, const Spot& spot, int pixel, const T* tile) {
  T* y = static_cast<T*>(a.y) + spot.y + pixel * a.o;
  for (int64_t i = 0; i < spot.channels; i++) y[i] = tile[i];
}

// Sums as floats, from registers whose places are in the order of `channel_at`.
template <typename Register, int64_t REGISTERS>
void store_floats(const TileArgs& a, const Spot& spot, int pixel,
                  const typename Register::Bits* sums, const uint8_t* channel_at) {
  constexpr int64_t LANES = Register::LANES;
  alignas(64) float part[REGISTERS * LANES];
  for (int64_t i = 0; i < REGISTERS; i++) {
    Register::store(part + i * LANES, Register::scaled(sums[i], spot.multiplier + i * LANES));
  }
  float* y = static_cast<float*>(a.y) + spot.y + pixel * a.o;
  for (int64_t place = 0; place < REGISTERS * LANES; place++) {
    if (channel_at[place] < spot.channels) y[channel_at[place]] = part[place];
  }
}

// Kernel has FORMAT, PIXELS and spot<M>(args, spot), which does M pixels.
template <typename Kernel, int M>
void run_spot(const TileArgs& a, const Spot& spot, int64_t pixels) {
  if constexpr (M > 1) {
    if (pixels < M) return run_spot<Kernel, M - 1>(a, spot, pixels);
  }
  Kernel::template spot<M>(a, spot);
}

template <typename Kernel>
void run_row(const TileArgs& a, int64_t tile, int64_t row) {
  constexpr int64_t CHANNELS = Kernel::FORMAT.tile;
  const int64_t stride = a.tiles * CHANNELS;  // of the packed biases
  const int64_t pixels = row + 1 == a.rows ? a.last_row_pixels : a.row_pixels;
  const int64_t oy = row % a.rows_per_picture;
  const int64_t x = row / a.rows_per_picture * a.x_picture + oy * a.x_row;
  const int32_t* bias = a.bias + tile * CHANNELS;
  if (!a.flat) bias += a.row_class[oy] * a.col_classes * stride;
  const int64_t left = a.o - tile * CHANNELS;
  Spot spot;
  spot.tile = tile;
  spot.multiplier = a.multiplier + tile * CHANNELS;
  spot.channels = left < CHANNELS ? left : CHANNELS;
  for (int64_t ox = 0; ox < pixels; ox += Kernel::PIXELS) {
    const int64_t count = pixels - ox < Kernel::PIXELS ? pixels - ox : Kernel::PIXELS;
    spot.x = x + ox * a.x_pixel;
    spot.y = (row * a.row_pixels + ox) * a.o + tile * CHANNELS;
    for (int64_t i = 0; i < count; i++) {
      spot.bias[i] = a.flat ? bias : bias + a.col_class[ox + i] * stride;
    }
    run_spot<Kernel, Kernel::PIXELS>(a, spot, count);
  }
}

// Over-reads are bounded by SLACK: a dense kernel takes whole steps, a depthwise one whole tiles.
template <typename Kernel>
void run_units(const void* args, int64_t begin, int64_t end) {
  constexpr PackFormat F = Kernel::FORMAT;
  static_assert(Kernel::PIXELS <= MOST_PIXELS, "a Spot has room for the biases");
  static_assert(F.tile <= MOST_CHANNELS, "an Order has room for the tile");
  static_assert(F.tile * F.code_item <= SLACK && F.step * F.code_item <= SLACK, "it may be read");
  const TileArgs& a = *static_cast<const TileArgs*>(args);
  for (int64_t unit = begin; unit < end; unit++) {
    if (a.tiles_outside) {
      run_row<Kernel>(a, unit / a.rows, unit % a.rows);
    } else {
      run_row<Kernel>(a, unit % a.tiles, unit / a.tiles);
    }
  }
}

}  // namespace
}  // namespace bittrue

// The kernel of a row TILES(form, isa, function) of kernels.inc, from its struct.
#define TILE_KERNEL(function, ...)                              \
  void function(const void* args, int64_t begin, int64_t end) { \
    run_units<__VA_ARGS__>(args, begin, end);                   \
  }                                                             \
  const PackFormat function##_format = __VA_ARGS__::FORMAT;

#endif  // BITTRUE_CONV_TILES_H_
