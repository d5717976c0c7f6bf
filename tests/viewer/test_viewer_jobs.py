"""Jobs: progress, stop, the full queue, guests that fail, and what is remembered."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from flask.testing import FlaskClient
from viewer_help import API, error, finished, png_of

from cnnlens.testing import tiny_model
from cnnlens.viewer import Desk, InProcess
from cnnlens.viewer.desks.shelf import Shelf

Run = Any


def slow(client: FlaskClient, image: str, steps: int = 400) -> dict[str, Any]:
    """A job that takes a while."""
    asked = {"visualisers": [{"name": "slow", "settings": {"steps": steps}}], "images": [image]}
    answer = client.post(f"{API}/jobs", json=asked)
    assert answer.status_code == 202 and answer.headers["Location"] == f"jobs/{answer.json['id']}"
    return dict(answer.json)


def until_running(client: FlaskClient, id: str) -> dict[str, Any]:
    """The job when it has made its first step."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        told = client.get(f"{API}/jobs/{id}").json or {}
        if told["progress"]["done"]:
            return dict(told)
        time.sleep(0.01)
    raise AssertionError("it never began")


def test_progress_and_stop(client: FlaskClient, image: str) -> None:
    job = slow(client, image)
    told = until_running(client, job["id"])
    assert told["state"] == "running" and told["progress"]["total"] == 400 and told["elapsed"] > 0
    begun = time.monotonic()
    assert client.delete(f"{API}/jobs/{job['id']}").status_code == 200
    told = client.get(f"{API}/jobs/{job['id']}?wait=2").json or {}
    assert told["state"] == "cancelled" and told["results"] == [] and time.monotonic() - begun < 1


def test_the_full_queue_says_when_to_come_again(client: FlaskClient, image: str) -> None:
    first = slow(client, image)
    until_running(client, first["id"])
    waiting = [slow(client, image, 300 + n) for n in range(3)]
    assert [(client.get(f"{API}/jobs/{job['id']}").json or {})["ahead"] for job in waiting] == [1, 2, 3]
    asked = {"visualisers": [{"name": "filter-weights"}]}
    refused = client.post(f"{API}/jobs", json=asked)
    assert refused.status_code == 429 and error(refused) == "Busy" and refused.headers["Retry-After"] == "1"
    for job in [first, *waiting]:
        client.delete(f"{API}/jobs/{job['id']}")
    assert finished(client, client.post(f"{API}/jobs", json=asked))["state"] == "done"


def test_a_guest_that_fails_is_one_answer_among_others(client: FlaskClient, run: Run, image: str) -> None:
    job = run("breaks", "leaves", "saliency", images=[image])
    broke, left, fine = job["results"]
    assert broke["error"]["type"] == "PluginFailed" and "a guest's own fault" in broke["error"]["message"]
    assert left["error"]["type"] == "Internal" and left["id"] is None
    assert fine["error"] is None and job["state"] == "done"


def test_a_result_is_made_once(client: FlaskClient, desk: Desk, image: str, run: Run) -> None:
    first = run("grad-cam", images=[image], targets=["circle"])["results"][0]["id"]
    made = desk.result(first)
    last = {"name": "grad-cam", "settings": {"layer": "last"}}  # the same, said otherwise
    asked = {"visualisers": [last], "images": [image], "targets": ["circle"]}
    answer = client.post(f"{API}/jobs", json=asked)
    assert answer.json["state"] == "done" and answer.json["results"][0]["id"] == first
    assert desk.result(first) is made
    other = run("grad-cam", images=[image], targets=["square"])["results"][0]["id"]
    assert other != first


def test_ids_of_another_start_are_others(desk: Desk, image: str, run: Run) -> None:
    id = run("filter-weights")["results"][0]["id"]
    other = InProcess(tiny_model(), [png_of(1)])
    try:
        from cnnlens.viewer.desks.desk import read_request

        told = other.submit(read_request({"visualisers": [{"name": "filter-weights"}]}))
        assert other.job(told["id"], 5)["results"][0]["id"] != id
    finally:
        other.close()


