"""What became of each layer: all of them, in order, with memory that agrees with the plan."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from bittrue.compiler.plan import lifetimes
from bittrue.passes.history import FATES
from bittrue.report.changes import Changes, Layer, changes_json, changes_of, changes_text
from bittrue.report.changes_svg import COLOURS, changes_svg
from tests.golden import check_golden
from tests.unit.networks import subject, tiny

HISTORY = tiny().history
assert HISTORY is not None
FOUND = changes_of(subject().program(), HISTORY)


def test_every_source_layer_is_accounted_for_in_running_order() -> None:
    assert [layer.source for layer in FOUND.layers] == [n.name for n in tiny().native.nodes]


def test_every_instruction_belongs_to_some_layer_or_says_what_it_is() -> None:
    claimed = {at for layer in FOUND.layers for at in layer.instructions}
    unclaimed = set(range(FOUND.instructions)) - claimed
    assert all(subject().program().instructions[at].kind == "COPY" for at in unclaimed)


def test_the_answer_to_the_question() -> None:
    fates = {layer.source: layer.fate for layer in FOUND.layers}
    assert fates["relu"] == "fused"
    assert FOUND.changed
    assert sum(FOUND.counts().values()) == len(FOUND.layers)
    assert "yes, the structure changes" in changes_text(FOUND)


@pytest.mark.parametrize(("instructions", "changed"), [((0,), False), ((0, 1), True), ((), True)])
def test_a_layer_that_runs_as_other_than_one_instruction_is_a_change(
    instructions: tuple[int, ...], changed: bool
) -> None:
    layer = Layer("a", "Conv", "kept", (), (), ("a",), instructions, (), ())
    assert Changes("net", (layer,), len(instructions), 64, 64).changed is changed


def test_homes_lie_in_the_arena_and_name_those_that_share_their_bytes() -> None:
    homes = {home.tensor: home for layer in FOUND.layers for home in layer.homes}
    for home in homes.values():
        assert 0 <= home.offset <= FOUND.arena_bytes - home.nbytes
        for other in (homes[name] for name in home.shares_with if name in homes):
            assert home.offset < other.offset + other.nbytes
            assert other.offset < home.offset + home.nbytes
            assert home.last < other.first or other.last < home.first or home.offset == other.offset


def test_lives_are_those_of_the_plan() -> None:
    program = subject().program()
    lives = {program.buffers[row.buffer].offset: row for row in lifetimes(program)}
    for home in (home for layer in FOUND.layers for home in layer.homes):
        assert home.offset in lives


def test_the_json_is_plain() -> None:
    assert json.loads(json.dumps(changes_json(FOUND)))["layers"][0]["source"] == "first"


def test_the_picture_is_xml_with_a_bar_a_buffer_and_a_dot_a_layer() -> None:
    program = subject().program()
    root = ElementTree.fromstring(changes_svg(FOUND, program))
    space = "{http://www.w3.org/2000/svg}"
    arena = [row for row in program.buffers if not row.constant]
    assert len(root.findall(f"{space}rect")) == 1 + len(arena)
    assert len(root.findall(f"{space}circle")) == len(FOUND.layers) + len(FOUND.counts())
    for rect in root.findall(f"{space}rect")[1:]:
        assert float(rect.get("x", "0")) + float(rect.get("width", "0")) <= 1241


def test_every_fate_has_a_colour() -> None:
    assert set(FATES) <= set(COLOURS)


def test_the_table_is_the_one_people_read() -> None:
    check_golden("changes/tiny.txt", changes_text(FOUND))
