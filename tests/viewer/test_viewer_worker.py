"""The model in a process of its own: the same answers, and whatever becomes of it the viewer stays."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import viewer_loaders
from needs import need
from viewer_guests import with_guests
from viewer_help import png_of
from viewer_worker_help import (
    again,
    ask,
    error_in,
    held,
    is_there,
    process_of,
    processes,
    until_over,
    until_runs,
)

from cnnlens.cli import main
from cnnlens.errors import BadSetting, CannotOpen, OutOfTime, UnknownName, UsageError, WorkerDied
from cnnlens.testing import tiny_model
from cnnlens.viewer import InProcess, Loader, Worker
from cnnlens.viewer.desks.desk import Busy, Gone, Loading, NotThere
from cnnlens.viewer.process import child, remote
from cnnlens.viewer.process.crossing import Unforeseen

pytestmark = [
    pytest.mark.timeout(90),
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="what is held is read from /proc"),
]
Start = Callable[..., Worker]
PICTURES = (png_of(1), png_of(2))


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a worker on the NumPy network or another; all are closed."""
    running: list[Worker] = []

    def begin(opens: Any = tiny_model, **options: Any) -> Worker:
        worker = Worker(Loader("tiny", opens), PICTURES, plugins=with_guests, **options)
        running.append(worker)
        worker.open()
        return worker

    yield begin
    for worker in running:
        worker.close()


# -- the same answers -------------------------------------------------------------------------------

LIST = (
    "class-probabilities", "feature-maps", "filter-weights", "saliency", "integrated-gradients", "smoothgrad",
    "grad-cam", "score-cam", "occlusion", "rise", "lrp", "everything",
)  # fmt: skip


def test_every_answer_is_bit_by_bit_that_of_a_model_in_this_process(start: Start) -> None:
    need("torch")
    worker = start(viewer_loaders.in_torch)
    desk = InProcess(viewer_loaders.in_torch(), PICTURES, plugins=with_guests())
    try:
        assert worker.model() == desk.model() and worker.layers() == desk.layers()
        assert worker.plugins() == desk.plugins()
        assert worker.visualisers() == desk.visualisers()
        for name in ("grad-cam", "occlusion"):
            assert worker.visualiser(name, {}) == desk.visualiser(name, {})
        given = {"window": 4, "stride": "2"}
        assert worker.visualiser("occlusion", given) == desk.visualiser("occlusion", given)
        for which in ("input", "original"):
            id = desk.images()[0]["id"]
            assert (worker.picture(id, which) == desk.picture(id, which)).all()
        targets = ["square - circle", f"like({desk.images()[1]['id']})"]
        jobs = [until_over(one, ask(one, *LIST, targets=targets)) for one in (worker, desk)]
        assert len(jobs[0]["results"]) == len(jobs[1]["results"]) > 15
        for theirs, mine in zip(*(job["results"] for job in jobs), strict=True):
            assert theirs["error"] == mine["error"] is None, theirs
            _same(worker.result(theirs["id"]), desk.result(mine["id"]))
    finally:
        desk.close()


def test_its_process_keeps_memory_for_passes_to_come(start: Start) -> None:
    assert start(viewer_loaders.settled).model()["name"] == "tiny"


def test_memory_is_handed_back_after_a_while_without_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    one, rested = child.Child(io.BytesIO(), io.BytesIO()), []
    monkeypatch.setattr(child, "QUIET", 0.05)
    monkeypatch.setattr(child, "rest", lambda: (rested.append(True), one._jobs.put({"call": 2})))
    one._jobs.put({"call": 1})
    assert one._next() == {"call": 1} and not rested
    assert one._next() == {"call": 2} and rested == [True]


def _same(one: Any, other: Any) -> None:
    assert repr(_timeless(one.facts)) == repr(_timeless(other.facts))
    assert one.pixels.tobytes() == other.pixels.tobytes() if one.pixels is not None else other.pixels is None
    assert len(one.panels) == len(other.panels)
    for mine, theirs in zip(one.panels, other.panels, strict=True):
        assert type(mine) is type(theirs)
        for name, value in vars(mine).items():
            if isinstance(value, np.ndarray):
                found = getattr(theirs, name)
                assert (value.dtype, value.shape) == (found.dtype, found.shape)
                assert value.tobytes() == found.tobytes(), (one, name)
            else:
                assert repr(value) == repr(getattr(theirs, name))