def test_many_at_once_get_the_answers_of_one(client: FlaskClient, desk: Desk, run: Run) -> None:
    ids = [one["id"] for one in desk.images()]
    alone = {
        (id, target): desk.result(
            run("saliency", images=[id], targets=[target])["results"][0]["id"]
        ).array.copy()
        for id in ids
        for target in ("circle", "square")
    }
    client.post(f"{API}/reset")
    wrong: list[Any] = []

    def ask(seed: int) -> None:
        mine = client.application.test_client()
        for turn in range(6):
            id, target = ids[(seed + turn) % 2], ("circle", "square")[turn % 2]
            asked = {"visualisers": [{"name": "saliency"}], "images": [id], "targets": [target]}
            answer = mine.post(f"{API}/jobs", json=asked)
            if answer.status_code == 429:
                continue
            found = desk.result(finished(mine, answer)["results"][0]["id"]).array
            if not (found == alone[id, target]).all():
                wrong.append((id, target))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.fixture
def before() -> set[threading.Thread]:
    """The threads that were there before the desk was: its name stands first in the test."""
    return set(threading.enumerate())


def test_closing_stops_the_thread_and_the_work(
    before: set[threading.Thread], desk: Desk, client: FlaskClient, image: str
) -> None:
    until_running(client, slow(client, image)["id"])
    assert any(thread.name == "cnnlens-desk" for thread in {*threading.enumerate()} - before)
    desk.close()
    left = {*threading.enumerate()} - before
    assert not [thread for thread in left if thread.name == "cnnlens-desk" and thread.is_alive()]
    answer = client.post(f"{API}/jobs", json={"visualisers": [{"name": "filter-weights"}]})
    assert answer.status_code == 409 and error(answer) == "Gone"


def test_a_shelf_forgets_what_was_used_longest_ago() -> None:
    shelf: Shelf[str] = Shelf(10)
    for name in "abc":
        shelf.put(name, name, 4)
    assert shelf.get("a") is None and shelf.get("b") == "b"
    shelf.put("d", "d", 4)
    assert list(shelf) == ["b", "d"] and shelf.size == 8
    shelf.put("large", "large", 100)
    assert list(shelf) == ["large"] and len(shelf) == 1
    shelf.clear()
    assert shelf.size == 0


@pytest.mark.parametrize("wait", ["0.05", "99"])
def test_waiting_is_bounded(client: FlaskClient, image: str, wait: str) -> None:
    job = slow(client, image, 1000)
    begun = time.monotonic()
    client.get(f"{API}/jobs/{job['id']}?wait={wait}")
    assert time.monotonic() - begun < 2.5
    client.delete(f"{API}/jobs/{job['id']}")


def test_the_same_asked_twice_is_one_job_until_nobody_wants_it(client: FlaskClient, image: str) -> None:
    asked = {"visualisers": [{"name": "slow"}], "images": [image]}
    first, second = (client.post(f"{API}/jobs", json=asked).json["id"] for _ in range(2))
    assert first == second
    assert client.delete(f"{API}/jobs/{first}?mine=1").json["state"] != "cancelled"
    client.delete(f"{API}/jobs/{first}?mine=1")
    end = time.monotonic() + 20
    while (state := client.get(f"{API}/jobs/{first}?wait=1").json["state"]) != "cancelled":
        assert state == "running" and time.monotonic() < end


def test_pictures_of_one_request_are_its_own(client: FlaskClient) -> None:
    """Two scripts send the same picture at once: neither takes it away from the other."""
    desk = client.application.extensions["cnnlens_desk"]
    ids = [desk.add_image(png_of(5), "same.png", listed=False)["id"] for _ in range(2)]
    desk.remove_image(ids[0])
    assert desk.picture(ids[1], "original").shape
