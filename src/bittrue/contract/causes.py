"""The table of causes: why a network gives other outputs than it should, one id each.

A report names an id of this table, never free text alone; the words are the same in messages, in
JSON and in the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Stands before the reason for which what looks wrong may be right.
NO_CAUSE = "no cause"


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to go wrong.

    Args:
        id: "area.what": the area is input, quant or runtime.
        meaning: What went wrong, as a clause.
    """

    id: str
    meaning: str


#: What the check of buffers can name. A new cause is a row here and a rule that finds it.
CAUSES = (
    Cause("input.name", "a buffer has another name than the network's input, or is missing"),
    Cause("input.dtype", "a buffer has another element type"),
    Cause("input.frames", "a buffer holds another number of frames, or has no batch axis"),
    Cause("input.shape", "a buffer has another shape, and nothing simpler explains it"),
    Cause("input.layout", "NCHW where NHWC is expected, or the reverse"),
    Cause("input.transposed", "height and width are swapped"),
    Cause("input.noncontiguous", "the memory lies in another order than the array shows"),
    Cause("input.nonfinite", "NaN or infinite values, which have no code"),
    Cause("input.sign", "int8 for uint8, or the reverse"),
    Cause("input.widened", "8-bit values in a 16-bit input"),
    Cause("input.cast_to_zero", "floats in [0, 1] cast to integers"),
    Cause("input.missing_normalization", "raw pixels where normalised values are expected"),
    Cause("input.double_normalization", "normalised outside and again inside the network"),
    Cause("input.wrong_mean_std", "normalised with other constants"),
    Cause("input.colour_space", "other colour channels: an alpha channel, or grey for colour"),
    Cause("input.crop", "not resized, or cropped otherwise"),
    Cause("quant.calibration_domain", "calibrated with other values than those at run time"),
    Cause("quant.calibration_weak", "calibrated with too few or unlike samples"),
    Cause("runtime.damaged_file", "a file was cut short or is damaged"),
)
BY_ID = {row.id: row for row in CAUSES}