def _timeless(facts: Any) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if not name.startswith("seconds")}


def test_errors_keep_their_kind_over_the_wire(start: Start) -> None:
    worker = start()
    with pytest.raises(BadSetting, match="window"):
        worker.visualiser("occlusion", {"window": -1})
    with pytest.raises(NotThere, match="did you mean"):
        worker.visualiser("ocklusion", {})
    job = until_over(worker, ask(worker, "breaks", "leaves", "saliency"))
    assert error_in(job)[0] == "PluginFailed" and error_in(job, 1)[0] == "Internal"
    assert job["results"][2]["error"] is None


def test_pictures_are_lent_once_and_again_where_they_were_forgotten() -> None:
    pixels, asked = np.ones((64, 64, 3), np.float32), []

    def say(head: dict[str, Any]) -> None:
        asked.append((head["what"], head["text"], head["call"]))
        told = {"call": head["call"], "error": None, "id": "a", "name": "a.png", "digest": "d", "notes": []}
        borrowed.given(told, [] if head["what"] == "name" else [pixels])

    borrowed = child.Borrowed(say)
    borrowed.asking.call = 7
    assert borrowed.open("a") is borrowed.open("a") is borrowed.named("a.png")
    assert asked == [("picture", "a", 7), ("name", "a.png", 7)]
    for id in map(str, range(6000)):  # 288 MiB
        borrowed.open(id)
    borrowed.open("a")
    assert asked[-1] == ("picture", "a", 7) and sum(one[1] == "a" for one in asked) == 2
    borrowed.forget("a")
    borrowed.open("a")
    borrowed.forget(None)
    borrowed.open("a")
    assert sum(one[1] == "a" for one in asked) == 4


def test_a_picture_that_vanished_is_told_of_in_its_part(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png_of(1))
    worker = Worker(Loader("tiny", tiny_model), [file, png_of(2)])
    try:
        worker.open()
        file.unlink()
        kind, message = error_in(until_over(worker, ask(worker, "saliency")))
        assert kind == "CannotOpen" and message.startswith("a.png cannot be read")
        second = worker.images()[1]["id"]
        assert until_over(worker, ask(worker, "saliency", images=[second]))["results"][0]["error"] is None
    finally:
        worker.close()


# -- a process that dies ----------------------------------------------------------------------------


def test_a_process_that_is_killed_is_told_of_and_comes_again(start: Start) -> None:
    worker = start()
    made = until_over(worker, ask(worker, "saliency"))["results"][0]["id"]
    first, before = process_of(worker), worker.result(made).array.copy()
    job = ask(worker, "hangs", "saliency", targets=["square"])
    waiting = ask(worker, "occlusion")
    until_runs(worker, job)
    begun = time.monotonic()
    os.kill(first, signal.SIGKILL)
    while not worker.job(job["id"])["results"]:
        assert time.monotonic() - begun < 5
        time.sleep(0.005)
    kind, message = error_in(worker.job(job["id"]))
    assert kind == "WorkerDied" and "(signal 9, as the system does when memory runs out)" in message
    assert "being started again" in message
    # everything that needs no model is there meanwhile
    assert worker.opening()["state"] == "ready" and worker.model()["name"] == "tiny"
    assert len(worker.layers()) == 4 and worker.visualiser("grad-cam", {})["name"] == "grad-cam"
    assert (worker.result(made).array == before).all()
    assert worker.picture(worker.images()[0]["id"], "input").shape == (8, 8, 3)
    assert worker.add_image(png_of(5), "new.png")["name"] == "new.png"
    # the rest of the job and those behind it go on
    assert [r["error"] is None for r in until_over(worker, job)["results"]] == [False, True]
    assert until_over(worker, waiting)["results"][0]["error"] is None
    assert process_of(worker) != first and not is_there(first)


