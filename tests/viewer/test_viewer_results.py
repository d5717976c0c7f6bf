"""Results over REST: as manifests, pictures, numbers and files; differences; several as one file."""

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
from PIL import Image
from viewer_help import API, error, finished, png_of

from cnnlens import Bars, Heatmap, Note, Result, Sheet, Table, Tiles, difference
from cnnlens.render.colour import palette
from cnnlens.testing import tiny_model
from cnnlens.viewer import InProcess, create_app

Run = Any


def opened(data: bytes) -> Image.Image:
    """A picture from its bytes."""
    return Image.open(io.BytesIO(data))


def test_a_result_in_all_its_shapes(client: FlaskClient, run: Run, image: str) -> None:
    id = run("feature-maps", images=[image])["results"][0]["id"]
    told = client.get(f"{API}/results/{id}")
    assert "immutable" in told.headers["Cache-Control"]
    panel = (told.json or {})["panels"][0]
    assert panel["kind"] == "Tiles" and panel["shape"] == [4, 6, 6] and len(panel["ranges"]) == 4
    atlas = opened(client.get(f"{API}/results/{id}/panels/0.png?first=1&count=3&columns=2").data)
    assert atlas.mode == "P" and atlas.size == (13, 13)
    dark = client.get(f"{API}/results/{id}/panels/0.png?theme=dark&colours=cividis&signed_colours=PuOr_r")
    assert dark.status_code == 200
    values = (client.get(f"{API}/results/{id}/panels/0.json?first=2&count=1").json or {})["values"]
    low, high, mean = panel["ranges"][2]
    assert np.asarray(values).shape == (1, 6, 6)
    assert np.min(values) == pytest.approx(low, rel=1e-4) and np.max(values) == pytest.approx(high, rel=1e-4)
    assert np.mean(values) == pytest.approx(mean, rel=1e-4)
    for suffix, begin in {
        "png": b"\x89PNG",
        "npz": b"PK",
        "html": b"<!doctype",
        "json": b"{",
        "svg": b"<?xml",
    }.items():
        file = client.get(f"{API}/results/{id}/download.{suffix}")
        assert file.data.startswith(begin)
        assert (
            file.headers["Content-Disposition"] == f'attachment; filename="feature_maps-first__b_.{suffix}"'
        )


def test_numbers_that_json_has_not(client: FlaskClient, run: Run, image: str) -> None:
    id = run("everything", images=[image])["results"][0]["id"]
    told = json.loads(client.get(f"{API}/results/{id}").text, parse_constant=pytest.fail)
    assert [panel["kind"] for panel in told["panels"]] == ["Heatmap", "Curve", "Table", "Note", "Note"]
    assert "NaN" in told["panels"][4]["text"]
    values = json.loads(client.get(f"{API}/results/{id}/panels/0.json").text, parse_constant=pytest.fail)
    assert values["values"] == [[None, 1.0], [None, 2.0]]
    assert client.get(f"{API}/results/{id}/panels/2.json").status_code == 422
    for n in range(4):
        assert opened(client.get(f"{API}/results/{id}/panels/{n}.png").data).width > 1


@pytest.fixture
def two(run: Run, desk: InProcess) -> tuple[str, str]:
    """The ids of one visualiser's results of both pictures."""
    ids = [one["id"] for one in desk.images()]
    first, second = run("saliency", images=ids)["results"]
    return first["id"], second["id"]


def test_a_difference_is_served_as_any_result(
    client: FlaskClient, desk: InProcess, two: tuple[str, str]
) -> None:
    a, b = two
    address = f"{API}/results/{a}~{b}"
    told = client.get(address).json or {}
    taken = difference(desk.result(a), desk.result(b))
    assert told["caption"] == taken.caption and "first <b>.png" in told["facts"]["difference"]["words"]
    assert told["panels"][0]["signed"] and "−" in told["panels"][0]["title"]
    values = np.asarray((client.get(f"{address}/panels/0.json").json or {})["values"], np.float32)
    assert np.array_equal(values, desk.result(a).array - desk.result(b).array)
    assert opened(client.get(f"{address}/panels/0.png").data).size == values.shape[::-1]
    with np.load(io.BytesIO(client.get(f"{address}/download.npz").data)) as held:
        assert np.array_equal(held["panel0"], values)
    for suffix in ("png", "svg", "html", "json"):
        assert client.get(f"{address}/download.{suffix}").status_code == 200


