"""The HTML report: what it says first, that it fetches nothing, and that no name becomes markup."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from bittrue.contract.finding import Finding
from bittrue.diagnosis.facts import Diagnosis, Effect, Explanation, Mistake, NotTried, Trial
from bittrue.parity.attribute import attribute
from bittrue.parity.bounds import Bound
from bittrue.parity.ladder import Unmeasured, climb, no_capture
from bittrue.parity.samples import Sample, survey
from bittrue.report.page import json_in_html, page_html
from bittrue.report.page_cards import WHOLE, layer_rows, page_data
from bittrue.report.page_facts import PageFacts, compared_stages, page_facts, worst_ladder
from bittrue.report.page_layers import Histogram, Layer, drawn_layers
from bittrue.report.page_pictures import Picture, PictureRow
from bittrue.report.page_samples import samples_of
from bittrue.report.page_view import not_tried, verdict_of
from bittrue.report.page_words import LEVEL_WORDS, decibels, level, short, tail
from bittrue.stages import Subject
from tests.unit.networks import pixels, subject

MOST_BYTES = 2_000_000
HOSTILE = (
    "<script>hacked=1</script>",
    '"><img src=x onerror=hacked=1>',
    "</script><script>hacked=1</script>",
    "' onmouseover='hacked=1",
    "{{ 7 * 7 }}{% raw %}",
    "]]>--><!--",
    "\x1b[31mred\u2028\ud800",
)
MEND = ("x = np.rint(x).astype(np.uint8)  # <= 255 & >= 0",)


@functools.cache
def plain() -> PageFacts:
    """The tiny network at all stages, without a device."""
    given = {"images": pixels(9)}
    ladder = climb(subject(), given)
    return page_facts(
        subject(), given, None, ladder, attribute(subject(), [given]), files={"input": "x.png"}
    )


def explained(*causes: str, best: bool = True, confidence: float = 0.9) -> Explanation:
    mistakes = tuple(
        Mistake(cause, f"the variant of {cause}", "input 'images'", MEND) for cause in causes
    )
    effect = Effect("logits", 3.25, 41.5, 0.875, 0.0125)
    return Explanation(mistakes, confidence, ("residual 40 times the noise",), (effect,), best)


def diagnosed(*explanations: Explanation) -> PageFacts:
    """The same with a diagnosis."""
    found = Diagnosis(
        "The channels were swapped.",
        explanations,
        (Finding("input.dtype", "error", "images", "8 times as many bytes", MEND[0], 1, 8),),
        (Trial("swap the channels", ("input.channel_order",), 1.02, 39.5),),
        (NotTried("runtime.stale", "needs several frames"),),
        residual=40.0,
        noise="the quantised stage",
        given={"model": "tiny.bta"},
        seconds={"contract": 0.1},
    )
    return replace(plain(), diagnosis=found)


class Parsed(HTMLParser):
    """Every tag with its attributes' names, the ids, the scripts' texts, and the visible text."""

    VOID = ("meta", "img", "input", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.text += data


def test_the_page_fetches_nothing() -> None:
    rows = (PictureRow("out", "", (Picture("source", b"\x89PNG", 4, 4),)),)
    page = page_html(replace(diagnosed(explained("input.channel_order")), pictures=rows))
    page = re.sub(r'src="data:image/png;base64,[A-Za-z0-9+/=]+"', "", page)
    page, policies = re.subn(
        r'<meta http-equiv="Content-Security-Policy" content="[^"]*">', "", page
    )
    assert policies == 1
    for word in ("http", "//", "src=", "url(", "@import", "<link", "import(", "fetch("):
        assert word not in page, word


def test_a_picture_is_in_the_page_whole() -> None:
    png = bytes(range(256)) * 200
    rows = (PictureRow("out", "", (Picture("source", png, 4, 4),)),)
    page = page_html(replace(plain(), pictures=rows))
    (found,) = re.findall(r'src="data:image/png;base64,([^"]*)"', page)
    assert base64.b64decode(found) == png


def test_only_the_script_of_the_page_may_run() -> None:
    page = page_html(plain())
    _, script = Parsed(page).scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert f"script-src 'sha256-{digest}';" in policy
    assert "default-src 'none';" in policy
    assert not re.search(r"\son[a-z]+=", page)


def test_the_tags_are_balanced_the_ids_unique_and_the_links_lead_somewhere() -> None:
    found = Parsed(page_html(diagnosed(explained("input.channel_order"))))
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert {link[1:] for link in found.links if link.startswith("#")} <= set(found.ids)
    assert all(link.startswith("#") for link in found.links)
    tags = [tag for tag, _ in found.tags]
    assert (tags.count("main"), tags.count("h1"), tags.count("header") >= 1) == (1, 1, True)


def renamed(facts: PageFacts, name: str) -> PageFacts:
    """Every text that a file of somebody else's can choose, replaced."""
    layers = tuple(
        replace(
            row,
            problem=name,
            error=row.error and replace(row.error, inherited_from=name),
            drawn=replace(
                row.drawn, name=name, op=name, tensor=name, origin=(name,), sources=(name,)
            ),
        )
        for row in facts.layers
    )
    edges = tuple(
        replace(edge, outputs=tuple(replace(row, name=name) for row in edge.outputs * 2))
        for edge in facts.ladder.edges
    )
    found = explained("input.layout")
    mistake = replace(found.mistakes[0], what=name, where=name, mend=(name,))
    found = replace(
        found,
        mistakes=(mistake,),
        evidence=(name,),
        effects=(replace(found.effects[0], output=name),),
    )
    told = diagnosed(found).diagnosis
    assert told is not None
    told = replace(
        told,
        verdict=name,
        first_layer=name,
        noise=name,
        trials=(Trial(name, ("none",), 1.0, 1.0),),
        not_tried=(NotTried("none", name),),
        findings=(replace(told.findings[0], input=name, message=name, mend=name),),
    )
    gaps = (Unmeasured("native", "fp_optimized", name, name),)
    return replace(
        facts,
        name=name,
        model=name,
        layers=layers,
        ladder=replace(facts.ladder, edges=edges, unmeasured=gaps),
        diagnosis=told,
        pictures=(PictureRow(name, name, (Picture(name, b"png", 4, 4),)),),
        given={name: name},
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_becomes_markup(name: str) -> None:
    harmless, hostile = (Parsed(page_html(renamed(plain(), n))) for n in ("harmless", name))
    assert hostile.tags == harmless.tags
    assert hostile.scripts[1] == harmless.scripts[1]
    shown = json.loads(hostile.scripts[0])["layers"][1]["n"]
    assert shown == " ".join(name.replace("\x1b", "�").replace("\ud800", "�").split())
    assert "\x1b" not in hostile.text


def test_json_inside_html_holds_no_angle_bracket_and_reads_back() -> None:
    data = {"a": list(HOSTILE[:-1])}
    text = json_in_html(data)
    assert not set("<>&") & set(text)
    assert json.loads(text) == data


# --- the verdict ---------------------------------------------------------------------------------


def test_stages_within_their_budgets_are_said_to_be() -> None:
    found = verdict_of(plain())
    assert (found.tone, found.title) == ("good", "All within budget")


def test_the_first_stage_over_its_budget_is_the_verdict() -> None:
    ladder = plain().ladder
    edges = list(ladder.edges)
    rows = tuple(replace(row, within=False) for row in edges[2].outputs)
    edges[2] = replace(edges[2], outputs=rows, bound=Bound(sqnr_db=90.0))
    found = verdict_of(replace(plain(), ladder=replace(ladder, edges=tuple(edges))))
    assert found.tone == "bad"
    assert found.sentence.startswith(
        "quantized is the first stage over its budget. Against fp_optimized: SQNR "
    )
    assert found.sentence.endswith(". The budget: SQNR at least 90 dB.")


def test_a_ladder_with_a_gap_is_never_called_good() -> None:
    gap = Unmeasured("native", "fp_optimized", "not reached", "run bittrue optimize")
    found = verdict_of(replace(plain(), ladder=replace(plain().ladder, unmeasured=(gap,))))
    assert (found.tone, found.title) == ("warn", "Not all measured")
    assert "run bittrue optimize" in found.detail


def test_a_missing_capture_alone_is_named_in_the_ladder_and_changes_no_verdict() -> None:
    ladder = replace(plain().ladder, unmeasured=(no_capture(subject()),))
    facts = replace(plain(), ladder=ladder)
    assert verdict_of(facts).tone == "good"
    text = Parsed(page_html(facts)).text
    assert "no capture was given" in text
    assert "not measured" in text


def test_the_diagnosis_comes_before_the_ladder() -> None:
    facts = diagnosed(explained("input.channel_order"))
    assert (verdict_of(facts).tone, verdict_of(facts).title) == ("bad", "Cause found")
    text = Parsed(page_html(facts)).text
    words = [
        "The channels were swapped.",
        "input.channel_order",
        "proved by experiment",
        "The variant of",
        "41.5 dB",
        "runtime.stale",
        "needs several frames",
        "each stage against",
    ]
    places = [text.index(word) for word in words]
    assert places == sorted(places)
    assert text.index("90%") < text.index("residual 40 times the noise")


def test_a_healthy_pair_is_good() -> None:
    assert verdict_of(diagnosed(explained("quant.expected"))).tone == "good"


def test_a_healthy_device_does_not_hide_a_stage_over_its_budget() -> None:
    ladder = plain().ladder
    rows = tuple(replace(row, within=False) for row in ladder.edges[0].outputs)
    edges = (replace(ladder.edges[0], outputs=rows), *ladder.edges[1:])
    facts = diagnosed(explained("quant.expected"))
    found = verdict_of(replace(facts, ladder=replace(ladder, edges=edges)))
    assert (found.tone, found.title) == ("bad", "Over budget")
    assert found.sentence.startswith("native is the first stage over its budget")


def test_a_mend_that_does_not_help_is_not_shown_as_good() -> None:
    row = explained("input.layout")
    worse = replace(row, effects=(Effect("logits", 30.0, 3.0, 0.1, 0.9),))
    assert page_html(diagnosed(row)).count('class="num good"') == 2
    assert page_html(diagnosed(worse)).count('class="num good"') == 0


def test_a_tie_is_shown_as_a_tie_and_the_runner_up_apart() -> None:
    facts = diagnosed(
        explained("input.layout"), explained("output.order"), explained("input.crop", best=False)
    )
    text = Parsed(page_html(facts)).text
    assert "These 2 explain what was given equally well" in text
    assert (
        text.index("input.layout") < text.index("output.order") < text.index("1 that explains less")
    )
    assert text.index("1 that explains less") < text.index("input.crop")
    assert verdict_of(facts).title == "A tie of causes"


# --- the layers ----------------------------------------------------------------------------------


def test_each_layer_of_the_network_was_compared() -> None:
    facts = plain()
    assert (facts.reference, facts.other) == ("fp_optimized", "compiled")
    made = [row for row in facts.layers if row.drawn.op != "input"]
    assert len(made) == len(drawn_layers(subject(), "fp_optimized")) - 1
    assert all(row.path is not None for row in made)
    table = attribute(subject(), [{"images": pixels(9)}])
    assert [row.error for row in made if row.error is not None] == list(table.rows)
    assert [facts.layers[at].drawn.tensor for at in facts.outputs] == ["logits"]


def test_a_layer_s_figures_are_those_of_its_two_tensors() -> None:
    facts = plain()
    row = facts.layers[facts.outputs[0]]
    mine, theirs = (r.outputs["logits"] for r in (facts.ladder.rungs[2], facts.ladder.rungs[-1]))
    assert row.path is not None
    assert row.path.max_abs == float(np.abs(mine.astype(float) - theirs.astype(float)).max())
    assert row.histogram is not None
    assert (sum(row.histogram.reference), sum(row.histogram.other)) == (mine.size, theirs.size)
    assert row.histogram.low == min(mine.min(), theirs.min())
    assert row.reference is not None
    assert row.reference.mean == pytest.approx(float(mine.mean(dtype=float)))


def test_an_executable_alone_is_drawn_as_its_instructions() -> None:
    alone = Subject("tiny.bte", None, subject().executable)
    assert compared_stages(alone) == ("bit_true", "compiled")
    given = {"images": pixels(9)}
    facts = page_facts(alone, given, None, climb(alone, given), None)
    assert [row.path_db for row in facts.layers if row.path is not None] == [math.inf] * (
        len(alone.program().instructions)
    )
    assert verdict_of(facts).tone == "warn"
    assert "was not measured" in page_html(facts)


def test_a_network_without_codes_has_no_own_errors_and_says_so() -> None:
    given = {"images": pixels(9)}
    floats = subject("fp_optimized")
    facts = page_facts(floats, given, None, climb(floats, given), None)
    assert (facts.reference, facts.other) == ("native", "fp_optimized")
    assert 'value="own" disabled' in page_html(facts)


def many(count: int, name: str) -> PageFacts:
    """The last layer so many times, each with full histograms and a name of its own."""
    row = plain().layers[-1]
    counts = tuple(range(1, 4001, 100))
    full = replace(row, histogram=Histogram(-123.4, 567.8, counts, counts[::-1]))
    layers = tuple(
        replace(
            full,
            path=full.path and replace(full.path, sqnr_db=float(at)),
            drawn=replace(
                row.drawn, name=f"{name}{at}", reads=(at - 1, max(0, at - 9)) if at else ()
            ),
        )
        for at in range(count)
    )
    picture = Picture("source", bytes(80_000), 360, 360)
    rows = (PictureRow("out", "", (picture,) * 4),)
    return replace(plain(), layers=layers, outputs=(count - 1,), pictures=rows, samples=0)


@pytest.mark.parametrize(("count", "name"), [(1200, "/model.1/block.7/Conv_"), (600, "n" * 65_000)])
def test_a_report_is_below_two_megabytes(count: int, name: str) -> None:
    page = page_html(many(count, name))
    assert len(page.encode()) < MOST_BYTES


def test_of_many_layers_those_of_most_error_have_whole_cards_and_all_are_drawn() -> None:
    page = page_html(many(WHOLE + 50, "layer"))
    data = json.loads(Parsed(page).scripts[0])
    assert ["h" in row for row in data["layers"]] == [True] * WHOLE + [False] * 50
    assert set(data["left_out"]) | set(data["layers"][-1]) == set(data["layers"][0])
    assert page.count('class="n p') == WHOLE + 50
    lines = re.findall(r'<tr data-i="(\d+)"><td class="num soft">(\d+)</td>', page)
    assert lines == [(str(at), str(at)) for at in range(WHOLE)]


def test_the_page_s_data_hold_each_layer_once_with_what_it_reads() -> None:
    data = page_data(plain())
    layers = data["layers"]
    assert isinstance(layers, list)
    assert [row["n"] for row in layers] == [row.name for row in layer_rows(plain())]
    assert all(source < at for at, row in enumerate(layers) for source in row["r"])
    shares = [sum(row["e"]) for row in layers if row["e"]]
    assert shares == pytest.approx([100.0] * len(shares), abs=0.5)


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text", "step"),
    [
        (math.inf, "equal", "0"),
        (40.0, "40.0 dB", "1"),
        (39.99, "40.0 dB", "2"),
        (10.0, "10.0 dB", "4"),
        (-3.0, "−3.0 dB", "5"),
        (-math.inf, "−∞ dB", "5"),
        (None, "–", "n"),
        (math.nan, "–", "n"),
    ],
)
def test_a_ratio_has_words_and_a_colour(value: float | None, text: str, step: str) -> None:
    assert (decibels(value), level(value)) == (text, step)
    assert len(LEVEL_WORDS) == 6


