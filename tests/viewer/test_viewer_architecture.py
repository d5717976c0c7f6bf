"""The architecture in the page: the boxes of the network, by clicks and by keys to what they are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser import settled, until

import cnnlens
from cnnlens import Diagram, look
from cnnlens.render.diagram import laid_out

Open = Callable[..., Any]

ASKED = "?view=explain&vis=architecture&run=1"
#: Boxes that lie over another, and lines that are not drawn.
OVERLAP = """() => {
  const boxes = [...document.querySelectorAll('.node')].map((one) => one.getBoundingClientRect());
  return boxes.some((a, i) => boxes.slice(i + 1).some((b) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom))
    || [...document.querySelectorAll('.diagram path')].some((one) => !(one.getTotalLength() > 10));
}"""
#: Boxes whose words do not fit.
CUT = """() => [...document.querySelectorAll('.node :is(b, small)')]
  .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"""


@pytest.fixture
def diagram(lite0: cnnlens.Model) -> Diagram:
    """The network's own boxes."""
    (found,) = (one for one in look(lite0, None, "architecture").panels if isinstance(one, Diagram))
    return found


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 320)])
def test_the_boxes_stand_in_the_page(visit: Open, diagram: Diagram, scheme: str, width: int) -> None:
    page = visit(ASKED, width=width, scheme=scheme)
    page.wait_for_selector("#explain .diagram")
    settled(page)
    assert page.locator(".node b").all_inner_texts() == [one.label for one in diagram.nodes]
    assert page.locator(".diagram path").count() == len(diagram.edges)
    assert page.evaluate("document.querySelector('.diagram path').namespaceURI").endswith("/svg")
    assert not page.evaluate(OVERLAP) and page.evaluate(CUT) == []
    box = page.locator(".diagram").bounding_box()
    assert (box["width"], box["height"]) == (laid_out(diagram).width, laid_out(diagram).height)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    words = page.locator(".paper").get_attribute("aria-label")
    assert "4.65 M parameters, 385 M multiply-adds" in words and f"{len(diagram.nodes)} boxes" in words


def test_a_click_on_a_convolution_takes_it_apart(visit: Open) -> None:
    page = visit(ASKED)
    page.locator("button.node.kernel").first.click()
    until(page, "new URLSearchParams(location.search).get('vis') === 'convolution'")
    page.wait_for_selector("#explain .card h4")
    settled(page)
    assert "s.layer=_conv_stem" in page.url
    page.go_back()
    page.wait_for_selector("#explain .diagram")


def test_by_keys(visit: Open) -> None:
    page = visit(ASKED)
    page.wait_for_selector("button.node")
    settled(page)
    assert page.locator(".node[tabindex='0']").count() == 1  # one stop for all boxes
    page.locator(".paper").focus()
    page.keyboard.press("Tab")
    names = []
    for _ in range(3):
        names.append(page.evaluate("document.activeElement.title").partition(":")[0])
        page.keyboard.press("ArrowDown")
    assert names == ["_conv_stem", "_blocks.0._depthwise_conv", "_blocks.0._project_conv"]
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    until(page, "new URLSearchParams(location.search).get('vis') === 'dense'")
