// Convolutions for AVX-512 with VNNI, in registers of 512 bits.
#include "avx512_intrinsics.h"
#include "conv_tiles.h"
#include "kernels.h"
#include "vnni.h"
#include "zmm.h"

namespace bittrue {

TILE_KERNEL(conv_dense_avx512vnni, Dense<Zmm, 8>)
TILE_KERNEL(conv_depthwise_avx512vnni, Depthwise<Zmm, 4>)

}  // namespace bittrue
