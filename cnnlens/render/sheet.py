"""Several results as one picture or one vector figure, in rows."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from .card import EDGE, draw_card
from .style import style_of

if TYPE_CHECKING:
    from ..result import Result

MOST_PIXELS = 40_000_000  #: of a whole sheet; one of more results is drawn smaller
BESIDE = 1.6  #: how much wider than high a sheet wants to be


def draw_sheet(results: Sequence[Result], **options: Any) -> Image.Image:
    """The cards of all results in rows, in their order; `options` are those of `Style`."""
    style = style_of(options)
    share = 1.0
    cards: list[Image.Image] = []
    for result in results:
        card = draw_card(result, **options)
        if not cards:  # results of one request are of one size as a rule; the first tells how many fit
            share = min(1.0, math.sqrt(MOST_PIXELS / (card.width * card.height * len(results))))
        cards.append(_smaller(card, share))
    places, size = placed([card.size for card in cards])
    sheet = Image.new("RGB", size, style.ground)
    for card, place in zip(cards, places, strict=True):
        sheet.paste(card, place)
    return sheet


def draw_svg(results: Sequence[Result], **options: Any) -> str:
    """One SVG with the figure of each result in it, in rows; nothing outside it is referred to."""
    style = style_of(options)
    figures = [_svg_of(result, number, options) for number, result in enumerate(results)]
    places, (width, height) = placed([(math.ceil(w), math.ceil(h)) for w, h, _ in figures])
    parts = [
        f'<svg x="{x}" y="{y}" width="{w}" height="{h}" viewBox="0 0 {w} {h}">{body}</svg>'
        for (w, h, body), (x, y) in zip(figures, places, strict=True)
    ]
    ground = "#{:02x}{:02x}{:02x}".format(*style.ground)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}pt" height="{height}pt" '
        f'viewBox="0 0 {width} {height}"><rect width="100%" height="100%" fill="{ground}"/>'
        + "\n".join(parts)
        + "</svg>\n"
    )


def placed(sizes: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Where boxes (width, height) stand in rows of about equal width, in their order, and the whole's size."""
    area = sum((w + EDGE) * (h + EDGE) for w, h in sizes)
    wide = max(max(w for w, _ in sizes), math.sqrt(area * BESIDE))
    x = y = tall = most = 0
    places = []
    for w, h in sizes:
        if x and x + w > wide:
            x, y, tall = 0, y + tall + EDGE, 0
        places.append((x, y))
        x, tall, most = x + w + EDGE, max(tall, h), max(most, x + w)
    return places, (most, y + tall)


def _smaller(card: Image.Image, share: float) -> Image.Image:
    if share == 1:
        return card
    size = max(1, round(card.width * share)), max(1, round(card.height * share))
    return card.resize(size, Image.Resampling.LANCZOS)


def _svg_of(result: Result, number: int, options: dict[str, Any]) -> tuple[float, float, str]:
    """Width and height in points and the inside of a result's SVG, its ids made its own."""
    out = io.StringIO()
    figure = result.figure(**options)
    figure.savefig(out, format="svg", metadata={"Date": None})
    whole = out.getvalue()
    body = whole[whole.index(">", whole.index("<svg ")) + 1 : whole.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>r{number}-", body)
    width, height = figure.get_size_inches() * 72
    return float(width), float(height), body
