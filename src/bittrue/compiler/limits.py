"""How large the parts of a program may be: the limits of docs/format.md, which a test compares."""

from __future__ import annotations

RANK_MAX = 6
DIM_MAX = 2**31 - 1
#: Of a buffer, and of the arena.
BYTES_MAX = 2**40
#: Tensors, buffers, instructions.
COUNT_MAX = 2**20
#: 32-bit words of code.
WORDS_MAX = 2**26
#: Inputs, and outputs.
IO_MAX = 1024
NAME_BYTES_MAX = 65535
META_BYTES_MAX = 2**26
VECTORS_MAX = 64
#: Kernel sizes, strides, dilations and pads.
WINDOW_MAX = 2**15
#: 65,536 products of at most 255 * 127 stay below 2^31 (docs/numerics.md).
CONV_TAPS_MAX = 65536
#: 2^23 codes of at most 255 stay below 2^31.
POOL_TAPS_MAX = 2**23