@pytest.mark.parametrize("most", [1, 2, 7, 8, 9])
def test_names_are_cut_to_the_length_asked_for(most: int) -> None:
    assert len(short("0123456789", most)) == most == len(tail("0123456789", most))
    assert tail("0123456789", 4) == "…789"
    assert short("0123", 4) == "0123" == tail("0123", 4)


def test_a_layer_without_figures_says_why() -> None:
    bare = Layer(plain().layers[-1].drawn, problem="stage compiled has no such tensor")
    facts = replace(plain(), layers=(*plain().layers[:-1], bare))
    text = Parsed(page_html(facts)).scripts[0]
    assert "stage compiled has no such tensor" in text


def test_an_edge_within_the_figure_but_over_for_another_reason_says_so() -> None:
    ladder = plain().ladder
    edges = list(ladder.edges)
    told = "its error is 9.69 times what quantisation predicts"
    rows = tuple(replace(row, within=False, problem=told) for row in edges[-1].outputs)
    edges[-1] = replace(edges[-1], outputs=rows)
    found = verdict_of(replace(plain(), ladder=replace(ladder, edges=tuple(edges))))
    assert found.sentence.count(told) == 1


def test_what_was_not_tried_stands_once_for_each_reason() -> None:
    told = diagnosed(explained("none")).diagnosis
    assert told is not None
    rows = [NotTried(cause, "no budget") for cause in ("input.sign", "input.crop")]
    found = not_tried(replace(told, not_tried=(*rows, NotTried("none", "why"))))
    assert found == [("no budget", ("input.sign", "input.crop")), ("why", ("none",))]


def test_with_several_inputs_the_worst_of_them_decides() -> None:
    given = {name: {"images": pixels(seed)} for name, seed in (("a", 9), ("b", 3), ("c", 4))}
    found = survey(subject(), [Sample(name, arrays) for name, arrays in given.items()])
    edges = list(found.ladders[1].edges)
    rows = tuple(replace(row, within=False) for row in edges[2].outputs)
    edges[2] = replace(edges[2], outputs=rows)
    bad = replace(found.ladders[1], edges=tuple(edges))
    found = replace(found, ladders=(found.ladders[0], bad, found.ladders[2]))
    assert worst_ladder(found).first_broken is edges[2]
    facts = page_facts(subject(), given["a"], None, worst_ladder(found), None, survey=found)
    assert verdict_of(facts).tone == "bad"
    text = Parsed(page_html(facts)).text
    assert "on the worst of 3 inputs" in text
    means = samples_of(found)
    assert means is not None
    last = means.means[-1]
    mine = [row for row in found.figures if row.stage == "compiled"]
    assert last.stage == "compiled"
    assert last.mean == f"{np.mean([row.sqnr_db for row in mine]):.1f} dB"
    assert last.least.startswith(f"{min(mine, key=lambda row: row.sqnr_db).sample}, ")
