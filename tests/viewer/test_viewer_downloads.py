"""Files over REST: one result or several as a picture, a figure, a report or numbers; no word becomes markup."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from flask.testing import FlaskClient
from viewer_help import API, opened

from cnnlens import Bars, Heatmap, Note, Result, Sheet, Table, Tiles, difference
from cnnlens.render.colour import palette
from cnnlens.viewer import InProcess


def colours(data: bytes) -> Any:
    """The pixels of a picture, RGB."""
    return np.asarray(opened(data).convert("RGB"))


def test_a_download_shows_what_the_page_shows(client: FlaskClient, two: tuple[str, str]) -> None:
    address = f"{API}/results/{two[0]}/download"
    sizes = {
        show: opened(client.get(f"{address}.png?show={show}").data).size
        for show in ("both", "overlay", "raw")
    }
    assert sizes["both"][0] > sizes["overlay"][0] == sizes["raw"][0]
    bare, covered = (colours(client.get(f"{address}.png?show=overlay&alpha={a}").data) for a in (0, 1))
    picture = slice(100, 300), slice(30, 300)
    assert np.ptp(bare[picture].astype(int), axis=-1).max() == 0  # the picture in grey alone
    table = np.frombuffer(palette("viridis", (0, 0, 0)), np.uint8).reshape(-1, 3)[:253]
    assert {*map(tuple, covered[picture].reshape(-1, 3))} <= {*map(tuple, table)}
    for show, count in (("both", 3), ("overlay", 1), ("raw", 1)):
        assert client.get(f"{address}.html?show={show}").text.count("<img") == count
        svg = ElementTree.fromstring(client.get(f"{address}.svg?show={show}").data)
        drawn = [one for one in svg.iter() if one.tag.endswith("}image")]
        assert len(drawn) == count + 1  # the colour bar
    assert "inferno" not in client.get(f"{address}.html?colours=inferno&theme=dark").text
    assert 'class="dark"' in client.get(f"{address}.html?theme=dark").text


def several(client: FlaskClient, suffix: str, *ids: str, query: str = "") -> Any:
    """Ask for several results as one file."""
    return client.get(f"{API}/download.{suffix}?{'&'.join(f'id={id}' for id in ids)}{query}")


def test_several_results_as_one_file(client: FlaskClient, desk: InProcess, two: tuple[str, str]) -> None:
    ids = (two[1], two[0], f"{two[0]}~{two[1]}")
    results = [desk.result(two[1]), desk.result(two[0]), difference(desk.result(two[0]), desk.result(two[1]))]
    with np.load(io.BytesIO(several(client, "npz", *ids).data), allow_pickle=False) as held:
        wanted = Sheet(tuple(results)).arrays()
        assert {*held} == {*wanted} and {"0/panel0", "2/panel0", "1/input", "0/manifest"} <= {*held}
        assert all(
            np.array_equal(held[name], wanted[name]) for name in wanted if not name.endswith("manifest")
        )
        manifests = [json.loads(str(held[f"{n}/manifest"])) for n in range(3)]
    assert [told["facts"]["image"] for told in manifests] == [r.facts["image"] for r in results]
    told = json.loads(several(client, "json", *ids).text, parse_constant=pytest.fail)
    assert np.array_equal(np.asarray(told["results"][2]["values"][0], np.float32), results[2].array)
    sheet = opened(several(client, "png", *ids).data)
    alone = [opened(several(client, "png", id).data) for id in ids]
    assert sheet.width * sheet.height > sum(one.width * one.height for one in alone) * 0.9
    svg = ElementTree.fromstring(several(client, "svg", *ids, query="&theme=dark").data)
    assert len([one for one in svg if one.tag.endswith("}svg")]) == 3
    named = [one.get("id") for one in svg.iter() if one.get("id")]
    assert len(named) == len({*named})  # three figures in one file and no id twice
    page = several(client, "html", *ids)
    assert page.text.count('<section class="cnnlens"') == 3 and page.text.count("<h1>") == 1
    assert page.headers["Content-Disposition"] == 'attachment; filename="saliency-3_results.html"'
    one = several(client, "html", two[1], two[1])
    assert one.headers["Content-Disposition"] == 'attachment; filename="saliency-picture.html"'


def test_what_no_file_can_hold_is_refused(
    client: FlaskClient, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert several(client, "png").status_code == 400
    assert several(client, "exe", *two).status_code == 404
    gone = several(client, "npz", two[0], f"{two[1]}~gone")
    assert gone.status_code == 404 and "gone" in gone.text
    many = several(client, "npz", *[f"{n}" for n in range(257)])
    assert many.status_code == 400 and "256 is the most" in many.text
    figures = several(client, "svg", *[f"{n}" for n in range(65)])
    assert figures.status_code == 400 and "64 results at most" in figures.text
    monkeypatch.setattr("cnnlens.viewer.downloads.MOST_IN_JSON", 10)
    assert (
        "the .npz" in several(client, "json", *two).text and several(client, "npz", *two).status_code == 200
    )
    monkeypatch.setattr("cnnlens.viewer.downloads.MOST_BYTES", 10)
    assert several(client, "npz", *two).status_code == 400


PAYLOAD = "</title></pre></style><img src=x onerror=alert(1)><script>alert(1)</script>\"'&amp;"


class Markup(HTMLParser):
    """Which elements and attributes a page has, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(word: str = PAYLOAD) -> Iterator[Result]:
    """Two results with a word wherever a stranger's may stand, and their difference."""
    facts = {
        "visualiser": word, "title": word, "paper": word, "link": "javascript:alert(1)", "model": word, "arch": word,
        "checkpoint": word, "preprocess": {word: word}, "versions": {word: word}, "settings": {word: word},
        "target_name": word, "seconds": 1.0, "image": word,
    }  # fmt: skip
    panels = (
        Heatmap(np.ones((2, 2), np.float32), title=word, unit=word, means=word),
        Tiles(np.ones((2, 2, 2), np.float32), [word, word], title=word, unit=word, marks={0: word}),
        Bars(np.ones(2, np.float32), ["1", word], title=word, unit=word),
        Table((word,), [(word,)], title=word),
        Note(word),
    )
    made = [Result(panels, facts | {"image": f"{word}{n}"}, np.ones((4, 4, 3), np.float32)) for n in range(2)]
    yield from (*made, difference(*made))


