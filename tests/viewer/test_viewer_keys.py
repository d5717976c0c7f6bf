"""The keyboard alone: whatever can be pressed is reached, seen and pressed; every key does what the help says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser import settled, until

Open = Callable[..., Any]

SCREENS = {
    "explore": "?layer=_blocks.10",
    "unit": "?unit=3",
    "explain": "?view=explain&vis=grad-cam",
    "matrix": "?view=explain&vis=grad-cam,filter-weights&top=2&run=1",
    "compare": "?view=compare&by=grad-cam",
    "model": "?view=model",
}
#: Number what Tab has to reach: of a row that arrows walk, its one stop.
NUMBERED = """() => {
  const all = [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
    .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({ visibilityProperty: true }));
  all.forEach((one, i) => { one.number = i; });
  return all.map((one) => one.outerHTML.slice(0, 120));
}"""
#: Which of them has the focus, and how that is seen.
FOCUSED = """() => {
  const one = document.activeElement;
  const style = getComputedStyle(one);
  const box = one.getBoundingClientRect();
  const seen = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1.5 && box.width > 0
    && box.height > 0
    && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return [one === document.body ? -1 : one.number ?? -2, seen, one.outerHTML.slice(0, 120)];
}"""
FOCUS = "document.activeElement"


@pytest.mark.parametrize("screen", SCREENS)
def test_tab_reaches_everything_and_it_is_seen(visit: Open, screen: str) -> None:
    page = visit(SCREENS[screen])
    settled(page)
    every = page.evaluate(NUMBERED)
    assert len(every) > 20
    reached: set[int] = set()
    unseen = []
    for _ in range(len(every) + 12):
        page.keyboard.press("Tab")
        number, seen, html = page.evaluate(FOCUSED)
        if number in reached and number == 0:
            break
        reached.add(number)
        if not seen and number != -1:
            unseen.append(html)
    assert [html for i, html in enumerate(every) if i not in reached] == []
    assert unseen == []
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(FOCUSED)[0] != 0, "and back again"


def test_enter_and_space_press(visit: Open) -> None:
    page = visit()
    settled(page)
    page.locator("#tab-maps").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("#explain").is_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    assert page.locator("#compare").is_visible()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    page.wait_for_selector("#maps .sheet.ready")
    for n, key in enumerate(("Enter", "Space")):
        page.locator("#maps .cell").nth(n).focus()
        page.keyboard.press(key)
        until(page, f"document.querySelector('#maps h2').textContent.endsWith('[{n}]')")
        page.wait_for_selector("#maps .card .map")
        page.keyboard.press("Escape")
        page.wait_for_selector("#maps .sheet.ready")
        until(page, f"{FOCUS}.dataset.name === '{n}'")
    before = page.locator("#layers li:not([hidden])").count()
    page.locator("#only-maps").focus()
    page.keyboard.press("Space")
    assert page.locator("#layers li:not([hidden])").count() > before and "nomaps=1" in page.url


def test_arrows_walk_lists_and_sheets(visit: Open) -> None:
    page = visit()
    settled(page)
    page.locator("#layers [tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate(f"{FOCUS}.dataset.name") == "_bn0"
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#maps h2').textContent === '_bn0'")
    page.keyboard.press("End")
    last = page.evaluate(f"{FOCUS}.dataset.name")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(f"{FOCUS}.dataset.name") == last != "_bn0"
    page.wait_for_selector("#maps .sheet.ready")
    across = page.locator("#maps .sheet").evaluate(
        "e => new Set([...e.children].map((one) => one.offsetLeft)).size"
    )
    page.locator("#maps .cell").first.focus()
    for key, at in (("ArrowDown", across), ("ArrowRight", across + 1), ("ArrowUp", 1), ("Home", 0)):
        page.keyboard.press(key)
        assert page.evaluate(f"{FOCUS}.dataset.name") == str(at), key
    page.keyboard.press("End")
    assert page.evaluate(f"{FOCUS}.dataset.name") == "31"


def test_help_lists_every_key_of_the_page(visit: Open) -> None:
    page = visit("?unit=3")
    settled(page)
    page.wait_for_selector("#maps .card .map")
    keys = set(page.locator("[data-key]").evaluate_all("all => all.map((one) => one.dataset.key)"))
    page.keyboard.press("?")
    told = page.locator("#help kbd").all_inner_texts()
    named = {"Esc": "Escape", "←": "ArrowLeft", "→": "ArrowRight"}
    listed = {named.get(key, key) for key in told} | {str(n) for n in range(1, 6)}
    assert {"1", "5"} <= {*told}, "from 1 to 5"
    assert listed - keys == {"[", "]", "c", "Enter"}, "what no control of the page does"
    assert keys - listed == set()


def test_every_key_does_what_the_help_says(visit: Open) -> None:
    page = visit()
    settled(page)
    shown = "document.querySelector('#maps h2').textContent"
    page.keyboard.press("]")
    until(page, f"{shown} === '_bn0'")
    page.keyboard.press("[")
    until(page, f"{shown} === '_conv_stem'")
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('#photo-words').textContent.startsWith('coffee')")
    page.keyboard.press("ArrowLeft")
    until(page, "document.querySelector('#photo-words').textContent.startsWith('chelsea')")
    until(page, "document.querySelectorAll('#predictions button')[2]?.title.includes('tabby')")
    page.keyboard.press("3")
    until(page, "document.querySelector('#target').value === 'tabby'")
    page.keyboard.press("1")
    until(page, "document.querySelector('#target').value === ''")
    page.keyboard.press("/")
    assert page.evaluate(f"{FOCUS}.id") == "filter"
    page.keyboard.type("m?")  # letters are for the field now
    assert page.locator("#filter").input_value() == "m?" and not page.locator("dialog[open]").count()
    page.keyboard.press("Escape")
    assert page.evaluate(f"{FOCUS} === document.body")
    for key, view in (("e", "explain"), ("x", "compare"), ("i", "model"), ("m", "maps")):
        page.keyboard.press(key)
        assert page.locator(f"#{view}").is_visible()
    page.keyboard.press("c")
    assert "colours=" in page.url
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize(("key", "opened"), [("j", "jobs"), ("?", "help"), ("s", "files")])
def test_what_a_key_opens_escape_closes(visit: Open, key: str, opened: str) -> None:
    page = visit("?unit=3")
    settled(page)
    page.wait_for_selector("#maps .card .map")
    page.keyboard.press(key)
    assert page.locator(f"#{opened}").is_visible()
    page.keyboard.press("x")
    assert page.locator("#maps").is_visible(), "keys of the page rest meanwhile"
    inside = f"document.getElementById('{opened}').contains({FOCUS})"
    assert page.evaluate(inside), "the focus goes along"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{inside} || {FOCUS} === document.body"), "never into what is covered"
    page.keyboard.press("Escape")
    assert not page.locator(f"#{opened}").is_visible() and "unit=3" in page.url
    until(page, f"!{inside}")
    page.keyboard.press("Escape")
    page.wait_for_selector("#maps .sheet.ready")


def test_r_runs_and_stops(visit: Open) -> None:
    page = visit("?view=explain&vis=occlusion&s.stride=0.05&s.window=0.1")
    until(page, "/[0-9]+ forward passes/.test(document.querySelector('.cost').textContent)")
    page.keyboard.press("r")
    until(page, "document.querySelector('[data-part=run]').textContent === 'Stop'")
    page.keyboard.press("r")
    until(page, "document.querySelector('.progress').textContent.includes('Stopped')")
    assert page.locator("[data-part=run]").inner_text() == "Run"