def test_what_needs_the_model_does_not_wait_for_it(start: Start, tmp_path: Path) -> None:
    slow = viewer_loaders.Slow(tmp_path)
    slow.go.set()
    worker = start(slow.loader.open)
    (tmp_path / "go").unlink()
    os.kill(process_of(worker), signal.SIGKILL)
    end = time.monotonic() + 10
    with pytest.raises(Loading, match="being opened again"):
        while time.monotonic() < end:
            with contextlib.suppress(WorkerDied):  # asked just before its end was noticed
                worker.visualiser("occlusion", {"window": 4})
    assert worker.opening()["state"] == "ready"
    slow.go.set()
    assert again(lambda: worker.visualiser("occlusion", {"window": 4}))["resolved"]["window"] == 4


@pytest.mark.parametrize(("guest", "words"), [("crashes", "signal 11"), ("dies", "signal 9")])
def test_a_crash_is_the_answer_of_its_own_part_alone(start: Start, guest: str, words: str) -> None:
    worker = start()
    job = until_over(worker, ask(worker, guest, "saliency"))
    assert error_in(job)[0] == "WorkerDied" and words in error_in(job)[1]
    assert job["results"][1]["error"] is None and job["state"] == "done"


def test_three_deaths_in_a_row_are_the_end_until_somebody_resets(start: Start) -> None:
    worker = start()
    made = until_over(worker, ask(worker, "saliency"))["results"][0]["id"]
    for how in (1, 2):  # two, then a part that is finished, and all begins anew
        until_over(worker, ask(worker, {"name": "dies", "settings": {"how": 9}}, targets=[f"top{how}"]))
    until_over(worker, ask(worker, "occlusion"))
    jobs = [ask(worker, "dies", targets=["top1"])]
    jobs += [until_over(worker, ask(worker, {"name": "dies", "settings": {"how": how}})) for how in (6, 4)]
    assert error_in(until_over(worker, jobs[0]))[1].endswith("ask again in a moment")
    told = worker.opening(10)
    assert told["state"] == "failed" and told["error"]["type"] == "WorkerDied"
    assert "3rd time in a row" in told["error"]["message"] and "restart" in told["error"]["message"]
    assert error_in(jobs[2]) == ("WorkerDied", told["error"]["message"])
    assert worker.result(made).array.shape == (8, 8) and worker.model()["name"] == "tiny"
    assert worker.is_known and worker.layers(), "the page can be shown"
    with pytest.raises(WorkerDied, match="3rd time"):
        ask(worker, "grad-cam")
    worker.restart()
    assert worker.result(made), "nothing was forgotten"
    assert again(lambda: until_over(worker, ask(worker, "grad-cam")))["results"][0]["error"] is None
    assert worker.opening(10)["state"] == "ready"


def test_a_file_that_cannot_be_opened_again_is_a_failure(start: Start, tmp_path: Path) -> None:
    worker = start(functools.partial(viewer_loaders.dies_later, tmp_path))
    (tmp_path / "die").touch()
    job = until_over(worker, ask(worker, "dies", "saliency"))
    assert [error_in(job, n)[0] for n in (0, 1)] == ["WorkerDied", "WorkerDied"]
    assert worker.opening(10)["state"] == "failed"
    (tmp_path / "die").unlink()
    worker.reset()
    assert until_over(worker, ask(worker, "saliency"))["results"][0]["error"] is None


@pytest.mark.parametrize(
    ("opens", "kind", "words"),
    [
        (viewer_loaders.dies, WorkerDied, "tiny could not be opened: .*signal 9"),
        (viewer_loaders.babbles, WorkerDied, "said what it may not"),
        (viewer_loaders.leaves, Unforeseen, "3"),
    ],
)
def test_opening_ends_in_a_typed_error_whatever_the_file_does(opens: Any, kind: Any, words: str) -> None:
    before = held()
    worker = Worker(Loader("tiny", opens), plugins=with_guests)
    with pytest.raises(kind, match=words):
        worker.open()
    assert worker.opening()["state"] == "failed" and worker.opening()["error"]["message"]
    with pytest.raises((CannotOpen, WorkerDied)):
        worker.model()
    worker.close()
    assert held() == before


# -- memory and time --------------------------------------------------------------------------------


def test_memory_that_runs_out_is_an_answer_and_no_death(start: Start) -> None:
    worker = start(memory=4 * 2**30)
    first = process_of(worker)
    job = until_over(worker, ask(worker, "greedy", "saliency"))
    assert error_in(job)[0] == "OutOfMemory" and "greedy" in error_in(job)[1]
    assert job["results"][1]["error"] is None and process_of(worker) == first


