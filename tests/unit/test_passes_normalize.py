"""Normalisation inside: raw pixels give what normalised values gave, corners included."""

from __future__ import annotations

import numpy as np
import pytest

from bittrue.contract.preprocess import Preprocess, normalise
from bittrue.errors import UsageError
from bittrue.graph.model import Graph
from bittrue.graph.reference import run_reference
from bittrue.graph.verify import verify
from bittrue.passes.normalize import normalize_inputs
from bittrue.passes.pipeline import optimize
from tests.graphs import GraphBuilder, normal

MEANS = {
    "half": Preprocess((6, 5), scale=1.0, mean=(127.5,) * 3, std=(127.5,) * 3),
    "imagenet": Preprocess(
        (6, 5), scale=1.0, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)
    ),
    "unit": Preprocess((6, 5)),
    "raw": Preprocess((6, 5), scale=1.0),
}


def network(layout: str = "NCHW", pads: int = 1) -> Graph:
    b = GraphBuilder()
    shape = (1, 3, 6, 5) if layout == "NCHW" else (1, 6, 5, 3)
    x = b.input("x", shape)
    if layout == "NHWC":
        x = b.add("Transpose", x, perm=(0, 3, 1, 2))
    conv = b.conv(x, normal(4, 3, 3, 3), normal(4), pads=(pads,) * 4)
    return b.graph(b.add("Relu", conv))


def outputs(graph: Graph, x: np.ndarray) -> np.ndarray:
    return run_reference(graph, {"x": x})[graph.outputs[0]]


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (1, 6, 5, 3)).astype(np.uint8)


@pytest.mark.parametrize("name", sorted(MEANS))
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_padded_convolution_takes_the_normalisation_exact_at_the_corners(
    name: str, layout: str
) -> None:
    recipe = MEANS[name] if layout == "NCHW" else _channels_last(MEANS[name])
    graph = network(layout)
    after = optimize(graph, preprocess={"x": recipe}).graph
    verify(after)
    assert sorted(node.op for node in after.nodes) == ["Cast", "Conv", "Transpose"]
    assert after.values["x"].dtype == "uint8"
    assert after.values["x"].shape == (1, 6, 5, 3)
    raw = pixels()
    wanted, found = outputs(graph, normalise(recipe, raw)), outputs(after, raw)
    # Sums of 27 products: each at most 4 * 2.7 (or 4 * 255 without normalisation) in magnitude.
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
    np.testing.assert_allclose(
        found[:, :, 0, 0], wanted[:, :, 0, 0], rtol=1e-5, atol=1e-5 * np.abs(wanted).max()
    )


def _channels_last(recipe: Preprocess) -> Preprocess:
    return Preprocess(
        recipe.size, scale=recipe.scale, mean=recipe.mean, std=recipe.std, layout="NHWC"
    )


def test_the_offset_is_the_mean_in_pixels() -> None:
    after = optimize(network(), preprocess={"x": MEANS["imagenet"]}).graph
    conv = next(node for node in after.nodes if node.op == "Conv")
    offset = after.constants[conv.inputs[3]]
    np.testing.assert_array_equal(offset, np.float32([123.675, 116.28, 103.53]))


def test_without_padding_the_mean_goes_into_the_bias() -> None:
    graph = network(pads=0)
    after = optimize(graph, preprocess={"x": MEANS["half"]}).graph
    conv = next(node for node in after.nodes if node.op == "Conv")
    assert len(conv.inputs) == 3
    raw = pixels(1)
    np.testing.assert_allclose(
        outputs(after, raw), outputs(graph, normalise(MEANS["half"], raw)), atol=1e-4
    )


def test_the_normalised_value_keeps_the_inputs_origin_and_the_raw_one_has_none() -> None:
    graph = network()
    after = normalize_inputs(graph, {"x": MEANS["imagenet"]})
    verify(after)
    assert [node.op for node in after.nodes[:4]] == ["Transpose", "Cast", "Sub", "Mul"]
    assert after.values["x"].origin == ()
    normalised = after.nodes[3].outputs[0]
    assert after.values[normalised].origin == ("x",)
    raw = pixels(2)
    found = run_reference(after, {"x": raw}, [normalised])[normalised]
    np.testing.assert_allclose(found, normalise(MEANS["imagenet"], raw), atol=1e-5)


def test_what_no_weights_can_take_stays() -> None:
    b = GraphBuilder()
    x = b.input("x", (1, 3, 6, 5))
    graph = b.graph(b.add("MaxPool", x, **_pool()), b.conv(x, normal(1, 3, 1, 1)))
    scalar = optimize(graph, preprocess={"x": MEANS["half"]}).graph
    assert sorted(node.op for node in scalar.nodes) == [
        *("Cast", "Conv", "MaxPool", "Pointwise", "Transpose")
    ]
    assert [value.name for value in scalar.values.values() if value.origin == ("x",)]
    several = optimize(graph, preprocess={"x": MEANS["imagenet"]}).graph
    assert {"Sub", "Mul"} <= {node.op for node in several.nodes}


def _pool() -> dict[str, object]:
    ones = (1, 1)
    return {"kernel_shape": (2, 2), "strides": ones, "pads": (0,) * 4, "dilations": ones}


def test_a_network_that_takes_pixels_gets_another_layout_only() -> None:
    b = GraphBuilder()
    x = b.add("Cast", b.input("x", (1, 3, 6, 5), "uint8"), to="float32")
    graph = b.graph(b.conv(x, normal(1, 3, 1, 1)))
    recipe = Preprocess((6, 5), scale=1.0, dtype="uint8")
    after = normalize_inputs(graph, {"x": recipe})
    assert [node.op for node in after.nodes] == ["Transpose", "Cast", "Conv"]
    same = normalize_inputs(graph, {})
    assert same is graph


def test_all_inputs_that_do_not_fit_are_named() -> None:
    graph = network()
    recipes = {"x": Preprocess((6, 6)), "picture": Preprocess((6, 5))}
    with pytest.raises(UsageError) as caught:
        optimize(graph, preprocess=recipes)
    text = str(caught.value)
    assert "[N, 3, 6, 6]" in text
    assert "no input 'picture'" in text
    assert "'x' float32 [1, 3, 6, 5]" in text
