"""The float functions of a program, in NumPy.

Normative as `bittrue.arith` is: the emulator calls these, the C++ kernels equal them bit for bit,
and docs/numerics.md 7 derives them. Every float32 operation rounds once, to nearest even, in
the order written. A NaN that comes out may have any bits; what stores it makes it the one NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bittrue.arith import F32

U32_SIGN = np.uint32(0x80000000)
_ONE, _HALF, _ZERO = np.float32(1), np.float32(0.5), np.float32(0)
_INF = np.float32(np.inf)


def _polynomial(x: F32, coefficients: Sequence[np.float32]) -> F32:
    """Return a polynomial in Horner form, each step ``fl(fl(p * x) + c)``; greatest power first."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def _singles(*numbers: float) -> tuple[np.float32, ...]:
    return tuple(np.float32(number) for number in numbers)


_SHIFT = np.float32(12582912.0)


def _whole(x: F32) -> F32:
    """Return the nearest whole number, ties to even, for ``|x| <= 2**22``; +0 for both zeros."""
    return (x + _SHIFT) - _SHIFT


def _with_sign(magnitude: F32, x: F32) -> F32:
    """Return a magnitude (sign bit clear, or that of x) with the sign of x."""
    return (magnitude.view(np.uint32) | (x.view(np.uint32) & U32_SIGN)).view(np.float32)


# --- exp, sigmoid, softmax ---------------------------------------------------------------------

# exp: x = n*ln2 + r with |r| <= ln2/2, ln2 split so that n*LN2_HI is exact for |n| < 2**9.
EXP_LO = np.float32(-87.0)
EXP_HI = np.float32(88.0)
LOG2E = np.float32(1.44269504088896341)
LN2_HI = np.float32(0.693359375)
LN2_LO = np.float32(-2.12194440e-4)
#: Taylor's coefficients 1/7! to 1/2!: on |r| <= 0.3466 the rest is below 2**-29 relative.
EXP_COEFFICIENTS = tuple(
    np.float32(1.0 / denominator) for denominator in (5040.0, 720.0, 120.0, 24.0, 6.0, 2.0)
)


