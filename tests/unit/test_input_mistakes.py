"""Input mistakes: each is made again by plain NumPy, on real dtypes, and is found and named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bittrue.contract.tensor import HOLDS_CODES, Contract, TensorContract
from bittrue.diagnosis.door import Door, scaling_of
from bittrue.diagnosis.input_pixels import pixel_mistakes
from bittrue.diagnosis.input_values import coded, value_mistakes
from tests.unit.scenes import MEAN, RECIPE, STD, U8, device, frame, host, picture, scene
from tests.unit.scenes import searched as search_all

pytest.importorskip("onnxruntime", reason="the device of these tests runs in onnxruntime")

Made = Callable[[U8], np.ndarray]
PICTURES = (picture(0), picture(1))
#: Pictures of 0 and 1 look alike to 8 bits, whoever made them so dark: these may be tied.
DARK = {"input.double_normalization", "input.cast_to_zero", "input.widened"}
#: The same bytes, whether a layout or a view that was not copied is to blame.
SAME_BYTES = {"input.layout", "input.noncontiguous"}


def read_as(memory: bytes, layout: str, shape: tuple[int, ...]) -> np.ndarray:
    """The bytes of pixels as [1, H, W, C], read one after the other in a layout."""
    _, height, width, channels = shape
    found = np.empty(shape, np.uint8)
    stream = iter(memory)
    if layout == "NHWC":
        for y in range(height):
            for x in range(width):
                found[0, y, x] = [next(stream) for _ in range(channels)]
        return found
    for c in range(channels):
        for y in range(height):
            found[0, y, :, c] = [next(stream) for _ in range(width)]
    return found


def planar_bytes(p: U8) -> bytes:
    return b"".join(p[0, :, :, c].tobytes() for c in range(p.shape[3]))


def fortran(p: U8) -> np.ndarray:
    return read_as(p.tobytes(order="F"), "NHWC", p.shape)


def fortran_planar(p: U8) -> np.ndarray:
    planar = np.stack([p[..., c] for c in range(3)], axis=1)
    return read_as(planar.tobytes(order="F"), "NCHW", p.shape)


def turned(p: U8) -> np.ndarray:
    sideways = np.stack([p[:, :, x] for x in range(p.shape[2])], axis=1)
    return read_as(sideways.tobytes(), "NHWC", p.shape)


def ycc(p: U8) -> np.ndarray:
    """ITU-R BT.601 from its definition: Cb = (B - Y) / 1.772, Cr = (R - Y) / 1.402."""
    red, green, blue = (p[..., c].astype(np.float64) for c in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([luma, (blue - luma) / 1.772, (red - luma) / 1.402], axis=-1)


def full_range(p: U8) -> np.ndarray:
    return np.clip(np.rint(ycc(p) + np.array([0, 128, 128])), 0, 255)


def camera(p: U8) -> np.ndarray:
    luma, blue, red = np.moveaxis(ycc(p), -1, 0)
    return np.rint(
        np.stack([16 + luma * 219 / 255, 128 + blue * 224 / 255, 128 + red * 224 / 255], axis=-1)
    )


#: By the words of the variant: its cause, and what it makes of red, green, blue [1, H, W, 3].
PIXELS: dict[str, tuple[str, Made]] = {
    "BGR where RGB is expected": (
        "input.channel_order",
        lambda p: np.stack([p[..., 2], p[..., 1], p[..., 0]], axis=-1),
    ),
    "NHWC bytes read as NCHW": (
        "input.layout",
        lambda p: read_as(p.tobytes(), "NCHW", p.shape),
    ),
    "NCHW bytes read as NHWC": (
        "input.layout",
        lambda p: read_as(planar_bytes(p), "NHWC", p.shape),
    ),
    "a transposed view whose memory, still NHWC, was read as NCHW": (
        "input.noncontiguous",
        lambda p: read_as(p.tobytes(), "NCHW", p.shape),
    ),
    "a transposed view whose memory, still NCHW, was read as NHWC": (
        "input.noncontiguous",
        lambda p: read_as(planar_bytes(p), "NHWC", p.shape),
    ),
    "column-major memory (Fortran order) of an NHWC array, read row by row": (
        "input.noncontiguous",
        fortran,
    ),
    "column-major memory (Fortran order) of an NCHW array, read row by row": (
        "input.noncontiguous",
        fortran_planar,
    ),
    "height and width swapped": ("input.transposed", turned),
    "the picture is mirrored left to right": (
        "input.transposed",
        lambda p: np.stack([p[:, :, p.shape[2] - 1 - x] for x in range(p.shape[2])], axis=2),
    ),
    "the picture is mirrored top to bottom": (
        "input.transposed",
        lambda p: np.stack([p[:, p.shape[1] - 1 - y] for y in range(p.shape[1])], axis=1),
    ),
    "the picture is upside down (turned by 180 degrees)": (
        "input.transposed",
        lambda p: p.reshape(-1, 3)[::-1].reshape(p.shape),
    ),
    "the picture is turned clockwise": (
        "input.transposed",  # its left column, from below, becomes the first row
        lambda p: read_as(
            np.stack([p[:, ::-1, x] for x in range(p.shape[2])], axis=1).tobytes(), "NHWC", p.shape
        ),
    ),
    "the picture is turned anticlockwise": (
        "input.transposed",  # its right column, from above, becomes the first row
        lambda p: read_as(
            np.stack([p[:, :, x] for x in range(p.shape[2] - 1, -1, -1)], axis=1).tobytes(),
            "NHWC",
            p.shape,
        ),
    ),
    "grey in all three channels where RGB is expected": (
        "input.colour_space",
        lambda p: np.rint(ycc(p)[..., [0, 0, 0]]),
    ),
    "YCbCr, full range where RGB is expected": ("input.colour_space", full_range),
    "YCrCb, full range where RGB is expected": (
        "input.colour_space",
        lambda p: full_range(p)[..., [0, 2, 1]],
    ),
    "YUV of a camera, limited range where RGB is expected": ("input.colour_space", camera),
    "limited range (16..235) where 0..255 is expected": (
        "input.colour_space",
        lambda p: np.array([round(16 + v * 219 / 255) for v in range(256)])[p],
    ),
    "16..235 stretched to 0..255 though it was full range already": (
        "input.colour_space",
        lambda p: np.array([min(255, max(0, round((v - 16) * 255 / 219))) for v in range(256)])[p],
    ),
}


ORDER = ", made of pixels in the other order of channels"
PIXELS |= {
    what + ORDER: ("input.colour_space", lambda p, made=made: made(p[..., ::-1]))
    for what, (cause, made) in PIXELS.items()
    if cause == "input.colour_space" and "RGB is expected" in what
}


def small(height: int, width: int) -> U8:
    return np.random.default_rng(height).integers(0, 256, (1, height, width, 3), np.uint8)


def test_every_mistake_on_pixels_is_made_again_here() -> None:
    rows = list(pixel_mistakes("RGB", whole_picture=True))
    assert {row.what: row.cause for row in rows} == {k: v[0] for k, v in PIXELS.items()}


@pytest.mark.parametrize("size", [(6, 6), (5, 8)])
@pytest.mark.parametrize(
    "row", list(pixel_mistakes("RGB", whole_picture=True)), ids=lambda r: r.what
)
def test_a_mistake_on_pixels_does_what_plain_numpy_does(row, size) -> None:
    pixels = small(*size)
    made = row.change(pixels.astype(np.float64))
    assert made.shape == pixels.shape
    worst = np.abs(made - PIXELS[row.what][1](pixels)).max()
    # The matrix of full-range YCbCr is given to six places: a value may round the other way.
    assert worst <= (1 if "range where" in row.what else 0)


def test_a_network_of_blue_green_red_has_its_colours_mistaken_from_there() -> None:
    pixels = small(6, 6)
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    for row in pixel_mistakes("BGR", whole_picture=True):
        if "BGR is expected" in row.what and row.cause == "input.colour_space":
            own = PIXELS[row.what.replace("BGR is", "RGB is")][1](pixels)
            assert np.abs(row.change(bgr.astype(np.float64)) - own).max() <= 1


def test_a_grey_network_has_no_order_of_channels_to_mistake() -> None:
    causes = {row.cause for row in pixel_mistakes("GRAY", whole_picture=True)}
    assert causes == {"input.transposed", "input.colour_space"}


def test_a_picture_of_w_rows_by_h_columns_fills_the_same_memory() -> None:
    pixels = small(4, 6)
    row = next(r for r in pixel_mistakes("RGB", whole_picture=False) if "resized to (h" in r.what)
    tall = [
        pixels[0, round(y * 3 / 5), round(x * 5 / 3)] for y in range(6) for x in range(4)
    ]  # 6 rows of 4, the nearest pixel of each
    assert np.array_equal(row.change(pixels.astype(np.float64)).reshape(-1, 3), tall)


@given(
    hnp.arrays(np.uint8, st.tuples(st.just(1), st.integers(1, 7), st.integers(1, 7), st.just(3)))
)
def test_a_mistake_of_order_loses_no_byte(pixels) -> None:
    moved = ("channel_order", "layout", "noncontiguous", "transposed")
    for row in pixel_mistakes("RGB", whole_picture=True):
        if row.cause.split(".")[1] in moved:
            made = row.change(pixels.astype(np.float64))
            assert np.array_equal(np.sort(made, axis=None), np.sort(pixels, axis=None))


# --- values --------------------------------------------------------------------------------------

SCALE, ZERO = 4.8 / 255, 113
SCALING = scaling_of(RECIPE)
SHAPE = RECIPE.raw_shape
LIMITS = (-2.2, 2.7)
DOORS = {
    "values": Door("values", SHAPE, "float32", False, SCALING),
    "cut": Door("values", SHAPE, "float32", False, SCALING, limits=LIMITS),
    "pixels": Door("pixels", SHAPE, "uint8", False, SCALING),
    "uint8": Door("codes", SHAPE, "uint8", False, SCALING, SCALE, ZERO),
    "int8": Door("codes", SHAPE, "int8", False, SCALING, SCALE, ZERO - 128),
}
OTHER = ("those of output 'map'", 0.05, 60)
ZEROS = {"uint8": ZERO, "int8": ZERO - 128}


def enters(door: str, values: np.ndarray) -> np.ndarray:
    """What a network computes with for real values that a right host hands over."""
    if door == "cut":
        return np.clip(values, *LIMITS)
    return decoded(door, steps(door, values)) if door in ZEROS else np.asarray(values)


def steps(
    door: str, values: np.ndarray, scale: float = SCALE, zero: int | None = None
) -> np.ndarray:
    """Codes of values, as integers of the door's dtype."""
    offset = ZEROS[door] if zero is None else zero
    whole = np.rint(np.asarray(values, np.float32).astype(np.float64) / scale) + offset
    ends = (0, 255) if door == "uint8" else (-128, 127)
    return np.clip(whole, *ends).astype(door)


