"""How the page is laid out: everything fits where it is narrow, names may be long, and nothing jumps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser import settled, until

Open = Callable[..., Any]

SCREENS = {
    "explore": "",
    "many maps": "?layer=_blocks.10._swish&order=energy&page=3",
    "no maps": "?layer=_fc&nomaps=1",
    "unit": "?unit=1",
    "unit deep": "?layer=_blocks.10._project_conv&unit=17",
    "explain": "?view=explain&vis=grad-cam&run=1",
    "filters": "?view=explain&vis=filter-weights&run=1",
    "curve": "?view=explain&vis=integrated-gradients&s.steps=8&run=1",
    "matrix": "?view=explain&vis=grad-cam,saliency,layer-cam&top=2&run=1",
    "classes": "?view=explain&vis=grad-cam&top=5&share=1&run=1",
    "taken apart": "?view=explain&vis=convolution&s.layer=_conv_stem&s.unit=3&s.place=38,41&run=1",
    "compare": "?view=compare",
    "compare cams": "?view=compare&by=grad-cam",
    "model": "?view=model",
}
#: What is on the page but out of its sides, unless it is in a box of its own that scrolls.
OUTSIDE = """() => [...document.querySelectorAll('.top *, .side *, main *')].filter((one) => {
  const box = one.getBoundingClientRect();
  if (!box.width || !one.checkVisibility() || one.closest('.hush, .skip')) return false;
  if (box.right <= innerWidth + 1 && box.left >= -1) return false;
  for (let up = one.parentElement; up && up !== document.body; up = up.parentElement) {
    const inner = up.getBoundingClientRect();
    if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(up).overflowX)
      && inner.right <= innerWidth + 1) return false;
  }
  return true;
}).map((one) => one.outerHTML.slice(0, 160))"""
#: Words that their box cuts off, without saying so by dots.
CUT = """() => [...document.querySelectorAll('.top *, .side *, main *')].filter((one) => {
  const style = getComputedStyle(one);
  return one.checkVisibility() && !one.closest('.hush, .skip, svg') && style.overflowX === 'hidden'
    && style.textOverflow !== 'ellipsis'
    && one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0;
}).map((one) => one.outerHTML.slice(0, 160))"""
MOVED = """() => { window.moved = 0;
  new PerformanceObserver((list) =>
    { for (const e of list.getEntries()) if (!e.hadRecentInput) window.moved += e.value; })
    .observe({ type: 'layout-shift', buffered: true }); }"""


@pytest.mark.parametrize("width", [320, 390, 800, 1000, 1440])
@pytest.mark.parametrize("screen", SCREENS)
def test_everything_fits(visit: Open, screen: str, width: int) -> None:
    page = visit(SCREENS[screen], width=width, height=700)
    until(page, "document.querySelectorAll('#predictions button').length === 5")
    if screen == "no maps":
        page.wait_for_selector("#maps .hint")
    else:
        settled(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.scrollWidth") <= width, "nor is anything hidden beyond the edge"
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(CUT) == []


def test_the_table_of_layers_scrolls_in_its_box(visit: Open) -> None:
    page = visit("?view=model", width=320, height=700)
    settled(page)
    box = page.locator("#model .scroll")
    assert box.evaluate("e => e.scrollWidth > e.clientWidth && e.clientWidth <= 320")
    box.evaluate("e => { e.scrollLeft = e.scrollWidth; }")
    last = page.locator("#model th:last-child").first.bounding_box()
    assert last["x"] + last["width"] <= 320


LONG = "a_name_of_a_layer_or_of_a_class_that_goes_on_and_on_" * 3
#: Names as long as that wherever a model's or a person's own names stand.
NAMED = """(long) => { for (const one of document.querySelectorAll(`.top h1, #layers .name, #predictions .name,
  #photo-words .name,
  main h2, main h3 b, main .facts, main h4, main .no, figcaption, .field small, .field > span, main .field option,
    #model th a, #model dd`))
  if (!one.firstElementChild || one.matches('h2')) one.lastChild.textContent = long; }"""


@pytest.mark.parametrize("width", [320, 800, 1440])
@pytest.mark.parametrize(
    "screen", ["explore", "unit", "explain", "matrix", "compare", "compare cams", "model"]
)
def test_long_names_stay_inside(visit: Open, screen: str, width: int) -> None:
    page = visit(SCREENS[screen], width=width, height=700)
    settled(page)
    page.evaluate(NAMED, LONG)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize(
    "screen", ["explore", "many maps", "unit", "explain", "classes", "compare", "compare cams"]
)
def test_nothing_jumps_while_maps_arrive(visit: Open, screen: str, width: int) -> None:
    page = visit("?view=model", width=width)
    page.goto(page.url.partition("?")[0] + SCREENS[screen])
    page.evaluate(MOVED)
    settled(page)
    page.wait_for_timeout(200)
    assert page.evaluate("moved") < 0.05


#: A screen, what is pressed there, and what then stands there.
CHANGES = {
    "the next unit": ("?layer=_blocks.3._swish&unit=5", "ArrowRight", "#maps h4", "_blocks.3._swish[6]"),
    "the next layer": ("?layer=_blocks.3._bn0", "]", "#maps h2", "_blocks.3._swish"),
    "another class": ("?view=explain&vis=grad-cam", "2", "#explain .card h3 b", "tiger cat"),
    "the next picture": ("?view=compare&by=grad-cam", "ArrowRight", "#compare .card h3 b", "espresso"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_jumps_when_something_else_is_looked_at(visit: Open, name: str) -> None:
    query, key, where, words = CHANGES[name]
    page = visit(query)
    settled(page)
    page.wait_for_timeout(600)  # what moves within half a second of a key is forgiven: not so here
    page.evaluate(MOVED.replace("if (!e.hadRecentInput) ", "if (e.startTime > window.since) "))
    page.evaluate("window.since = performance.now(); window.moved = 0")
    page.keyboard.press(key)
    until(page, f"document.querySelector({where!r})?.textContent === {words!r}")
    settled(page)
    page.wait_for_timeout(200)
    assert page.evaluate("moved") < 0.05


@pytest.mark.parametrize("vis", ["grad-cam,saliency,layer-cam,xgrad-cam"])
def test_maps_of_a_row_stand_on_one_line(visit: Open, vis: str) -> None:
    page = visit(f"?view=explain&vis={vis}&top=2&run=1")
    until(page, "document.querySelectorAll('.matrix .card .map').length >= 8")
    settled(page)
    tops = page.locator(".matrix .f-over .stage").evaluate_all(
        "all => all.map((e) => Math.round(e.getBoundingClientRect().top))"
    )
    assert len(tops) == 8 and len(set(tops)) == 2
    page = visit("?view=compare&by=grad-cam")
    settled(page)
    tops = page.locator("#compare .f-raw .stage").evaluate_all(
        "all => all.map((e) => Math.round(e.getBoundingClientRect().top))"
    )
    assert len(tops) == 3 and len(set(tops)) == 1
