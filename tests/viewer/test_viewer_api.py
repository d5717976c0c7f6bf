"""Every route: what it answers, and how it refuses."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from needs import need
from PIL import Image
from viewer_help import API, error, finished, png_of, upload

import cnnlens
from cnnlens.images import MAX_BYTES
from cnnlens.viewer import Desk, InProcess, create_app
from cnnlens.viewer.openapi import document

Run = Any


def opened(data: bytes) -> Image.Image:
    """A picture from its bytes."""
    return Image.open(io.BytesIO(data))


def test_state_layers_and_visualisers(client: FlaskClient) -> None:
    state = client.get(f"{API}/state").json or {}
    assert state["model"]["name"] == "tiny" and state["model"]["input"]["height"] == 8
    assert [one["name"] for one in state["images"]] == ["first <b>.png", "picture"]
    assert state["plugins"]["problems"][0]["plugin"] == "broken:guest"
    layers = (client.get(f"{API}/layers").json or {})["layers"]
    assert [layer["name"] for layer in layers] == ["conv", "relu", "pool", "dense"]
    known = {v["name"]: v for v in (client.get(f"{API}/visualisers").json or {})["visualisers"]}
    assert {"grad-cam", "occlusion", "everything"} <= set(known)
    assert known["feature-maps"]["resolved"]["layer"] == "conv"


def test_a_visualiser_tells_its_settings_and_their_cost(client: FlaskClient) -> None:
    told = client.get(f"{API}/visualisers/occlusion?window=4&stride=4").json or {}
    assert told["cost"] == "5 forward passes" and told["passes"] == 5
    assert told["schema"]["window"]["type"] == "number"
    assert {one["name"] for one in told["settings"]} == {"window", "stride", "fill", "of"}
    assert error(client.get(f"{API}/visualisers/occlusion?window=-1")) == "BadSetting"
    assert error(client.get(f"{API}/visualisers/occlusion?size=1")) == "UnknownName"
    missing = client.get(f"{API}/visualisers/ocklusion")
    assert missing.status_code == 404 and "occlusion" in missing.text


def test_pictures_come_and_go(client: FlaskClient, image: str) -> None:
    answer = upload(client, (png_of(5), "a.png"), (png_of(6), "../../b.png"), (b"no picture", "c.png"))
    assert answer.status_code == 201 and answer.json is not None
    assert [one["name"] for one in answer.json["images"]] == ["a.png", "b.png"]
    assert answer.json["images"][0]["height"] == 12
    assert answer.json["refused"][0]["error"]["type"] == "CannotOpen"
    id = answer.json["images"][0]["id"]
    assert upload(client, (png_of(5), "again.png")).json == {  # the same bytes are the same picture
        "images": [{"id": id, "name": "again.png", "width": 10, "height": 12, "notes": []}],
        "refused": [],
    }
    assert len((client.get(f"{API}/images").json or {})["images"]) == 4
    assert client.delete(f"{API}/images/{id}").status_code == 204
    assert client.delete(f"{API}/images/{id}").status_code == 404
    assert opened(client.get(f"{API}/images/{image}/original.png").data).size == (10, 12)
    assert opened(client.get(f"{API}/images/{image}/original.png?side=6").data).size == (5, 6)
    shown = client.get(f"{API}/images/{image}/input.png")
    assert opened(shown.data).size == (8, 8)
    again = client.get(f"{API}/images/{image}/input.png", headers={"If-None-Match": shown.headers["ETag"]})
    assert again.status_code == 304
    assert client.get(f"{API}/images/{image}/other.png").status_code == 404


def test_what_is_no_picture_is_refused(client: FlaskClient) -> None:
    answer = upload(client, (b"these are words", "words.txt"))
    assert answer.status_code == 422 and error(answer) == "CannotOpen"
    assert "words.txt is not a picture" in answer.text
    assert client.post(f"{API}/images").status_code == 400
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + b"x" * MAX_BYTES
    large = client.post(f"{API}/images", data=form, content_type="multipart/form-data; boundary=x")
    assert large.status_code == 413 and error(large) == "TooLarge"


@pytest.mark.filterwarnings(
    "ignore:.*SpooledTemporaryFile"
)  # Werkzeug leaves the first parts to the collector
def test_forms_of_too_many_parts_are_refused(client: FlaskClient) -> None:
    many = upload(client, *[(png_of(1), f"{n}.png") for n in range(30)])
    assert many.status_code == 413 and error(many) == "TooLarge"


def test_a_file_that_vanished_is_told_by_its_name_alone(
    client: FlaskClient, tmp_path: Any, image: str
) -> None:
    (tmp_path / "first <b>.png").unlink()
    answer = client.get(f"{API}/images/{image}/original.png")
    assert answer.status_code == 422 and str(tmp_path) not in answer.text


def test_several_pictures_and_classes_in_one_request(client: FlaskClient, desk: Desk, run: Run) -> None:
    ids = [one["id"] for one in desk.images()]
    asked = {"name": "feature-maps", "settings": {"layer": "relu"}}
    job = run("saliency", asked, "filter-weights", images=ids, top=2)
    got = [
        (r["visualiser"], ids.index(r["image"]) if r["image"] else None, r["target"]) for r in job["results"]
    ]
    assert got == [
        ("filter-weights", None, None),
        ("saliency", 0, "top1"), ("feature-maps", 0, None), ("saliency", 0, "top2"),
        ("saliency", 1, "top1"), ("feature-maps", 1, None), ("saliency", 1, "top2"),
    ]  # fmt: skip
    assert job["state"] == "done" and job["parts"] == {"done": 7, "total": 7}
    assert all(r["error"] is None for r in job["results"])
    names = [
        (client.get(f"{API}/results/{r['id']}").json or {})["facts"].get("target_name")
        for r in job["results"]
    ]
    assert names[1] != names[3]


def test_one_result_of_several_pictures(client: FlaskClient, desk: Desk, run: Run) -> None:
    ids = [one["id"] for one in desk.images()]
    told = {one["name"]: one for one in (client.get(f"{API}/visualisers").json or {})["visualisers"]}
    assert told["dead-filters"]["reads_several"] and not told["saliency"]["reads_several"]
    cost = (
        client.post(f"{API}/cost", json={"visualisers": [{"name": "dead-filters"}], "images": ids}).json or {}
    )
    assert cost["passes"] == 2 and cost["words"] == "2 passes in all"
    job = run("saliency", "dead-filters", images=ids, top=2)
    got = [(r["visualiser"], r["image"], r["images"], r["target"], r["error"]) for r in job["results"]]
    assert got == [
        ("dead-filters", None, ids, None, None),
        *(("saliency", id, [], target, None) for id in ids for target in ("top1", "top2")),
    ]
    of_all = client.get(f"{API}/results/{job['results'][0]['id']}").json or {}
    names = [one["name"] for one in of_all["facts"]["images"]]
    assert names == [one["name"] for one in desk.images()] and of_all["facts"]["image"] == "2 pictures"
    assert "any of these 2 pictures" in of_all["panels"][0]["text"] and of_all["under"].startswith(
        "2 pictures"
    )
    assert client.get(f"{API}/results/{job['results'][0]['id']}/download.png").status_code == 200
    again = run("dead-filters", images=ids)["results"][0]["id"]
    assert again == job["results"][0]["id"], "the same pictures are the same result"
    alone = [run("dead-filters", images=[id])["results"][0] for id in ids]
    assert [one["image"] for one in alone] == ids and len({again, *(one["id"] for one in alone)}) == 3
    of_one = client.get(f"{API}/results/{alone[0]['id']}").json or {}
    assert "images" not in of_one["facts"] and "for this picture" in of_one["panels"][0]["text"]
    less = client.get(f"{API}/results/{alone[0]['id']}~{alone[1]['id']}")
    assert less.status_code == 200, "two pictures are compared as they were"
    assert run("dead-filters", images=[ids[0], ids[0]])["results"][0]["error"] is None


def test_stopped_between_pictures(client: FlaskClient, desk: Desk, run: Run) -> None:
    ids = [one["id"] for one in desk.images()] * 32
    job = client.post(f"{API}/jobs", json={"visualisers": [{"name": "strolls"}], "images": ids}).json or {}
    seen: dict[str, Any] = {"progress": {"done": 0}}
    while seen["progress"]["done"] < 2:
        seen = client.get(f"{API}/jobs/{job['id']}").json or {}
        assert seen["state"] in ("queued", "running"), seen
    assert seen["progress"]["total"] == 64 and seen["parts"]["total"] == 1
    client.delete(f"{API}/jobs/{job['id']}")
    over = client.get(f"{API}/jobs/{job['id']}?wait=2").json or {}
    assert over["state"] == "cancelled" and over["results"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("results/{id}/download.exe", 404),
        ("results/{id}/panels/9.png", 404),
        ("results/{id}/panels/9.json", 404),
        ("results/none", 404),
        ("results/none/panels/0.png", 404),
        ("jobs/none", 404),
        ("nothing", 404),
        ("colours/rainbow.png", 404),
        ("images/none/original.png", 404),
        ("results/{id}/panels/0.png?colours=rainbow", 400),
        ("results/{id}/panels/0.png?first=-1", 400),
        ("results/{id}/panels/0.png?first=99", 400),
        ("results/{id}/panels/0.png?count=99999", 400),
        ("results/{id}/panels/0.json?count=x", 400),
        ("images/{image}/original.png?side=many", 400),
    ],
)
def test_addresses_that_name_nothing(
    client: FlaskClient, run: Run, image: str, path: str, status: int
) -> None:
    id = run("feature-maps", images=[image])["results"][0]["id"]
    answer = client.get(f"{API}/{path.format(id=id, image=image)}")
    assert answer.status_code == status and error(answer)
    assert "Traceback" not in answer.text and "/work" not in answer.text


def ask(name: str, image: str = "{image}", settings: Any = None, **more: Any) -> dict[str, Any]:
    """A request for one visualiser and one picture."""
    return {"visualisers": [{"name": name, "settings": settings or {}}], "images": [image], **more}


@pytest.mark.parametrize(
    ("asked", "status", "kind"),
    [
        ({}, 400, "UsageError"),
        ({"visualisers": []}, 400, "UsageError"),
        ({"visualisers": [{"name": "grad-cam"}]}, 422, "Unmet"),  # no picture
        (ask("grad-kam"), 400, "UnknownName"),
        (ask("grad-cam", settings={"layer": "dense"}), 422, "Unmet"),
        (ask("grad-cam", settings={"layer": "konv"}), 400, "UnknownName"),
        (ask("occlusion", settings={"window": -1}), 400, "BadSetting"),
        (ask("saliency", "none"), 404, "UnknownName"),
        (ask("saliency", targets=["cat"]), 400, "UnknownName"),
        (ask("saliency", targets=["top9"]), 400, "BadInput"),
        (ask("saliency", targets=["top1"], top=2), 400, "UsageError"),
        (ask("saliency", top=32) | {"images": ["{image}"] * 60}, 400, "UsageError"),
        (ask("saliency", path="/etc/passwd"), 400, "UsageError"),
    ],
)
def test_requests_that_are_refused_before_they_run(
    client: FlaskClient, image: str, asked: Any, status: int, kind: str
) -> None:
    answer = client.post(f"{API}/jobs", json=json.loads(json.dumps(asked).replace("{image}", image)))
    assert (answer.status_code, error(answer)) == (status, kind)
    assert (client.get(f"{API}/jobs").json or {})["jobs"] == []


def test_bodies_that_are_not_json(client: FlaskClient) -> None:
    assert error(client.post(f"{API}/jobs", data="{}")) == "UnsupportedMediaType"
    assert client.post(f"{API}/jobs", data="{", content_type="application/json").status_code == 400
    assert client.post(f"{API}/jobs", json=[1]).status_code == 400
    wrong = client.put(f"{API}/state")
    assert wrong.status_code == 405 and error(wrong) == "MethodNotAllowed" and "GET" in wrong.headers["Allow"]


def test_one_shot(client: FlaskClient) -> None:
    def look(**form: Any) -> Any:
        return client.post(f"{API}/look", data={"image": (io.BytesIO(png_of(9)), "a.png")} | form)

    answer = look(visualiser="occlusion", target="top2", settings='{"window": 4, "stride": 4}')
    assert answer.status_code == 200
    result = answer.json["results"][0]
    assert result["facts"]["settings"]["window"] == 4 and result["facts"]["target"] == "top2"
    assert opened(base64.b64decode(result["png"])).width > 100
    assert opened(look(visualiser="saliency", **{"as": "png"}).data).width > 100
    both = look(visualiser="dead-filters", image=[(io.BytesIO(png_of(n)), f"{n}.png") for n in (3, 4)])
    (of_both,) = both.json["results"]
    assert [one["name"] for one in of_both["facts"]["images"]] == ["3.png", "4.png"]
    assert len((client.get(f"{API}/images").json or {})["images"]) == 2  # nothing of it stays
    assert look(visualiser="occlusion", settings="[").status_code == 400
    assert look(visualiser="occlusion", settings="[]").status_code == 400
    assert look(visualiser="saliency", **{"as": "gif"}).status_code == 400
    assert look().status_code == 400
    assert look(visualiser="breaks").status_code == 500
    assert client.post(f"{API}/look", data={"visualiser": "saliency"}).status_code == 422


def test_reset(client: FlaskClient, run: Run, image: str) -> None:
    upload(client, (png_of(7), "more.png"))
    client.delete(f"{API}/images/{image}")
    id = run("filter-weights")["results"][0]["id"]
    assert client.post(f"{API}/reset").status_code == 204
    assert client.get(f"{API}/results/{id}").status_code == 404
    assert [one["name"] for one in (client.get(f"{API}/images").json or {})["images"]] == [
        "first <b>.png",
        "picture",
    ]


def test_no_get_changes_anything(client: FlaskClient) -> None:
    before = client.get(f"{API}/state").json
    for path in ("jobs", "images", "reset", "look", "layers", "visualisers", "openapi.json"):
        client.get(f"{API}/{path}")
    assert client.get(f"{API}/state").json == before
    assert client.get(f"{API}/reset").status_code == 405 and client.get(f"{API}/look").status_code == 405


def test_the_document_and_the_routes_say_the_same(client: FlaskClient) -> None:
    described = {
        (path, method.upper()) for path, item in document()["paths"].items() for method in item
    }  # fmt: skip
    served = set()
    for rule in client.application.url_map.iter_rules():
        if rule.rule.startswith(API):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix(API))
            served |= {(path, method) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert described == served
    told = client.get(f"{API}/openapi.json").json or {}
    assert told["openapi"] == "3.1.0" and "Request" in told["components"]["schemas"]
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(told))
    assert references and set(references) <= set(told["components"]["schemas"])
    assert {name for one in told["security"] for name in one} == set(told["components"]["securitySchemes"])
    for path, item in told["paths"].items():
        for operation in item.values():
            assert {"401", "403"} <= set(operation["responses"]) and "security" not in operation, path
            named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path)), path


def test_every_kind_of_target_is_asked_for_by_text(run: Run, image: str, desk: Desk) -> None:
    second = desk.images()[1]["id"]
    targets = [
        "top1", "1", "square", "square - circle", "p(square)", "p(top1) - p(circle)", "relu[2]",
        "relu[2,1,5] - conv[0]", f"like({second})", "like(first <b>.png, relu)", f"like({second}, conv)",
    ]  # fmt: skip
    job = run("saliency", images=[image], targets=targets)
    assert [answer["error"] for answer in job["results"]] == [None] * len(targets)
    facts = [desk.result(answer["id"]).facts for answer in job["results"]]
    assert [told["target"] for told in facts] == targets
    assert [told["target_unit"] for told in facts] == (
        ["score"] * 4 + ["probability"] * 2 + ["activation"] * 2 + ["similarity"] * 3
    )
    assert facts[9]["score"] == pytest.approx(1, abs=1e-6)  # the picture itself


@pytest.mark.parametrize(
    "named", ["/etc/passwd", "../first <b>.png", "http://127.0.0.1/a.png", "{file}", "~/a.png", "C:\\a.png"]
)
def test_a_target_opens_no_file_of_the_server(
    client: FlaskClient, image: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = named.replace(
        "{file}", str(tmp_path / "first <b>.png")
    )  # not even one that is shown, by its path
    opened: list[str] = []
    reading = Path.read_bytes

    def read(path: Path) -> bytes:
        opened.append(str(path))
        return reading(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    asked = {"visualisers": [{"name": "saliency"}], "images": [image], "targets": [f"like({named})"]}
    answer = client.post(f"{API}/jobs", json=asked)
    assert error(answer) == "UnknownName" and answer.status_code == 400
    assert "among those shown here" in answer.json["error"]["message"]
    form = {"image": (io.BytesIO(png_of(3)), "a.png"), "visualiser": "saliency", "target": f"like({named})"}
    assert error(client.post(f"{API}/look", data=form)) == "UnknownName"
    assert opened == [], "nothing was read from the disk"


def test_a_name_that_comes_to_be_another_pictures_is_another_target(
    client: FlaskClient, run: Run, image: str
) -> None:
    def liked(seed: int) -> str:
        told = upload(client, (png_of(seed), "other.png")).json["images"][0]
        (answer,) = run("saliency", images=[image], targets=["like(other.png)"])["results"]
        client.delete(f"{API}/images/{told['id']}")
        return str(answer["id"])

    assert liked(21) != liked(22)


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        (
            "Segmenter",
            ["top1", "dog@3,5", "dog@0:4,2:8 - cat", "p(dog@3,5)", "heads.age[:,1]", "out[:,2,0,7]"],
        ),
        ("Detector", ["top1", "box0", "box0 - box1", "dog - cat", "scores[:,2]"]),
    ],
)
def test_targets_of_places_outputs_and_detections(kind: str, targets: list[str]) -> None:
    torch = need("torch")
    import structured_net

    torch.manual_seed(0)
    model = cnnlens.wrap(
        getattr(structured_net, kind)(), preprocess={"size": 8}, labels=["none", "cat", "dog"]
    )
    desk = InProcess(model, [png_of(1)])
    try:
        client = create_app(desk).test_client()
        tree = {one["path"] for one in client.get(f"{API}/state").json["model"]["output_tree"]}
        assert tree == ({"out", "heads.age"} if kind == "Segmenter" else {"scores", "detections"})
        asked = {
            "images": [desk.images()[0]["id"]],
            "visualisers": [{"name": name} for name in ("saliency", "class-probabilities")],
            "targets": targets,
        }
        job = finished(client, client.post(f"{API}/jobs", json=asked))
        assert [answer["error"] for answer in job["results"]] == [None] * (len(targets) + 1)
        refused = client.post(f"{API}/jobs", json=asked | {"targets": ["head.age[:,1]"]})
        assert error(refused) == "UnknownName"
    finally:
        desk.close()


def test_what_a_request_would_cost(client: FlaskClient, image: str) -> None:
    """Told before anything runs: passes for all pictures, classes and visualisers together."""

    def cost(*visualisers: Any, **request: Any) -> Any:
        asked = {"visualisers": [{"name": name, "settings": {}} for name in visualisers], **request}
        return client.post(f"{API}/cost", json=asked)

    one = cost("saliency", images=[image]).json
    assert one["passes"] == 2 and "1 forward" in one["words"] and one["verdict"]
    assert cost("saliency", images=[image], top=2).json == one | {"passes": 4, "words": "4 passes in all"}
    both = cost("saliency", "feature-maps", images=[image], top=2).json
    assert both["passes"] == 5, "maps are the same for each class"
    assert cost("filter-weights").json["passes"] == 0
    assert cost("nothing").status_code == 404
    wrong = {"visualisers": [{"name": "feature-maps", "settings": {"scale": "none"}}]}
    assert client.post(f"{API}/cost", json=wrong).status_code == 400
    assert client.get(f"{API}/jobs").json["jobs"] == []


def test_the_form_is_the_declaration(client: FlaskClient) -> None:
    told = client.get("/form?vis=feature-maps&s.order=energy&s.other=1").json
    layer, scale, order = told["fields"]
    assert [field[0] for field in (layer, scale, order)] == ["label.field"] * 3
    control = order[2]
    assert control[:2] == ["select", {"data-set": "order", "data-otherwise": "index"}]
    assert [option[1] for option in control[2:]] == [
        {"value": "index", "selected": False}, {"value": "energy", "selected": True},
    ]  # fmt: skip
    assert layer[2][0] == "select" and any(option[1]["selected"] for option in layer[2][2:])
    assert told["about"][0][0] == "p"
    several = client.get("/form?vis=feature-maps,saliency").json
    assert several["about"] == [["p.facts", "Settings of the same name are shared."]]
    assert client.get("/form?vis=nothing").status_code == 404
