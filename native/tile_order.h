// The order of the output channels in a tile, which is the order of the sums in a kernel's
// registers: at[place] is the channel. Only <stdint.h> is included: the files of all ISAs use it.
#ifndef BITTRUE_TILE_ORDER_H_
#define BITTRUE_TILE_ORDER_H_

#include <stdint.h>

namespace bittrue {

constexpr int MOST_CHANNELS = 64;  // of a tile

struct Order {
  uint8_t at[MOST_CHANNELS];
};

constexpr Order natural_order() {
  Order order{};
  for (uint8_t place = 0; place < MOST_CHANNELS; place++) order.at[place] = place;
  return order;
}

// Two registers of `length` sums, which packing joins lane by lane: lane l holds channels 8 l to
// 8 l + 3 in the first, 8 l + 4 to 8 l + 7 in the second.
constexpr Order pair_order(uint8_t length) {
  Order order{};
  for (uint8_t place = 0; place < 2 * length; place++) {
    order.at[place] = (uint8_t)(place % length / 4 * 8 + place / length * 4 + place % 4);
  }
  return order;
}

// Four taps interleaved: register j of four holds, in lane l, channels 16 l + 4 j to 16 l + 4 j
// + 3.
constexpr Order interleaved_order(uint8_t length) {
  Order order{};
  for (uint8_t j = 0; j < 4; j++) {
    for (uint8_t place = 0; place < length; place++) {
      order.at[j * length + place] = (uint8_t)(16 * (place / 4) + 4 * j + place % 4);
    }
  }
  return order;
}

constexpr Order NATURAL = natural_order();
constexpr Order PAIR_YMM = pair_order(8), PAIR_ZMM = pair_order(16);
constexpr Order INTERLEAVED_YMM = interleaved_order(8), INTERLEAVED_ZMM = interleaved_order(16);

}  // namespace bittrue

#endif  // BITTRUE_TILE_ORDER_H_