def test_torch_that_cannot_allocate_says_the_same() -> None:
    need("torch")
    from cnnlens.viewer.desks.local import is_short_of_memory

    try:
        try:
            __import__("torch").empty(2**60)
        except RuntimeError as error:
            raise ValueError("a guest wraps it") from error
    except ValueError as error:
        assert is_short_of_memory(error)
    assert is_short_of_memory(MemoryError()) and not is_short_of_memory(ValueError("memory"))


def test_a_part_that_takes_too_long_is_stopped_by_itself_or_by_force(start: Start) -> None:
    worker = start(deadline=0.5)
    first, begun = process_of(worker), time.monotonic()
    job = until_over(worker, ask(worker, "slow"))
    assert error_in(job)[0] == "OutOfTime" and "--deadline" in error_in(job)[1]
    assert process_of(worker) == first, "it stopped when it was told to"
    job = until_over(worker, ask(worker, "hangs", "saliency"))
    assert error_in(job)[0] == "OutOfTime" and job["results"][1]["error"] is None
    assert process_of(worker) != first and time.monotonic() - begun < 30


def test_stop_stops_what_hears_nothing(start: Start) -> None:
    worker = start()
    first, job = process_of(worker), ask(worker, "hangs", "saliency")
    until_runs(worker, job)
    begun = time.monotonic()
    worker.cancel(job["id"])
    told = until_over(worker, job)
    assert time.monotonic() - begun < 5 and told["state"] == "cancelled" and told["results"] == []
    assert until_over(worker, ask(worker, "saliency"))["results"][0]["error"] is None
    assert process_of(worker) != first


def test_progress_comes_at_once_and_stop_is_heard(start: Start) -> None:
    worker = start()
    begun = time.monotonic()
    job = ask(worker, "slow")
    while not worker.job(job["id"])["progress"]["done"]:
        assert time.monotonic() - begun < 5
        time.sleep(0.005)
    assert worker.job(job["id"])["progress"]["total"] == 400
    begun = time.monotonic()
    worker.cancel(job["id"])
    assert until_over(worker, job)["state"] == "cancelled" and time.monotonic() - begun < 1


def test_a_long_job_keeps_no_question_waiting(start: Start) -> None:
    worker = start()
    job = ask(worker, "hangs")
    until_runs(worker, job)
    begun = time.monotonic()
    for name in [told["name"] for told in worker.visualisers() if not told["why_not"]]:
        schema = worker.visualiser(name, {})["schema"]
        settings = {"layer": schema["layer"]["choices"][0]} if "layer" in schema else {"x": 1}
        with contextlib.suppress(UnknownName):  # which is an answer, too
            assert worker.visualiser(name, settings)["name"] == name
    waiting = ask(worker, "saliency", targets=[f"like({worker.images()[1]['id']})"])
    assert waiting["ahead"] == 1 and time.monotonic() - begun < 10
    assert worker.job(job["id"])["state"] == "running"


def test_a_question_that_is_never_answered_is_the_end_of_the_process_alone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 0.5)
    worker = start(deadline=2.0)
    first = process_of(worker)
    with pytest.raises(Busy, match="try again in a moment"):
        worker.visualiser("dawdles", {"wait": True})
    with pytest.raises(OutOfTime, match="no answer"):
        for _ in range(20):
            with contextlib.suppress(Busy):
                worker.visualiser("dawdles", {"wait": False})
    assert again(lambda: worker.visualiser("dawdles", {"wait": False}))["resolved"] == {"wait": False}
    assert process_of(worker) != first
    until_runs(worker, ask(worker, "hangs"))
    with pytest.raises(Busy, match="try again in a moment"):
        worker.visualiser("dawdles", {"wait": True})


# -- the end ----------------------------------------------------------------------------------------