def exp(x: F32) -> F32:
    """Return e**x by a fixed sequence of float32 operations (docs/numerics.md 7.1).

    x is clamped to [-87, 88]; within, the relative error is below 2 ulp. NaN gives NaN.
    """
    clamped = np.minimum(np.maximum(np.asarray(x, np.float32), EXP_LO), EXP_HI)
    whole = np.rint(clamped * LOG2E)
    rest = np.asarray((clamped - whole * LN2_HI) - whole * LN2_LO, np.float32)
    poly = _polynomial(rest, EXP_COEFFICIENTS)
    poly = ((poly * rest) * rest + rest) + np.float32(1)
    steps = np.nan_to_num(whole, nan=0.0).astype(np.int32)
    power = ((steps + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.asarray(poly * power, np.float32)


def sigmoid(x: F32) -> F32:
    """Return ``fl(1 / fl(1 + exp(-x)))`` with `exp` from this module."""
    one = np.float32(1)
    return np.asarray(one / (one + exp(-np.asarray(x, np.float32))), np.float32)


#: Sums of floats run in this many lanes, then over the lanes as a tree (docs/numerics.md 7.3).
SUM_LANES = 16


def lane_sum(x: F32) -> F32:
    """Return the sum over the last axis in the stated order, float32 of shape x.shape[:-1].

    Lane j adds x[j], x[j+16], x[j+32], ... in that order, starting from 0; then the lanes are
    added as a tree: j with j+8, j with j+4, j with j+2, j with j+1.
    """
    x = np.asarray(x, np.float32)
    lanes = np.zeros((*x.shape[:-1], SUM_LANES), np.float32)
    for start in range(0, x.shape[-1], SUM_LANES):
        part = x[..., start : start + SUM_LANES]
        lanes[..., : part.shape[-1]] = lanes[..., : part.shape[-1]] + part
    width = SUM_LANES // 2
    while width:
        lanes = lanes[..., :width] + lanes[..., width : 2 * width]
        width //= 2
    return lanes[..., 0]


#: The one NaN that the float instructions store: quiet, positive, no payload.
NAN = np.uint32(0x7FC00000).view(np.float32)


def one_nan(x: F32) -> F32:
    """Return x with every NaN replaced by NAN (docs/numerics.md 1), float32 of x's shape."""
    return np.where(np.isnan(x), NAN, x)


def softmax(x: F32) -> F32:
    """Return softmax over the last axis: ``e = exp(fl(x - max)); fl(e / lane_sum(e))``."""
    x = np.asarray(x, np.float32)
    shifted = exp(x - x.max(axis=-1, keepdims=True))
    return shifted / lane_sum(shifted)[..., None]


# --- functions of one number -------------------------------------------------------------------

SMALLEST_NORMAL = np.float32(2.0**-126)
SQRT_HALF_BITS = np.int32(0x3F3504F3)
#: R with log(1 + f) = f - f**2/2 + f**3 * R(f), for 1 + f from sqrt(1/2) to sqrt(2).
LOG_COEFFICIENTS = _singles(
    *(-0.0763639509677887, 0.12762197852134705, -0.1315961331129074, 0.14201581478118896),
    *(-0.166234090924263, 0.2000124156475067, -0.2500081956386566, 0.3333333134651184),
)


def log(x: F32) -> F32:
    """Return the natural logarithm (docs/numerics.md 7.6); -infinity at 0, NaN below."""
    tiny = x < SMALLEST_NORMAL
    bits = np.where(tiny, x * np.float32(2.0**23), x).view(np.int32)
    steps = (bits - SQRT_HALF_BITS) >> np.int32(23)  # x = 2**steps * (1 + f)
    f = (bits - (steps << np.int32(23))).view(np.float32) - _ONE
    whole = steps.astype(np.float32) - np.where(tiny, np.float32(23), _ZERO)
    square = f * f
    rest = (_polynomial(f, LOG_COEFFICIENTS) * f) * square
    rest = rest + whole * LN2_LO
    rest = rest - _HALF * square
    value = (f + rest) + whole * LN2_HI
    value = np.where(x > _ZERO, value, np.where(x == _ZERO, -_INF, np.float32(np.nan)))
    return np.asarray(np.where(x == _INF, x, value), np.float32)


#: P with tanh(x) = x + x**3 * P(x**2) for |x| < 0.625.
TANH_COEFFICIENTS = _singles(
    *(-0.0057154991663992405, 0.020649103447794914, -0.05374300479888916),
    *(0.133314847946167, -0.3333328366279602),
)
TANH_SMALL = np.float32(0.625)


def tanh(x: F32) -> F32:
    """Return the hyperbolic tangent (docs/numerics.md 7.6)."""
    size = np.abs(x)
    square = size * size
    small = size + (size * square) * _polynomial(square, TANH_COEFFICIENTS)
    large = _ONE - np.float32(2) / (exp(size + size) + _ONE)
    return _with_sign(np.where(size < TANH_SMALL, small, large), x)


#: P with erf(x) = x + x * P(x**2) for |x| < 1.
ERF_COEFFICIENTS = _singles(
    *(7.920368079794571e-05, -0.0008030761382542551, 0.005190733820199966),
    *(-0.02685512602329254, 0.11283618211746216, -0.3761262893676758, 0.12837916612625122),
)
#: Q with erf(x) = 1 - exp(Q(x)) for x from 1 to 4.
ERFC_COEFFICIENTS = _singles(
    *(0.00019717865507118404, -0.0030555836856365204, 0.022277016192674637),
    *(-0.10403726249933243, -0.6370598077774048, -1.1277495622634888, -0.0001774872507667169),
)
ERF_MOST = np.float32(4)


def erf(x: F32) -> F32:
    """Return the error function (docs/numerics.md 7.6)."""
    size = np.abs(x)
    square = size * size
    small = size + size * _polynomial(square, ERF_COEFFICIENTS)
    large = _ONE - exp(_polynomial(np.where(size < ERF_MOST, size, ERF_MOST), ERFC_COEFFICIENTS))
    value = np.where(size < _ONE, small, large)
    return np.where(np.isnan(x), x, _with_sign(value, x))


def softplus(x: F32) -> F32:
    """Return ``log(1 + exp(x))`` without its cancellations (docs/numerics.md 7.6)."""
    power = exp(-np.abs(x))
    total = _ONE + power
    lost = power - (total - _ONE)  # exact: what the rounding of the sum left out
    return np.asarray(np.where(x > _ZERO, x, _ZERO) + (log(total) + lost / total), np.float32)


#: Beyond this magnitude sine and cosine are NaN: the reduction below would not be exact.
ANGLE_MOST = np.float32(8192)
TWO_OVER_PI = np.float32(0.6366197466850281)
#: pi/2 in three parts, the first two of 11 bits, so that their multiples below 2**13 are exact.
HALF_PI = _singles(1.5703125, 0.0004837512969970703, 7.549790126404332e-08)
#: S with sin(r) = r + r**3 * S(r**2), C with cos(r) = 1 - r**2/2 + r**4 * C(r**2).
SIN_COEFFICIENTS = _singles(-0.00019517994951456785, 0.008332188241183758, -0.16666655242443085)
COS_COEFFICIENTS = _singles(2.443066841806285e-05, -0.00138873013202101, 0.04166664555668831)


def _quarter_turns(x: F32, ahead: int) -> F32:
    """Return the sine of ``|x| + ahead * pi/2``; NaN beyond ANGLE_MOST."""
    inside = np.abs(x) <= ANGLE_MOST
    angle = np.where(inside, np.abs(x), _ZERO)
    turns = _whole(angle * TWO_OVER_PI)
    r = ((angle - turns * HALF_PI[0]) - turns * HALF_PI[1]) - turns * HALF_PI[2]
    square = r * r
    sine = r + (r * square) * _polynomial(square, SIN_COEFFICIENTS)
    cosine = (_ONE - _HALF * square) + (square * square) * _polynomial(square, COS_COEFFICIENTS)
    quarter = turns.astype(np.int32) + np.int32(ahead)
    value = np.where(quarter & 1, cosine, sine)
    return np.where(inside, np.where(quarter & 2, -value, value), np.float32(np.nan))


def sin(x: F32) -> F32:
    """Return the sine of x in radians (docs/numerics.md 7.7); NaN where ``|x| > 8192``."""
    turned = _quarter_turns(x, 0)
    return (turned.view(np.uint32) ^ (x.view(np.uint32) & U32_SIGN)).view(np.float32)


def cos(x: F32) -> F32:
    """Return the cosine of x in radians (docs/numerics.md 7.7); NaN where ``|x| > 8192``."""
    return _quarter_turns(x, 1)


def sign(x: F32) -> F32:
    """Return 1, -1, or +0 for both zeros; NaN for NaN."""
    return np.where(x > _ZERO, _ONE, np.where(x < _ZERO, -_ONE, np.where(x == _ZERO, _ZERO, x)))


# --- functions of two numbers ------------------------------------------------------------------

#: e**x is 0 below the first and infinite above the second.
POWER_LO, POWER_HI = _singles(-104.0, 89.0)


def _exp_any(x: F32) -> F32:
    """Return e**x as `exp` has it, but down to denormals and 0 and up to infinity."""
    clamped = np.minimum(np.maximum(x, POWER_LO), POWER_HI)
    whole = _whole(clamped * LOG2E)
    rest = (clamped - whole * LN2_HI) - whole * LN2_LO
    poly = _polynomial(rest, EXP_COEFFICIENTS)
    poly = ((poly * rest) * rest + rest) + _ONE
    steps = np.nan_to_num(whole, nan=0.0).astype(np.int32)
    half = steps >> np.int32(1)
    for part in (half, steps - half):
        poly = poly * ((part + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.asarray(poly, np.float32)


def pow_(x: F32, y: F32) -> F32:
    """Return x to the power y by ``exp(fl(y * log|x|))`` (docs/numerics.md 7.8).

    As in ONNX and C: 1 where y is 0 or x is 1; a negative x has powers for whole y only.

    Args:
        x: float32.
        y: float32 that broadcasts against x.
    """
    x, y = np.broadcast_arrays(x, y)
    size = np.abs(x)
    power = np.where(size == _ONE, _ONE, _exp_any(y * log(size)))
    whole = np.rint(y) == y
    small = np.where(np.abs(y) < np.float32(2.0**24), y, _ZERO)
    odd = whole & ((np.nan_to_num(small).astype(np.int32) & 1) == 1)
    power = np.where(odd & np.signbit(x), -power, power)
    lost = (x < _ZERO) & (size != _INF) & ~whole
    power = np.where(lost | np.isnan(x) | np.isnan(y), np.float32(np.nan), power)
    return np.where((y == _ZERO) | (x == _ONE), _ONE, power)


def _truth(compare: Callable[[F32, F32], np.ndarray]) -> Callable[[F32, F32], F32]:
    return lambda a, b: compare(a, b).astype(np.float32)


#: The functions of F32_UNARY by name. Every entry takes and returns float32 of one shape.
UNARY: dict[str, Callable[[F32], F32]] = {
    "exp": exp,
    "sigmoid": sigmoid,
    "sqrt": np.sqrt,
    "neg": np.negative,
    "abs": np.abs,
    "log": log,
    "tanh": tanh,
    "erf": erf,
    "reciprocal": lambda x: _ONE / x,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "sign": sign,
    "softplus": softplus,
    "sin": sin,
    "cos": cos,
}

#: The functions of F32_BINARY by name. A comparison gives 1 where it holds, else 0 (NaN: 0).
BINARY: dict[str, Callable[[F32, F32], F32]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": lambda a, b: np.where(a < b, a, b),
    "max": lambda a, b: np.where(a > b, a, b),
    "pow": pow_,
    "mod": np.fmod,
    "equal": _truth(np.equal),
    "less": _truth(np.less),
    "less_or_equal": _truth(np.less_equal),
    "greater": _truth(np.greater),
    "greater_or_equal": _truth(np.greater_equal),
}


def where(condition: F32, a: F32, b: F32) -> F32:
    """Return b where the condition is 0 (of either sign), else a; NaN is not 0."""
    return np.where(condition == _ZERO, b, a)


# --- along the last axis -----------------------------------------------------------------------


def lane_product(x: F32) -> F32:
    """Return the product over the last axis, in the lanes and the tree of `lane_sum`, from 1."""
    lanes = np.ones((*x.shape[:-1], SUM_LANES), np.float32)
    for start in range(0, x.shape[-1], SUM_LANES):
        part = x[..., start : start + SUM_LANES]
        lanes[..., : part.shape[-1]] = lanes[..., : part.shape[-1]] * part
    width = SUM_LANES // 2
    while width:
        lanes = lanes[..., :width] * lanes[..., width : 2 * width]
        width //= 2
    return lanes[..., 0]


#: The functions of F32_REDUCE by name: float32 [..., L] to [...]. The extremes are NaN if any
#: element is, and +0 where they are a zero, so that no order shows.
REDUCTIONS: dict[str, Callable[[F32], F32]] = {
    "sum": lane_sum,
    "mean": lambda x: lane_sum(x) / np.float32(x.shape[-1]),
    "max": lambda x: x.max(axis=-1) + _ZERO,
    "min": lambda x: x.min(axis=-1) + _ZERO,
    "prod": lane_product,
    "l2": lambda x: np.sqrt(lane_sum(x * x)),
}


def matmul(a: F32, b: F32) -> F32:
    """Return the matrix product, each element ``acc = fl(acc + fl(a * b))`` for k = 0, 1, ...

    The sum starts at +0 and takes k in order: neighbours along N can be computed side by side at
    any vector width without changing a bit.

    Args:
        a: float32 [..., M, K].
        b: float32 [..., K, N]; the leading axes broadcast against a's.
    """
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    acc = np.zeros(shape, np.float32)
    for k in range(a.shape[-1]):
        acc = acc + a[..., :, k : k + 1] * b[..., k : k + 1, :]
    return acc