def test_no_word_becomes_markup_in_a_report(tmp_path: Any) -> None:
    (page,) = Sheet(tuple(hostile())).save(tmp_path / "x.html")
    (plain,) = Sheet(tuple(hostile("plain"))).save(tmp_path / "y.html")
    found, wanted = Markup(), Markup()
    found.feed(page.read_text())
    wanted.feed(plain.read_text())
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in wanted.tags]
    assert [[*attributes] for _, attributes in found.tags] == [[*attributes] for _, attributes in wanted.tags]
    assert "script" not in {tag for tag, _ in found.tags} and found.text.count("onerror=alert(1)") > 40
    links = [v for _, attributes in found.tags for k, v in attributes.items() if k in ("href", "src")]
    assert all(re.match("data:image/png;base64,|#r[123]$", link or "") for link in links)
    (svg,) = Sheet(tuple(hostile())).save(tmp_path / "x.svg")
    assert not {"script", "img", "foreignObject"} & {
        e.tag.split("}")[-1] for e in ElementTree.parse(svg).iter()
    }


def test_a_manifest_is_read_back_from_a_report(
    client: FlaskClient, desk: InProcess, two: tuple[str, str]
) -> None:
    page = several(client, "html", *two).text
    told = [json.loads(unescape(one)) for one in re.findall(r'<pre class="manifest">(.*?)</pre>', page, re.S)]
    assert [one["facts"]["image"] for one in told] == [desk.result(id).facts["image"] for id in two]
    assert told[0]["panels"][0]["kind"] == "Heatmap"


def test_a_report_is_opened_from_the_disk_wide_and_narrow(chromium: Any, tmp_path: Any) -> None:
    (page,) = Sheet(tuple(hostile())).save(tmp_path / "x.html")
    for width in (1280, 360):
        context = chromium.new_context(viewport={"width": width, "height": 800})
        try:
            tab, wrong = context.new_page(), []
            tab.on("console", lambda message: wrong.append(message.text))  # noqa: B023 (read before the next turn)
            tab.on("request", lambda request: wrong.append(request.url))  # noqa: B023
            tab.goto(page.as_uri(), timeout=20_000)
            assert [one for one in wrong if not one.startswith(("data:", page.as_uri()))] == []
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert tab.evaluate("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
        finally:
            context.close()
