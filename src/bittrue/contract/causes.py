"""The table of causes: why a network gives other outputs than it should, one id each.

A report names an id of this table, never free text alone; the words are the same in messages, in
JSON and in the documentation. Which rule decides each is in docs/diagnosis.md.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Stands before the reason for which what looks wrong may be right.
NO_CAUSE = "no cause"


@dataclass(frozen=True, slots=True)
class Cause:
    """One way to go wrong.

    Args:
        id: "area.what": the area is input, output, quant, graph, runtime or test; or "none".
        meaning: What went wrong, as a clause.
    """

    id: str
    meaning: str

    @property
    def area(self) -> str:
        """What stands before the dot."""
        return self.id.partition(".")[0]


#: Every cause that can be named. A new cause is a row here and a rule that finds it.
CAUSES = (
    Cause("input.name", "a buffer has another name than the network's input, or is missing"),
    Cause("input.dtype", "a buffer has another element type"),
    Cause("input.frames", "a buffer holds another number of frames, or has no batch axis"),
    Cause("input.shape", "a buffer has another shape, and nothing simpler explains it"),
    Cause("input.layout", "NCHW where NHWC is expected, or the reverse"),
    Cause("input.transposed", "height and width are swapped, or the picture is turned or mirrored"),
    Cause("input.noncontiguous", "the memory lies in another order than the array shows"),
    Cause("input.nonfinite", "NaN or infinite values, which have no code"),
    Cause("input.sign", "int8 for uint8, or the reverse"),
    Cause("input.widened", "8-bit values in a 16-bit input"),
    Cause("input.truncated", "floats cut to integers instead of rounded"),
    Cause("input.cast_to_zero", "floats in [0, 1] cast to integers"),
    Cause("input.missing_normalization", "raw pixels where normalised values are expected"),
    Cause("input.double_normalization", "normalised outside and again inside the network"),
    Cause("input.wrong_mean_std", "normalised with other constants"),
    Cause("input.wrong_qparams", "quantised with another tensor's scale and zero point"),
    Cause("input.channel_order", "blue, green, red for red, green, blue, or the reverse"),
    Cause("input.colour_space", "other colour channels: alpha, YUV, limited range, or grey"),
    Cause("input.letterbox", "stretched for letterboxed, or another pad colour or corner"),
    Cause("input.interpolation", "resized with another filter"),
    Cause("input.crop", "not resized, or cropped otherwise"),
    Cause("output.not_dequantized", "integer codes taken for values"),
    Cause("output.dequantized_twice", "values taken for codes and dequantised again"),
    Cause("output.wrong_qparams", "dequantised with another scale and zero point"),
    Cause("output.layout", "axes in another order"),
    Cause("output.order", "outputs taken by position, in another order"),
    Cause("output.activation_missing", "sigmoid or softmax left out on one side"),
    Cause("output.activation_twice", "sigmoid or softmax applied on the device and again"),
    Cause("output.padding", "alignment padding not stripped"),
    Cause("output.box_format", "corners for centres, y before x, or another coordinate scale"),
    Cause("output.threshold", "scores below a frozen threshold are missing"),
    Cause("quant.calibration_domain", "calibrated with other values than those at run time"),
    Cause("quant.calibration_weak", "calibrated with too few or unlike samples"),
    Cause("quant.shared_scale", "tensors of unlike magnitude share one scale"),
    Cause("quant.clipping", "live activations are cut off"),
    Cause("quant.weights", "weights too coarse for a layer"),
    Cause("quant.activations", "activations too coarse for a layer"),
    Cause("quant.expected", "ordinary quantisation error, spread over layers: nothing is wrong"),
    Cause("graph.import", "the import changed the result"),
    Cause("graph.rewrite", "a float pass changed the result"),
    Cause("graph.weights", "deployed from another checkpoint or version"),
    Cause("runtime.saturation", "8-bit products that saturate, on CPUs without VNNI"),
    Cause("runtime.rounding", "one or two codes of zero mean: another vendor's arithmetic"),
    Cause("runtime.nondeterministic", "the same input gives another output"),
    Cause("runtime.stale", "the output of an earlier frame"),
    Cause("runtime.damaged_file", "a file was cut short or is damaged"),
    Cause("test.unrepresentative", "compared on noise or on a constant picture"),
    Cause("none", "nothing is wrong"),
)
BY_ID = {row.id: row for row in CAUSES}
