"""What the network says of a picture is there with the page, once it has said it."""

from __future__ import annotations

import numpy as np
from flask.testing import FlaskClient
from viewer_help import API, finished

from cnnlens import Bars, Result
from cnnlens.render.trees import markup
from cnnlens.viewer import Desk
from cnnlens.viewer.forms import prediction_tree


def predicted(client: FlaskClient, image: str, **settings: int) -> dict[str, object]:
    """The manifest of what the network says of a picture."""
    asked = {"visualisers": [{"name": "class-probabilities", "settings": settings}], "images": [image]}
    job = finished(client, client.post(f"{API}/jobs", json=asked))
    return dict(client.get(f"{API}/results/{job['results'][0]['id']}").json)


def test_it_is_written_into_the_page_that_asks_later(client: FlaskClient) -> None:
    one, two = (image["id"] for image in client.get(f"{API}/state").json["images"])
    before = client.get("/").text
    assert 'id="predictions"' in before and "bar-row" not in before and "data-of" not in before
    told = predicted(client, one)
    page = client.get("/").text
    assert page.count('class="bar-row"') == 3 and f'data-of="{one}"' in page
    assert "".join(map(markup, told["rows"])) in page, "the same elements that a script would build"
    assert "bar-row" not in client.get(f"/?img={two}").text, "nothing was said of the other picture"
    predicted(client, two)
    other = client.get(f"/?img={two}").text
    assert f'data-of="{two}"' in other and f"images/{two}/original.png" in other


def test_other_settings_are_not_the_prediction(client: FlaskClient) -> None:
    image = client.get(f"{API}/state").json["images"][0]["id"]
    predicted(client, image, top=3)
    assert "bar-row" not in client.get("/").text


def test_it_is_gone_with_the_results(client: FlaskClient) -> None:
    image = client.get(f"{API}/state").json["images"][0]["id"]
    predicted(client, image)
    assert "bar-row" in client.get("/").text
    assert client.post(f"{API}/reset").status_code < 300
    assert "bar-row" not in client.get("/").text


def test_what_another_model_said_is_not_shown(client: FlaskClient, desk: Desk) -> None:
    """A model that was opened again may come from another file."""
    image = client.get(f"{API}/state").json["images"][0]["id"]
    predicted(client, image)
    settings = next(v for v in desk.visualisers() if v["name"] == "class-probabilities")["resolved"]
    assert desk.known("class-probabilities", settings, image) is not None
    for job in desk._line.newest():  # type: ignore[attr-defined]
        job.life -= 1
    assert desk.known("class-probabilities", settings, image) is None


def test_names_stay_words_and_numbers_that_are_none_are_told() -> None:
    bars = Bars(np.array([np.nan, 0.25, 2.0]), ["<img src=x>", '" onclick="', "c"])
    page = "".join(map(markup, prediction_tree(bars)))
    assert "<img" not in page and 'onclick="' not in page.replace("&quot;", "'")
    assert (
        "–" in page
        and "0.250" in page
        and 'value="0.25000"' in page
        and 'value="1.00000"' in page
        and "style" not in page
    )


def test_a_result_without_panels_is_no_prediction(client: FlaskClient, desk: Desk) -> None:
    image = client.get(f"{API}/state").json["images"][0]["id"]
    told = predicted(client, image)
    result = desk.result(str(told["id"]))
    bare = Result((), result.facts, result.pixels)
    desk._results.put(str(told["id"]), bare, 1)  # type: ignore[attr-defined]
    assert "bar-row" not in client.get("/").text
    assert "rows" not in client.get(f"{API}/results/{told['id']}").json
