"""The lines of Python that mend a buffer `x`, where more than one finding proposes them."""

from __future__ import annotations

_FROM = "  # from bittrue.contract.preprocess"
RAW_PIXELS = f"x = raw_pixels(preprocess, picture){_FROM}"
NORMALISE = f"x = normalise(preprocess, raw_pixels(preprocess, picture)){_FROM}"
DENORMALISE = f"x = denormalise(preprocess, x){_FROM}"
CALIBRATE = "network = bittrue.quantize(network, samples)  # calibrated with samples like x"


def scaling_line(domain: tuple[float, float] | None, name: str) -> str:
    """Return the line that takes raw pixels into a range: [0, 1], [-1, 1] or by the recipe.

    Args:
        domain: The real values that the input is meant for; None where nobody knows.
        name: Of the element type in Python, for example "np.float32".
    """
    if domain is not None and domain[0] >= -0.01 and 0.5 <= domain[1] <= 1.1:
        return f"x = x.astype({name}) / {name}(255)"
    if domain is not None and -1.1 <= domain[0] <= -0.5 and 0.5 <= domain[1] <= 1.1:
        return f"x = x.astype({name}) / {name}(127.5) - {name}(1)"
    if domain is not None and domain[1] >= 100:
        return f"x = x.astype({name})"
    return NORMALISE
