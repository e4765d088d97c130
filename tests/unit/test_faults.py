"""The benchmark of planted mistakes: what is planted is there, and is scored as it should be."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from bench.faults import input_faults, output_faults, pictures
from bench.faults.codes import Codes, codes_of
from bench.faults.device import Device
from bench.faults.effect import INFINITE, effect, error_ratio
from bench.faults.networks import NETWORKS, Network
from bench.faults.output_faults import Given
from bench.faults.plans import DEVICES, SPECIAL, plans
from bench.faults.recipe import batched, normalised, pixels
from bench.faults.run import Explained, Result
from bench.faults.score import ALIASES, Scored, aliases, by_cause, group_of, scored, summary
from bittrue.contract.causes import BY_ID
from bittrue.contract.preprocess import load_preprocess, normalise, raw_pixels

FOLDER = Path(pictures.__file__).parent
MAY_IMPORT = {"bittrue.fetch", "bittrue.cli.main"}
#: Pixels are whole numbers already, so that cutting them to whole numbers changes nothing.
WITHOUT_EFFECT = {("truncated", True)}


def picture_for(network: Network):
    size = network.recipe.size if network.recipe.resize == "none" else (150, 211)
    return pictures.noise(size, 5)


def given(network: Network) -> Given:
    codes = {"a": np.arange(20, dtype=np.uint8).reshape(1, 5, 4), "b": np.zeros((1, 3), np.uint8)}
    params = {"a": Codes(0.25, 3), "b": Codes(0.5, 0)}
    return Given(replace(network, boxes=None, scores=None, logits={}), codes, params, {}, {})


@pytest.mark.parametrize("network", NETWORKS, ids=lambda row: row.name)
def test_the_generators_own_preprocessing_makes_the_same_arrays(network):
    picture = picture_for(network)
    theirs = load_preprocess(network.recipe.toml())
    raw = pixels(network.recipe, picture)
    assert np.array_equal(raw[None], raw_pixels(theirs, picture))
    made = batched(network.recipe, normalised(network.recipe, raw))
    assert np.array_equal(made, normalise(theirs, raw[None]))


def test_the_generator_imports_nothing_that_is_judged():
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [row.name for row in node.names] if isinstance(node, ast.Import) else []
            used = {name for name in names if name.split(".")[0] == "bittrue"}
            assert used <= MAY_IMPORT, path.name


def test_no_picture_is_in_two_parts():
    parts = [set(pictures.dealt(part, 1000)) for part in pictures.PARTS]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 1000


def test_every_planted_cause_is_in_the_table_of_causes():
    planted = {row.cause for row in (*input_faults.FAULTS, *output_faults.FAULTS)}
    planted |= {*DEVICES.values(), *SPECIAL.values()}
    planted |= {cause for row in ALIASES for cause in (row.planted, row.named)}
    assert planted <= set(BY_ID)
    never = {"input.name", "input.shape", "input.nonfinite", "graph.import", "graph.rewrite"}
    missing = {row for row in BY_ID if row.startswith(("input.", "output.", "quant.", "graph."))}
    assert missing - planted == never | {"quant.expected"}


def test_the_test_split_has_eight_networks_and_forty_healthy_pairs():
    networks = [row for row in NETWORKS if row.split == "test"]
    rows = [plan for network in networks for plan in plans(network, given(network))]
    healthy = [row for row in rows if group_of(row.causes, 0.0) == "healthy"]
    assert len(networks) >= 8
    assert len(healthy) >= 40


@pytest.mark.parametrize("network", NETWORKS, ids=lambda row: row.name)
def test_no_two_cases_of_a_network_have_one_name(network):
    names = [row.name for row in plans(network, given(network))]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("fault", input_faults.FAULTS, ids=lambda row: row.name)
def test_an_input_mistake_changes_what_the_device_sees(fault):
    for network in [row for row in NETWORKS if fault.applies(row)]:
        if (fault.name, network.recipe.plain) in WITHOUT_EFFECT:
            continue
        picture = picture_for(network)
        x = batched(network.recipe, normalised(network.recipe, pixels(network.recipe, picture)))
        device = Device(network.recipe, (), {}, codes_of([x]), None)
        seen = []
        for row in (input_faults.NOTHING, fault):
            target = input_faults.device_with(device, row)
            sent = input_faults.send(network, device.input_codes, fault.kinds[-1], picture, row)
            if sent.refused:
                wanted = seen[0].size * (4 if fault.kinds[-1] == "float" else 1)
                assert sent.sent.nbytes != wanted
                break
            seen.append(target.accept(fault.kinds[-1], sent.read))
        assert len(seen) == 1 or not np.array_equal(*seen), network.name


def test_codes_decode_to_within_half_a_step():
    values = np.linspace(-1.5, 4.0, 1001)
    codes = codes_of([values])
    assert np.abs(codes.decode(codes.encode(values)) - values).max() <= 0.5001 * codes.scale
    assert codes.decode(np.array([codes.zero_point]))[0] == 0


@pytest.mark.parametrize("fault", output_faults.FAULTS, ids=lambda row: row.name)
def test_an_output_mistake_changes_what_is_captured(fault):
    for network in NETWORKS:
        made = given(network)
        if not fault.applies(made):
            continue
        captured, right = fault.apply(made), made.values
        assert any(
            captured[name].shape != right[name].shape
            or not np.array_equal(captured[name], right[name])
            for name in right
        )


def test_what_changes_nothing_has_effect_0_and_error_ratio_1():
    right, healthy = [{"y": np.zeros(4)}], [{"y": np.full(4, 0.5)}]
    assert effect(right, healthy, healthy) == 0
    assert error_ratio(right, healthy, healthy) == 1
    assert effect(right, healthy, [{"y": np.full(4, 1.0)}]) == 1
    assert error_ratio(right, healthy, [{"y": np.full(4, 1.0)}]) == 4
    assert effect(right, healthy, [{"y": np.zeros(5)}]) == INFINITE


# --- scoring -------------------------------------------------------------------------------------


def case(tmp_path: Path, planted: list[str], size: float, give: str = "outputs") -> Path:
    folder = tmp_path / "network" / "cases" / "case"
    folder.mkdir(parents=True)
    truth = {"causes": planted, "effect": size, "error_ratio": 1 + size, "give": give}
    truth["planted"] = ["healthy", "healthy", "healthy", ""]
    (folder / "truth.json").write_text(json.dumps(truth))
    return tmp_path


def said(*best: tuple[str, ...], code: int = 1) -> Result:
    rows = tuple(Explained(row, 0.9) for row in best)
    return Result("network/case", code, "verdict", rows, (), 0.5)


LAYOUT, SIGN, ORDER = "input.layout", "input.sign", "output.order"


@pytest.mark.parametrize(
    ("planted", "best", "right", "some"),
    [
        ([LAYOUT], [(LAYOUT,)], True, True),
        ([LAYOUT], [(SIGN,)], False, False),
        ([LAYOUT], [(SIGN,), (ORDER,), (LAYOUT,)], True, True),
        ([LAYOUT], [(SIGN,), (ORDER,), ("input.crop",), (LAYOUT,)], False, False),
        ([LAYOUT], [(LAYOUT, ORDER)], False, True),
        ([LAYOUT, ORDER], [(ORDER, LAYOUT)], True, True),
        ([LAYOUT, ORDER], [(LAYOUT,)], False, True),
        (["input.noncontiguous"], [(LAYOUT,)], True, True),
        ([LAYOUT], [("quant.expected",)], False, False),
    ],
)
def test_a_planted_cause_is_found_when_it_is_first_or_one_of_three(
    tmp_path, planted, best, right, some
):
    row = scored(said(*best), case(tmp_path, planted, 50.0))
    assert (row.right, row.some) == (right, some)


def test_with_the_array_that_was_sent_memory_order_and_layout_are_two_things(tmp_path):
    folder = case(tmp_path, ["input.noncontiguous"], 50.0, give="sent")
    assert not scored(said((LAYOUT,)), folder).right


def test_only_dividing_by_255_is_double_normalisation_and_other_constants_at_once():
    pair = ("input.double_normalization", "input.wrong_mean_std")
    assert pair in aliases("divided", True)
    assert pair not in aliases("twice", False)


def test_below_the_noise_nothing_wrong_is_a_right_answer(tmp_path):
    row = scored(said(("quant.expected",), code=0), case(tmp_path, [LAYOUT], 0.4))
    assert (row.group, row.right, row.exact) == ("small", True, False)


@pytest.mark.parametrize(
    ("result", "alarm"),
    [
        (said(("none",), code=0), False),
        (said(("quant.expected",), code=0), False),
        (said((LAYOUT,)), True),
        (said(("none",), (LAYOUT,)), True),
        (said(code=70), True),
    ],
)
def test_a_healthy_pair_may_only_be_called_healthy(tmp_path, result, alarm):
    assert scored(result, case(tmp_path, ["none"], 0.0)).alarm == alarm


def test_precision_shares_a_tie_among_its_explanations(tmp_path):
    row = scored(said((LAYOUT,), (SIGN,)), case(tmp_path, [SIGN], 50.0))
    found = {one.cause: one for one in by_cause([replace(row, right=False)])}
    assert (found[SIGN].planted, found[SIGN].found) == (1, 1)
    assert (found[SIGN].named, found[SIGN].named_right) == (0.5, 0.5)
    assert (found[LAYOUT].named, found[LAYOUT].named_right) == (0.5, 0.0)


def test_the_summary_counts_each_case_once(tmp_path):
    row = scored(said((SIGN,)), case(tmp_path, [SIGN], 50.0))
    figures = dict(summary([row, replace(row, right=False)]))
    assert figures["planted, first or tied for first"] == "1 of 2 (50.0 %)"
    assert isinstance(row, Scored)