def test_a_difference_of_what_is_not_there_says_which_half(client: FlaskClient, two: tuple[str, str]) -> None:
    for id, missing in ((f"{two[0]}~gone", "gone"), (f"lost~{two[1]}", "lost"), (f"{two[0]}~", "''")):
        for path in ("", "/panels/0.png", "/panels/0.json", "/download.png"):
            answer = client.get(f"{API}/results/{id}{path}")
            assert answer.status_code == 404 and error(answer) == "UnknownName" and missing in answer.text


def test_a_difference_that_makes_no_sense_is_refused(client: FlaskClient, run: Run, image: str) -> None:
    a, b = (run(name, images=[image])["results"][0]["id"] for name in ("saliency", "class-probabilities"))
    answer = client.get(f"{API}/results/{a}~{b}")
    assert answer.status_code == 400 and error(answer) == "UsageError" and "one visualiser" in answer.text


def test_results_of_a_second_desk_are_found_and_compared(desk: InProcess, two: tuple[str, str]) -> None:
    model = tiny_model()
    model.name = "second"
    other = InProcess(model, [png_of(2)])
    try:
        app = create_app(desk)
        app.extensions["cnnlens_against"] = other
        theirs = create_app(other).test_client()
        asked = {"visualisers": [{"name": "saliency"}], "images": [other.images()[0]["id"]]}
        (answer,) = finished(theirs, theirs.post(f"{API}/jobs", json=asked))["results"]
        client = app.test_client()
        assert (client.get(f"{API}/results/{answer['id']}").json or {})["facts"]["model"] == "second"
        told = client.get(f"{API}/results/{two[1]}~{answer['id']}").json or {}
        assert told["facts"]["difference"]["words"] == "tiny − second"
        missing = client.get(f"{API}/results/{two[1]}~gone")
        assert missing.status_code == 404 and "gone" in missing.text
    finally:
        other.close()


def colours(data: bytes) -> Any:
    """The pixels of a picture, RGB."""
    return np.asarray(opened(data).convert("RGB"))


def test_two_maps_on_one_scale(client: FlaskClient, desk: InProcess, two: tuple[str, str]) -> None:
    address = f"{API}/results/{two[0]}/panels/0.png"
    values = desk.result(two[0]).array
    limits = (client.get(f"{API}/results/{two[0]}").json or {})["panels"][0]["limits"]
    codes = np.asarray(opened(client.get(f"{address}?low=0&high={2 * values.max()}").data))
    assert codes.max() == 126  # the middle of the scale
    assert (np.asarray(opened(client.get(f"{address}?low=0&high=1e-9").data))[values > 1e-9] == 252).all()
    assert (client.get(f"{API}/results/{two[0]}?low=0&high=9").json or {})["panels"][0]["limits"] == limits
    signed = f"{API}/results/{two[0]}~{two[1]}/panels/0.png"
    wide = np.asarray(opened(client.get(f"{signed}?low=-1&high=3").data)).astype(int)
    taken = difference(desk.result(two[0]), desk.result(two[1])).array
    assert np.array_equal(wide, np.rint((taken.astype(float) + 3) / 6 * 252))  # zero stays in the middle


@pytest.mark.parametrize(
    "query",
    [
        "low=0", "high=1", "low=1&high=1", "low=2&high=1", "low=0&high=nan", "low=-inf&high=1", "low=x&high=1",
        "scale=model", "scale=unit&low=0&high=1", "show=none", "alpha=2", "alpha=x", "alpha=nan",
    ],
)  # fmt: skip
def test_looks_that_make_no_sense_are_refused(client: FlaskClient, two: tuple[str, str], query: str) -> None:
    for path in (f"results/{two[0]}/panels/0.png", f"results/{two[0]}/download.png", "download.npz"):
        answer = client.get(f"{API}/{path}?id={two[0]}&{query}")
        assert answer.status_code == 400 and error(answer) in ("UsageError", "UnknownName")


def test_each_tile_on_its_own_scale_or_all_on_one(client: FlaskClient, run: Run, image: str) -> None:
    def maps(scale: str) -> str:
        asked = {"name": "feature-maps", "settings": {"layer": "relu", "scale": scale}}
        return f"{API}/results/{run(asked, images=[image])['results'][0]['id']}/panels/0.png"

    unit, layer = (client.get(maps(scale)).data for scale in ("unit", "layer"))
    assert unit != layer
    for made_with in ("unit", "layer", "global"):
        assert client.get(f"{maps(made_with)}?scale=unit").data == unit
        assert client.get(f"{maps(made_with)}?scale=layer").data == layer


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
