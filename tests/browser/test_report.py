"""The HTML report in a real Chromium: what a person sees, types and clicks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bittrue.report.page import page_html
from bittrue.report.page_cards import WHOLE
from bittrue.report.page_facts import PageFacts
from bittrue.report.page_pictures import output_rows
from tests.browser.webdriver import Browser, browser, missing
from tests.unit.test_page import HOSTILE, diagnosed, explained, many, plain, renamed

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "all there")

SELECTED = "return Number(document.querySelector('.n.sel')?.dataset.i ?? -1)"
#: WCAG 2.2 AA for text; the least ratio of every text that is shown, with the text.
CONTRAST = """
const parse = (text) => {
  const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = text; context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data];
};
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const box = at.matches('g.n') && at.querySelector('rect');
    if (box) return parse(getComputedStyle(box).fill);
    const color = parse(getComputedStyle(at).backgroundColor);
    if (color[3] > 200) return color;
  }
  return [255, 255, 255, 255];
};
let least = [99, ''];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, words = walker.currentNode.data.trim();
  if (!words || element.closest('script, style, title')) continue;
  if (!element.checkVisibility()) continue;
  if (element.closest('label')?.querySelector(':disabled')) continue;
  const style = getComputedStyle(element);
  const ink = parse(element.namespaceURI.endsWith('svg') ? style.fill : style.color);
  const [one, two] = [light(ink), light(ground(element))].sort((a, b) => b - a);
  const ratio = (one + 0.05) / (two + 0.05);
  if (ratio < least[0]) least = [ratio, words];
}
return least;
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as session:
        yield session


def facts() -> PageFacts:
    """A device's capture, a tie, pictures, and the tiny network's layers."""
    mine = np.linspace(0, 1, 4096, dtype=np.float32).reshape(1, 1, 64, 64)
    rows = output_rows(("source", {"map": mine}), ("capture", {"map": mine[:, :, ::-1]}))
    return replace(diagnosed(explained("input.layout"), explained("output.order")), pictures=rows)


@pytest.fixture
def page(chromium: Browser, tmp_path: Path) -> Browser:
    """The report, freshly opened in a window of 1280 by 900."""
    file = tmp_path / "report.html"
    file.write_text(page_html(facts()), encoding="utf-8")
    chromium.resize(1280, 900)
    chromium.open(file)
    return chromium


