"""Results over REST: as manifests, pictures and numbers; differences; scales."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from viewer_help import API, error, finished, opened, png_of

from cnnlens import difference
from cnnlens.testing import tiny_model
from cnnlens.viewer import InProcess, create_app

Run = Any


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
