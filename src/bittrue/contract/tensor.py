"""What a buffer must be: the contract of each input and output, as plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import NoneType

from bittrue.dtypes import DTYPES, nbytes
from bittrue.errors import FormatError

LAYOUTS = ("", "NCHW", "NHWC", "NC", "NCL", "NLC", "HWC", "CHW")
COLOURS = ("", "RGB", "BGR", "GRAY")
#: What the numbers of a buffer are: the words of `TensorContract.holds`.
HOLDS_PIXELS, HOLDS_NORMALISED = "raw pixels", "normalised values"
HOLDS_CODES, HOLDS_VALUES = "codes", "values"


@dataclass(frozen=True, slots=True)
class TensorContract:
    """What one input or output buffer is.

    Args:
        name: The network's own name for it.
        shape: With the batch axis; every dimension known.
        dtype: Element type, a name of `bittrue.dtypes.DTYPES`.
        layout: What the axes mean, one of LAYOUTS; empty where nobody said.
        colour: Order of the colour channels, one of COLOURS; empty where it is no picture.
        scale: Real value of one code; None for a float tensor or plain integers.
        zero_point: The code that means the real value 0; 0 where scale is None.
        value_range: Least and greatest real value that the network was calibrated with
            (inputs) or gave (outputs); None where nothing was calibrated.
        holds: What the numbers are: HOLDS_PIXELS, HOLDS_NORMALISED, HOLDS_CODES or HOLDS_VALUES.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str = ""
    colour: str = ""
    scale: float | None = None
    zero_point: int = 0
    value_range: tuple[float, float] | None = None
    holds: str = HOLDS_VALUES

    @property
    def nbytes(self) -> int:
        """Bytes of the whole buffer."""
        return nbytes(self.dtype, self.shape)


@dataclass(frozen=True, slots=True)
class Contract:
    """The inputs and outputs of one stage of one network, in the network's order."""

    inputs: tuple[TensorContract, ...]
    outputs: tuple[TensorContract, ...]


def contract_to_json(contract: Contract) -> dict[str, object]:
    """Return the contract as plain JSON values; `contract_from_json` reads them back."""
    return asdict(contract)


def contract_from_json(data: Mapping[str, object], *, path: str = "") -> Contract:
    """Return the contract that `contract_to_json` wrote.

    Raises:
        FormatError: if a field is missing, unknown or of the wrong kind.
    """
    try:
        inputs, outputs = data["inputs"], data["outputs"]
        if not isinstance(inputs, list | tuple) or not isinstance(outputs, list | tuple):
            raise TypeError("inputs and outputs must be lists")
        return Contract(
            tuple(_tensor_from_json(row) for row in inputs),
            tuple(_tensor_from_json(row) for row in outputs),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as why:
        raise FormatError(f"the contract cannot be read: {why}", path=path) from why


#: What each field of a tensor's JSON form may be, besides shape and value_range.
_KINDS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "dtype": (str,),
    "layout": (str,),
    "colour": (str,),
    "scale": (int, float, NoneType),
    "zero_point": (int,),
    "holds": (str,),
}


def _tensor_from_json(row: Mapping[str, object]) -> TensorContract:
    fields = dict(row)
    shape, limits = fields.pop("shape"), fields.pop("value_range", None)
    if not isinstance(shape, list | tuple) or not all(
        type(dim) is int and dim >= 0 for dim in shape
    ):
        raise ValueError(f"shape {shape!r} is not a list of whole numbers")
    if limits is not None and (not isinstance(limits, list | tuple) or len(limits) != 2):
        raise ValueError(f"value_range {limits!r} is not a pair")
    for name, value in fields.items():
        if not isinstance(value, _KINDS[name]) or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}")
    tensor = TensorContract(
        shape=tuple(shape),
        value_range=None if limits is None else (float(limits[0]), float(limits[1])),
        **fields,  # type: ignore[arg-type]
    )
    known = (tensor.dtype in DTYPES, tensor.layout in LAYOUTS, tensor.colour in COLOURS)
    if not all(known):
        raise ValueError(f"{tensor.dtype!r}, {tensor.layout!r} or {tensor.colour!r} is unknown")
    return tensor
