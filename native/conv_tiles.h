// The loop over tiles and rows that the vector kernels of CONV share. Everything is in an anonymous
// namespace: each ISA's file gets its own copy, compiled with its own flags.
#ifndef BITTRUE_CONV_TILES_H_
#define BITTRUE_CONV_TILES_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

namespace bittrue {
namespace {

constexpr int MOST_PIXELS = 8;

// A few neighbouring pixels of one row by one tile of output channels.
struct Spot {
  int64_t x;                         // element of the first pixel, tap 0
  int64_t tile;                      // of output channels
  int64_t y;                         // element of y: first pixel, first channel of the tile
  int64_t channels;                  // of the tile that y has
  const int32_t* bias[MOST_PIXELS];  // of each pixel, at the tile
};

// Kernel has CHANNELS, PIXELS and spot<M>(args, spot), which does M pixels.
template <typename Kernel, int M>
void run_spot(const TileArgs& a, const Spot& spot, int64_t pixels) {
  if constexpr (M > 1) {
    if (pixels < M) return run_spot<Kernel, M - 1>(a, spot, pixels);
  }
  Kernel::template spot<M>(a, spot);
}

template <typename Kernel>
void run_row(const TileArgs& a, int64_t tile, int64_t row) {
  const int64_t stride = a.tiles * Kernel::CHANNELS;  // of the packed biases
  const int64_t pixels = row + 1 == a.rows ? a.last_row_pixels : a.row_pixels;
  const int64_t oy = row % a.rows_per_picture;
  const int64_t x = row / a.rows_per_picture * a.x_picture + oy * a.x_row;
  const int32_t* bias = a.bias + tile * Kernel::CHANNELS;
  if (!a.flat) bias += a.row_class[oy] * a.col_classes * stride;
  const int64_t left = a.o - tile * Kernel::CHANNELS;
  Spot spot;
  spot.tile = tile;
  spot.channels = left < Kernel::CHANNELS ? left : Kernel::CHANNELS;
  for (int64_t ox = 0; ox < pixels; ox += Kernel::PIXELS) {
    const int64_t count = pixels - ox < Kernel::PIXELS ? pixels - ox : Kernel::PIXELS;
    spot.x = x + ox * a.x_pixel;
    spot.y = (row * a.row_pixels + ox) * a.o + tile * Kernel::CHANNELS;
    for (int64_t i = 0; i < count; i++) {
      spot.bias[i] = a.flat ? bias : bias + a.col_class[ox + i] * stride;
    }
    run_spot<Kernel, Kernel::PIXELS>(a, spot, count);
  }
}

template <typename Kernel>
void run_units(const void* args, int64_t begin, int64_t end) {
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

#endif  // BITTRUE_CONV_TILES_H_