def test_nothing_is_fetched_and_the_console_stays_empty(page: Browser) -> None:
    fetched = page.run("return performance.getEntriesByType('resource').map((row) => row.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []
    assert page.complaints() == []
    assert page.run("return [...document.images].every((one) => one.naturalWidth > 0)")


def test_the_layer_with_the_greatest_own_error_is_chosen_at_first(page: Browser) -> None:
    own = [row.own_db for row in plain().layers]
    worst = min((value, at) for at, value in enumerate(own) if value is not None)[1]
    assert page.run(SELECTED) == worst
    assert page.run("return document.querySelector('#card h3').textContent") == (
        plain().layers[worst].drawn.name
    )
    assert page.run("return document.querySelectorAll('#card .hist path').length") == 2


def test_j_and_k_go_from_layer_to_layer_and_escape_ends(page: Browser) -> None:
    start = page.run(SELECTED)
    page.press("j")
    after = page.run(SELECTED)
    count = len(plain().layers)
    assert after == (start + 1) % count
    page.press("k", "k")
    assert page.run(SELECTED) == (start - 1) % count
    page.press("Escape")
    assert page.run(SELECTED) == -1
    page.press("w")
    assert page.run(SELECTED) == start


def test_a_slash_begins_a_search_that_graph_and_table_follow(page: Browser) -> None:
    page.press("/")
    assert page.run("return document.activeElement.id") == "search"
    page.press(*"dense")
    shown = page.run("return document.querySelectorAll('#table tbody tr:not([hidden])').length")
    faint = page.run("return document.querySelectorAll('.n.off').length")
    assert 1 <= shown < len(plain().layers)
    assert faint == len(plain().layers) - shown
    assert page.run("return document.querySelector('#hits').textContent") == (
        f"{shown} of {len(plain().layers)}"
    )
    page.press("Enter")
    assert page.run("return document.querySelector('#card h3').textContent") == "dense"
    page.press("Escape")
    assert page.run("return document.querySelectorAll('.n.off').length") == 0
    assert page.run("return document.activeElement === document.body")


def test_keys_typed_into_the_search_do_nothing_else(page: Browser) -> None:
    start = page.run(SELECTED)
    page.press("/", "j", "k", "t", "p")
    assert page.run("return document.querySelector('#search').value") == "jktp"
    assert page.run(SELECTED) == start
    assert page.run("return document.documentElement.dataset.theme ?? ''") == ""
    page.press("Escape")


def test_a_click_on_a_box_of_the_graph_shows_its_card(page: Browser) -> None:
    for at in (1, len(plain().layers) - 1):
        page.run(
            f"document.querySelector('.n[data-i=\"{at}\"]')"
            ".scrollIntoView({block: 'center', behavior: 'instant'})"
        )
        page.click(f'.n[data-i="{at}"] rect')
        assert page.run(SELECTED) == at
        name = page.run("return document.querySelector('#card h3').textContent")
        assert name == plain().layers[at].drawn.name


def test_a_link_of_the_table_and_a_neighbour_of_the_card_lead_to_a_layer(page: Browser) -> None:
    last = len(plain().layers) - 1
    page.run(f"document.querySelector('#table [data-go=\"{last}\"]').click()")
    assert page.run(SELECTED) == last
    page.run("document.querySelector('#card .near button').click()")
    assert page.run(SELECTED) == plain().layers[last].drawn.reads[0]


def test_colours_follow_the_kind_of_error(page: Browser) -> None:
    colours = (
        "return [...document.querySelectorAll('.n rect')].map((one) => getComputedStyle(one).fill)"
    )
    own = page.run(colours)
    page.press("p")
    assert page.run("return document.querySelector('#layers').dataset.by") == "path"
    assert page.run(colours) != own
    page.press("o")
    assert page.run(colours) == own


def test_the_graph_zooms_and_fits(page: Browser) -> None:
    width = "return Number(document.querySelector('#graph').getAttribute('width'))"
    before = page.run(width)
    page.press("+")
    assert page.run(width) == pytest.approx(before * 1.3)
    page.press("0")
    box = page.run(
        "const c = document.querySelector('#canvas'); return [c.clientWidth, c.clientHeight]"
    )
    size = page.run(
        "const g = document.querySelector('#graph').getBoundingClientRect();"
        "return [g.width, g.height]"
    )
    assert size[0] <= box[0]
    assert size[1] <= box[1]


def test_the_table_sorts_by_error(page: Browser) -> None:
    cells = (
        "return [...document.querySelectorAll('#table tbody tr')].map((r) => r.cells[4].dataset.v)"
    )
    page.run("document.querySelector('[data-sort=\"4\"]').click()")
    found = [float(text) for text in page.run(cells) if text]
    assert found == sorted(found)
    assert page.run("return document.querySelector('th[aria-sort]').ariaSort") == "ascending"


def test_dark_and_light_follow_the_system_until_t_is_pressed(page: Browser) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = page.run(ground)
    media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.devtools("Emulation.setEmulatedMedia", media)
    dark = page.run(ground)
    assert dark != light
    page.press("t")
    assert page.run(ground) == light
    page.press("t")
    assert page.run(ground) == dark
    page.run("localStorage.clear()")
    page.devtools("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_can_be_read(page: Browser, theme: str) -> None:
    page.run(f"document.documentElement.dataset.theme = '{theme}'")
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for by in "po":
        page.press(by)
        ratio, words = page.run(CONTRAST)
        assert ratio >= 4.5, words


@pytest.mark.parametrize("width", [400, 768, 1280])
def test_the_page_never_scrolls_sideways(page: Browser, width: int) -> None:
    page.resize(width, 900)
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.run("return document.documentElement.scrollWidth") <= width


def test_the_first_tab_stop_skips_to_the_verdict(page: Browser) -> None:
    page.press("Tab")
    assert page.run("return document.activeElement.className") == "skip"
    page.press("Enter")
    assert page.run("return document.activeElement.id") == "main"


def test_the_keys_are_told_in_a_dialog(page: Browser) -> None:
    page.press("?")
    assert page.run("return document.querySelector('#keys').open")
    page.press("Escape")
    assert not page.run("return document.querySelector('#keys').open")


def test_every_control_has_a_name_and_the_landmarks_are_there(page: Browser) -> None:
    tree = page.devtools("Accessibility.getFullAXTree", {})["nodes"]
    rows = [
        (row["role"]["value"], row.get("name", {}).get("value", ""))
        for row in tree
        if not row["ignored"] and "role" in row
    ]
    controls = ("button", "link", "searchbox", "radio", "image", "dialog")
    assert [row for row in rows if row[0] in controls and not row[1]] == []
    roles = [role for role, _ in rows]
    assert {"banner", "navigation", "main", "contentinfo", "complementary"} <= set(roles)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_runs(chromium: Browser, tmp_path: Path, name: str) -> None:
    file = tmp_path / "hostile.html"
    text = page_html(renamed(plain(), name))
    # The policy alone would stop it: here the escaping stands by itself.
    text = text.replace("Content-Security-Policy", "x")
    file.write_text(text, encoding="utf-8")
    chromium.open(file)
    chromium.press("j", "j")
    assert chromium.run("return typeof hacked") == "undefined"
    assert chromium.run("return document.querySelectorAll('img').length") == 1
    assert chromium.run(SELECTED) >= 0


def test_what_is_printed_is_light_and_holds_the_worst_layers(page: Browser) -> None:
    page.devtools("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        shown = "return document.querySelector('{}').checkVisibility()"
        assert page.run(shown.format("#sheets .sheet .hist"))
        assert page.run(shown.format("#table"))
        assert not page.run(shown.format("#canvas"))
        assert page.run("return getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )
    finally:
        page.devtools("Emulation.setEmulatedMedia", {"media": ""})


def test_a_layer_without_a_whole_card_says_what_is_left_out(
    chromium: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "many.html"
    file.write_text(page_html(many(WHOLE + 3, "layer")), encoding="utf-8")
    chromium.open(file)
    chromium.press("/", *f"layer{WHOLE + 1}", "Enter")
    said = chromium.run("return document.querySelector('#card').textContent")
    assert "left out" in said
    chromium.press("Escape", "j", "Escape")
    assert chromium.complaints() == []


def test_the_line_between_before_and_after_moves(page: Browser) -> None:
    clip = "return document.querySelectorAll('.swipe img')[1].style.clipPath"
    assert page.run(clip) == "inset(0px 50% 0px 0px)"
    page.run("document.querySelector('.swipe input').focus()")
    page.press("ArrowRight")
    assert page.run(clip) == "inset(0px 49% 0px 0px)"
    sizes = "return [...document.querySelectorAll('.swipe img')].map((one) => one.clientWidth)"
    below, above = page.run(sizes)
    assert below == above > 0


def test_a_screenshot_shows_something(page: Browser) -> None:
    seen = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    colours, counts = np.unique(seen.reshape(-1, 3), axis=0, return_counts=True)
    assert seen.shape == (900, 1280, 3)
    assert len(colours) > 50
    assert counts.max() < 0.95 * counts.sum()
