"""Two models side by side: the second one's addresses, the pictures they share, what one has more than the other."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from viewer_help import API, Buffered, finished, png_of

import cnnlens
from cnnlens.errors import CannotOpen, UsageError
from cnnlens.testing import tiny_model
from cnnlens.viewer import InProcess, Loader, Viewer, create_app


@pytest.fixture
def desks() -> Iterator[tuple[InProcess, InProcess]]:
    """Two desks over one set of pictures; the second model's kernels are twice the first's."""
    first, other = tiny_model(), tiny_model()
    other._weights["conv"]["kernel"] *= 2  # type: ignore[attr-defined]  # in place: its functions hold it
    one = InProcess(first, [png_of(1)])
    two = InProcess(other, one.pictures)
    yield one, two
    one.close()
    two.close()


@pytest.fixture
def both(desks: tuple[InProcess, InProcess]) -> FlaskClient:
    """A client of the two."""
    app = create_app(desks[0], against=desks[1])
    app.test_client_class = Buffered
    return app.test_client()


def ran(client: FlaskClient, where: str, **asked: Any) -> str:
    """The id of the one result of a job that was asked for there."""
    answer = client.post(f"{API}/{where}jobs", json=asked)
    told = answer.json
    while told["state"] in ("queued", "running"):
        told = client.get(f"{API}/{where}jobs/{told['id']}?wait=2").json
    assert told["results"][0]["error"] is None
    return str(told["results"][0]["id"])


def test_each_is_asked_at_its_own_address(both: FlaskClient, desks: tuple[InProcess, InProcess]) -> None:
    image = both.get(f"{API}/images").json["images"][0]["id"]
    assert both.get(f"{API}/against/images").json == both.get(f"{API}/images").json, "the same pictures"
    asked = {"images": [image], "visualisers": [{"name": "feature-maps"}]}
    a, b = ran(both, "", **asked), ran(both, "against/", **asked)
    assert a != b
    assert desks[0].result(a) and desks[1].result(b)
    told = both.get(f"{API}/results/{a}~{b}").json
    assert told["panels"][0]["signed"] and told["facts"]["difference"]
    gap = np.asarray(both.get(f"{API}/results/{a}~{b}/panels/0.json?count=4096").json["values"])
    own = desks[0].result(a).array - desks[1].result(b).array
    assert np.abs(own).max() > 0.01
    np.testing.assert_array_equal(gap.astype(np.float32), own)
    uploaded = both.post(f"{API}/images", data={"image": (io.BytesIO(png_of(7)), "new.png")})
    id = uploaded.json["images"][0]["id"]
    assert ran(both, "against/", images=[id], visualisers=[{"name": "saliency"}])


def test_without_a_second_model_there_is_no_second_address(client: FlaskClient) -> None:
    assert client.get(f"{API}/against/state").status_code == 404


def test_the_page_knows_of_the_second_model(both: FlaskClient, client: FlaskClient) -> None:
    assert '"against": {' in both.get("/").text and '"against": null' in client.get("/").text


def test_a_second_model_that_cannot_be_opened_leaves_the_first_alone() -> None:
    with Viewer(tiny_model(), [png_of(1)], against=Loader("b.pt", _never), token=False) as viewer:
        viewer.open()
        other = viewer._desks[1]
        assert other.opening(20)["state"] == "failed"
        with pytest.raises(CannotOpen, match="is not there"):
            other.layers()
        assert viewer._desks[0].layers()


def _never() -> cnnlens.Model:
    raise CannotOpen("b.pt is not there")


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cnnlens\.wrap"):
        Viewer(tiny_model(), [], against=object())  # type: ignore[arg-type]


def test_a_layer_tells_what_it_sees(client: FlaskClient) -> None:
    layers = client.get(f"{API}/layers").json["layers"]
    told = client.get(f"{API}/layers/{layers[0]['name']}").json
    assert told["name"] == layers[0]["name"] and "weights" in told
    assert told["field"] is None or set(told["field"]) == {"size", "stride", "start"}
    missing = client.get(f"{API}/layers/nowhere")
    assert missing.status_code == 404 and layers[0]["name"] in missing.json["error"]["message"]


def test_a_job_tells_in_words_how_far_it_is(client: FlaskClient, image: str) -> None:
    asked = {"visualisers": [{"name": "saliency"}, {"name": "feature-maps"}], "images": [image]}
    told = finished(client, client.post(f"{API}/jobs", json=asked))
    assert told["over"] and told["share"] == 1.0
    assert told["words"].startswith("done · 2 of 2 results · ")