def test_nothing_is_left_of_many_starts_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = held()
    for turn in range(4):
        worker = Worker(Loader("tiny", tiny_model), PICTURES, plugins=with_guests)
        worker.open()
        until_over(worker, ask(worker, "saliency"))
        assert len(os.listdir(tmp_path)) == 1
        if turn == 1:
            os.kill(process_of(worker), signal.SIGKILL)
            until_over(worker, ask(worker, "saliency", targets=["square"]))
        if turn == 2:
            until_over(worker, ask(worker, "dies", "saliency"))
        if turn == 3:
            until_runs(worker, ask(worker, "hangs"))
        begun = time.monotonic()
        worker.close()
        worker.close()  # a second time does nothing
        assert time.monotonic() - begun < 5
        with pytest.raises(Gone):
            ask(worker, "saliency")
        assert held() == before
        assert os.listdir(tmp_path) == []


def test_a_desk_that_was_never_opened_leaves_nothing() -> None:
    before = held()
    worker = Worker(Loader("tiny", tiny_model), PICTURES)
    with pytest.raises(Loading):
        worker.model()
    worker.close()
    assert held() == before


ALONE = """
import sys, time
sys.path.insert(0, {tests!r})
import viewer_guests, viewer_worker_help
from cnnlens.testing import tiny_model
from cnnlens.viewer import Loader, Worker
worker = Worker(Loader("tiny", tiny_model), [{picture!r}], plugins=viewer_guests.with_guests)
worker.open()
job = viewer_worker_help.ask(worker, "hangs")
viewer_worker_help.until_runs(worker, job)
print("runs", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("everybody", [False, True], ids=["the viewer alone", "the whole group"])
def test_a_viewer_that_is_killed_takes_its_process_along(tmp_path: Path, everybody: bool) -> None:
    code = ALONE.format(tests=str(Path(__file__).parent), picture=PICTURES[0])
    viewer = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    try:
        assert viewer.stdout is not None and viewer.stdout.readline() == b"runs\n"
        (child,) = processes(viewer.pid)
        if everybody:
            os.killpg(viewer.pid, signal.SIGTERM)
        else:
            viewer.kill()
        viewer.communicate(timeout=10)
        end = time.monotonic() + 10
        while is_there(child) and time.monotonic() < end:
            time.sleep(0.02)
        assert not is_there(child) and os.listdir(tmp_path) == []
    finally:
        viewer.kill()
        viewer.communicate()


def test_the_command_takes_limits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from click.testing import CliRunner

    given: dict[str, Any] = {}
    monkeypatch.setattr("cnnlens.viewer.serving.serve", lambda *_, **options: given.update(options))
    words = ["view", str(tmp_path / "a.pt"), "--deadline", "20", "--memory-limit", "8GB"]
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 0, ran.output
    assert given["deadline"] == 20 and given["memory_limit"] == 8 * 10**9
    assert CliRunner().invoke(main, [*words[:-1], "much"]).exit_code == UsageError.exit_code
    assert CliRunner().invoke(main, [*words[:3], "0"]).exit_code == 2


# -- many at once -----------------------------------------------------------------------------------


def test_thirty_two_at_once_get_the_answers_of_one(start: Start) -> None:
    need("torch")
    worker = start(viewer_loaders.in_torch, queue=64)
    ids = [one["id"] for one in worker.images()]
    asked = [(name, id, target) for name in ("saliency", "grad-cam", "occlusion") for id in ids
             for target in ("circle", "square", "p(triangle)")]  # fmt: skip
    alone = {}
    for name, id, target in asked:
        job = until_over(worker, ask(worker, name, images=[id], targets=[target]))
        alone[name, id, target] = worker.result(job["results"][0]["id"]).array.tobytes()
    worker.reset()
    wrong: list[Any] = []

    def client(seed: int) -> None:
        order = np.random.default_rng(seed)
        for turn in range(30):
            key = asked[int(order.integers(len(asked)))]
            try:
                if turn % 3 == 0:
                    worker.visualiser("occlusion", {"window": 2 + turn})
                elif turn % 3 == 1:
                    worker.picture(key[1], "input")
                job = until_over(worker, ask(worker, key[0], images=[key[1]], targets=[key[2]]))
                found = worker.result(job["results"][0]["id"]).array.tobytes()
                if found != alone[key]:
                    wrong.append(key)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    hooks = until_over(worker, ask(worker, "hooks"))["results"][0]["id"]
    assert not worker.result(hooks).array.any(), "none was left on the model"