def decoded(door: str, held: np.ndarray) -> np.ndarray:
    return (held.astype(np.float64) - ZEROS[door]) * SCALE


def wrapped(door: str, values: np.ndarray) -> np.ndarray:
    """A C cast to the door's dtype: towards zero, then the low bits."""
    return np.trunc(values).astype(np.int32).astype(door)


def first_bytes(p: np.ndarray, dtype: str, view: str) -> np.ndarray:
    return np.frombuffer(p.astype(dtype).tobytes()[: p.size], view).reshape(p.shape)


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PER_255 = {
    "pixels / 255": ((0, 0, 0), (1, 1, 1)),
    "ImageNet's mean and std": IMAGENET,
    "mean 0.5 and std 0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "CLIP's mean and std": ((0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)),
    "CIFAR's mean and std": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}
OF_PIXELS = {
    "(pixels - 127.5) / 128": ((127.5, 127.5, 127.5), (128, 128, 128)),
    "(pixels - 127) / 128": ((127, 127, 127), (128, 128, 128)),
    "pixels / 256": ((0, 0, 0), (256, 256, 256)),
    "pixels - [104, 117, 123]": ((104, 117, 123), (1, 1, 1)),
    "pixels - ImageNet's mean in pixels": ((123.675, 116.28, 103.53), (1, 1, 1)),
    "ImageNet's mean and std in pixels": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
REVERSED = ", in the other order of channels"
#: The network's own constants are no mistake.
OWN = {"ImageNet's mean and std", "ImageNet's mean and std in pixels"}


def constants() -> dict[str, Made]:
    found: dict[str, Made] = {}
    for table, unit in ((PER_255, 255.0), (OF_PIXELS, 1.0)):
        for name, (mean, std) in table.items():
            for tail, turn in (("", 1), (REVERSED, -1)):
                m, s = np.array(mean)[::turn], np.array(std)[::turn]
                if (turn < 0 and len(set(mean)) == 1) or (turn > 0 and name in OWN):
                    continue
                found[f"normalised by {name}{tail}"] = (
                    lambda p, m=m, s=s, unit=unit: (p / unit - m) / s  # type: ignore[misc]
                )
    found["its own constants in the other order of channels"] = lambda p: host(
        p, MEAN[::-1], STD[::-1]
    )
    return found


SIGNS_OF_PIXELS: dict[str, Made] = {
    "off by 128: the sign bit is flipped": lambda p: p ^ 128,
    "values above 127 cut off: uint8 went through int8": lambda p: np.minimum(p, 127),
    "values above 127 read as negative": lambda p: p.view(np.int8),
    "128 subtracted": lambda p: p.astype(np.int32) - 128,
}


def signs(door: str) -> dict[str, Made]:
    if door not in ZEROS:
        return {
            what: lambda p, change=change: enters(door, host(change(p)))  # type: ignore[misc]
            for what, change in SIGNS_OF_PIXELS.items()
        }
    if door == "uint8":
        return {
            what: lambda p, change=change: decoded(door, change(steps(door, host(p))))  # type: ignore[misc]
            for what, change in SIGNS_OF_PIXELS.items()
        }
    # The host made uint8 codes, 128 above: their bits are taken, or they are cut off at 127.
    unsigned = lambda p: (steps(door, host(p)).astype(np.int32) + 128).astype(np.uint8)  # noqa: E731
    found: dict[str, Made] = dict.fromkeys(
        SIGNS_OF_PIXELS, lambda p: decoded(door, unsigned(p).view(np.int8))
    )
    found["values above 127 cut off: uint8 went through int8"] = lambda p: decoded(
        door, np.minimum(unsigned(p), 127)
    )
    return found


def qparams(door: str) -> dict[str, Made]:
    least, middle = (0, 128) if door == "uint8" else (-128, 0)
    usual = (
        ("1 / 255 and the least code", 1 / 255, least),
        ("1 / 127 and the middle code", 1 / 127, middle),
        ("1 / 127.5 and the middle code", 1 / 127.5, middle),
        ("1 / 128 and the middle code", 1 / 128, middle),
        ("its own scale, but zero point 0", SCALE, 0),
        ("its own scale, but the middle code for zero point", SCALE, middle),
        OTHER,
    )
    return {
        f"quantised with {whose}: scale {scale:.6g}, zero point {zero}": (
            lambda p, scale=scale, zero=zero: decoded(  # type: ignore[misc]
                door, steps(door, host(p), scale, zero)
            )
        )
        for whose, scale, zero in usual
    }


def cut_codes(door: str, p: U8, how: np.ufunc) -> np.ndarray:
    ends = (0, 255) if door == "uint8" else (-128, 127)
    whole = how(host(p).astype(np.float64) / SCALE) + ZEROS[door]
    return decoded(door, np.clip(whole, *ends))


def casts(door: str) -> dict[tuple[str, str], Made]:
    cast, twice = "input.cast_to_zero", "input.double_normalization"
    if door == "pixels":
        whole = "normalised values {} to uint8, and normalised again inside"
        return {
            (cast, "floats in [0, 1] cast to uint8: 0, and 1 where a pixel is white"): lambda p: (
                host((p / 255).astype(np.uint8))
            ),
            (twice, whole.format("cast")): lambda p: host(wrapped("uint8", host(p))),
            (twice, whole.format("cut off")): lambda p: host(np.clip(np.rint(host(p)), 0, 255)),
        }
    if door in ZEROS:
        taken = lambda values: decoded(door, wrapped(door, values))  # noqa: E731
    else:
        taken = lambda values: enters(door, values.astype(np.int32))  # noqa: E731
    return {
        (twice, "normalised values divided by 255 again"): lambda p: enters(door, host(p) / 255),
        (cast, "normalised floats cast to integers"): lambda p: taken(host(p)),
        (cast, "floats in [0, 1] cast to integers"): lambda p: taken(p / 255),
        (cast, "floats in [0, 1] cast to integers, and then normalised"): lambda p: enters(
            door, host((p / 255).astype(np.int32))
        ),
    }


def of_codes(door: str) -> dict[tuple[str, str], Made]:
    """What only a door that takes codes can get wrong."""
    raw = "raw pixels sent as codes, neither normalised nor quantised"
    return {
        ("input.missing_normalization", raw): lambda p: decoded(door, p.astype(door)),
        ("input.truncated", "quotients cut towards zero in place of rounded"): lambda p: cut_codes(
            door, p, np.trunc
        ),
        ("input.truncated", "quotients cut downwards in place of rounded"): lambda p: cut_codes(
            door, p, np.floor
        ),
        **{("input.wrong_qparams", what): made for what, made in qparams(door).items()},
    }


def in_bytes(door: str) -> dict[tuple[str, str], Made]:
    """What a door that takes integers can get wrong: their size."""
    dark = "8-bit pixels in a 16-bit input: an almost black picture"
    found: dict[tuple[str, str], Made] = {("input.widened", dark): lambda p: host(p / 257)}
    for dtype in ("float32", "float64"):

        def read(p: U8, dtype: str = dtype) -> np.ndarray:
            if door == "pixels":
                return host(first_bytes(p, dtype, "uint8"))
            return decoded(door, first_bytes(steps(door, host(p)), dtype, door))

        told = "uint8" if door == "pixels" else door
        found["input.dtype", f"the first bytes of a {dtype} buffer read as {told}"] = read
    return found


def values_of(door: str) -> dict[tuple[str, str], Made]:
    """By cause and words: what the network computes with, made again for one door."""
    missing, twice = "input.missing_normalization", "input.double_normalization"
    found: dict[tuple[str, str], Made] = {
        (twice, "normalised values normalised again"): lambda p: enters(
            door, (host(p) / 255 - np.array(MEAN)) / np.array(STD)
        ),
        (twice, "divided by 255 before it was normalised"): lambda p: enters(door, host(p / 255)),
        **casts(door),
        **{
            ("input.wrong_mean_std", what): lambda p, made=made: enters(door, made(p))  # type: ignore[misc]
            for what, made in constants().items()
        },
        **{("input.sign", what): made for what, made in signs(door).items()},
    }
    if door == "pixels":
        inside = (
            "the deployed network computes with raw pixels: nothing normalises, outside or inside"
        )
        again = "multiplied by 255 though the pixels are 0..255 already: uint8 wraps around"
        wraps = lambda p: host((p.astype(np.int32) * 255).astype(np.uint8))  # noqa: E731
        found |= {(missing, inside): lambda p: p, ("input.wrong_mean_std", again): wraps}
        return found | in_bytes(door)
    found[missing, "raw pixels 0..255 where normalised values are expected"] = lambda p: enters(
        door, p
    )
    return found | of_codes(door) | in_bytes(door) if door in ZEROS else found


CASES = [(door, cause, what) for door in DOORS for cause, what in values_of(door)]


def rows_of(door: str) -> dict[tuple[str, str], Callable[[np.ndarray], np.ndarray]]:
    return {
        (row.cause, row.what): row.values for row in value_mistakes(DOORS[door], "RGB", [OTHER])
    }


@pytest.mark.parametrize("door", DOORS)
def test_every_mistake_on_values_is_made_again_here(door) -> None:
    assert set(rows_of(door)) == set(values_of(door))


@pytest.mark.parametrize(("door", "cause", "what"), CASES)
def test_a_mistake_on_values_does_what_plain_numpy_does(door, cause, what) -> None:
    own = np.asarray(values_of(door)[cause, what](PICTURES[0]), np.float64)
    made = rows_of(door)[cause, what](PICTURES[0].astype(np.float64))
    assert made.dtype == np.float32
    gap = np.abs(made - own)
    if door in ZEROS:  # a quotient at a tie may round the other way: one code in a thousand
        assert float((gap > 1e-4).mean()) < 1e-3
    else:
        # float32 has 2^-24 of a value; mean and std are taken off in another order.
        assert float(gap.max()) <= 1e-5 * max(1.0, float(np.abs(own).max()))


def test_a_16_bit_door_is_given_8_bit_codes() -> None:
    door = Door("codes", SHAPE, "uint16", False, SCALING, 4.8 / 65535, 29000)
    row = next(r for r in value_mistakes(door, "RGB", []) if r.cause == "input.widened")
    narrow = np.clip(np.rint(host(PICTURES[0]) / (4.8 / 255) + 29000 / 257), 0, 255)
    own = (narrow - 29000) * (4.8 / 65535)
    assert np.abs(row.values(PICTURES[0].astype(np.float64)) - own).max() <= 1.01 * 4.8 / 65535


def test_right_values_are_rounded_to_the_codes_of_a_door() -> None:
    for door, ours in DOORS.items():
        made = coded(ours, SCALING(PICTURES[0]))
        assert np.abs(made - enters(door, host(PICTURES[0]))).max() < 1e-5


# --- found and named -----------------------------------------------------------------------------


def named_by(
    made: Made, door: Door | None = None, contract: Contract | None = None
) -> list[set[str]]:
    """Causes of what is accepted, best first, where the device computes with what was made."""
    frames = [frame(i, p, device(np.asarray(made(p)))) for i, p in enumerate(PICTURES)]
    doors = None if door is None else (door,)
    there = scene(frames, doors=doors, contract=contract)
    return [set(row.causes) for row in search_all(there)[1]]


@pytest.mark.parametrize("what", PIXELS)
def test_a_mistake_on_pixels_is_found_and_named(what) -> None:
    cause, made = PIXELS[what]
    found = named_by(lambda p: host(made(p)))
    expected = SAME_BYTES if cause in SAME_BYTES and "Fortran" not in what else {cause}
    assert {next(iter(row)) for row in found if len(row) == 1} == expected
    assert len(found) == len(expected)


def contract_of(door: str) -> Contract:
    """The deployed contract: its outputs are read as values, one has OTHER's parameters."""
    _, scale, zero = OTHER
    row = TensorContract(
        "images", SHAPE, door, "NHWC", "RGB", SCALE, ZEROS[door], holds=HOLDS_CODES
    )
    other = TensorContract("map", (1, 8, 8, 8), "uint8", scale=scale, zero_point=zero)
    return Contract((row,), (other,))


ORDERS = {what: row for what, row in PIXELS.items() if row[0] in SAME_BYTES}


def reordered(values: np.ndarray, what: str) -> np.ndarray:
    """Floats in the order that a mistake on bytes makes: the places of numbered bytes."""
    count = values.size
    low = np.arange(count).reshape(values.shape)
    places = [ORDERS[what][1](np.asarray(low >> shift & 255, np.uint8)) for shift in (0, 8)]
    return values.reshape(-1)[places[0].astype(int) + (places[1].astype(int) << 8)]


@pytest.mark.parametrize("door", ["values", "uint8"])
@pytest.mark.parametrize("what", ORDERS)
def test_memory_of_normalised_values_in_another_order_is_found_and_named(door, what) -> None:
    """The host's mean and std stay with the value, wherever it is read."""
    found = named_by(lambda p: reordered(enters(door, host(p)), what), DOORS[door])
    expected = {ORDERS[what][0]} if "Fortran" in what else SAME_BYTES
    assert {next(iter(row)) for row in found} == expected


#: What is the same at another door adds nothing but time.
AT_CODES = ("input.sign", "input.dtype", "input.wrong_qparams", "input.cast_to_zero")
FOUND = [
    (door, cause, what)
    for door, cause, what in CASES
    if (door == "values" and not what.endswith(REVERSED))
    or (door == "pixels" and not what.startswith("normalised by"))
    or (door == "uint8" and cause in AT_CODES)
    or (door == "int8" and cause == "input.sign")
]


@pytest.mark.parametrize(("door", "cause", "what"), FOUND)
def test_a_mistake_on_values_is_found_and_named(door, cause, what) -> None:
    contract = contract_of(door) if OTHER[0] in what else None
    found = named_by(values_of(door)[cause, what], DOORS[door], contract)
    assert {cause} in found
    if cause not in DARK:
        assert found == [{cause}]


@pytest.mark.parametrize("how", [np.trunc, np.floor])
def test_half_a_code_of_an_8_bit_input_is_near_the_noise_and_nothing_else_is_blamed(how) -> None:
    found = named_by(lambda p: cut_codes("uint8", p, how), DOORS["uint8"])
    assert found in ([], [{"input.truncated"}])


@pytest.mark.parametrize("how", [np.trunc, np.floor])
def test_half_a_code_of_a_coarse_input_is_found_and_named(how) -> None:
    coarse = 16 * SCALE
    door = Door("codes", SHAPE, "int8", False, SCALING, coarse, 0)
    found = named_by(lambda p: how(host(p) / coarse) * coarse, door)
    assert found == [{"input.truncated"}]
