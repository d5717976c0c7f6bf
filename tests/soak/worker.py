"""A soak of the viewer's process, run by hand: `PYTHONPATH=tests/viewer python tests/soak/worker.py [cycles [turns]]`.

So many cycles (100) of each way to lose the process or its time: killed while it works, killed while it has nothing
to do, out of memory, hung until the deadline, hung until somebody presses stop; a twentieth of them with PyTorch.
Meanwhile two others keep asking for facts, pictures and finished results. Then how soon a job tells of itself and
stops, and 32 clients that ask for so many mixed things each (1,000). Told at the end: the 99th percentile of the
others' answers, the time until the typed error and until the service was back, in model loads, and what is held of
threads, files, processes and memory, before and after.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from viewer_guests import with_guests
from viewer_help import png_of
from viewer_loaders import in_torch
from viewer_worker_help import again, ask, error_in, held, process_of, until_over, until_runs

from cnnlens.demo import demo_images, demo_model
from cnnlens.errors import CnnlensError
from cnnlens.model import Model
from cnnlens.testing import tiny_model
from cnnlens.viewer import Loader, Worker

DEADLINE = 1.0


class Others:
    """Two threads that ask for what needs no model, and for how long each answer takes."""

    def __init__(self, worker: Worker, made: str) -> None:
        self.seconds: list[float] = []
        self.wrong: list[Exception] = []
        self._worker, self._made, self._over = worker, made, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(seed,)) for seed in range(2)]
        for thread in self._threads:
            thread.start()

    def _ask(self, seed: int) -> None:
        chance, image = random.Random(seed), self._worker.images()[0]["id"]
        questions: tuple[Callable[[], Any], ...] = (
            self._worker.model, self._worker.visualisers, self._worker.jobs, self._worker.opening,
            lambda: self._worker.result(self._made).array.sum(), lambda: self._worker.picture(image, "input"),
            lambda: self._worker.visualiser("grad-cam", {}),
        )  # fmt: skip
        while not self._over.is_set():
            begun = time.perf_counter()
            try:
                chance.choice(questions)()
            except Exception as error:
                self.wrong.append(error)
            self.seconds.append(time.perf_counter() - begun)
            time.sleep(0.01)

    def end(self) -> None:
        """Let them go, and say what they met."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        told = sorted(self.seconds)
        p99 = told[int(0.99 * len(told))]
        print(f"others: {len(told)} answers, median {1e3 * statistics.median(told):.2f} ms, p99 {1e3 * p99:.2f} ms, "
              f"longest {1e3 * told[-1]:.1f} ms, errors {len(self.wrong)}")  # fmt: skip


def cycle(worker: Worker, way: str) -> tuple[float, float]:
    """Lose the process or its time in a way: seconds until that is told, and until a part is finished again."""
    if way == "killed at rest":
        begun = told = time.perf_counter()
        os.kill(process_of(worker), signal.SIGKILL)
    else:
        names = {"out of memory": "greedy", "killed at work": "hangs", "deadline": "hangs", "stop": "hangs"}
        job = ask(worker, names[way])
        until_runs(worker, job)
        time.sleep(0.02)
        begun = time.perf_counter()
        if way == "killed at work":
            os.kill(process_of(worker), signal.SIGKILL)
        if way == "stop":
            worker.cancel(job["id"])
        job = until_over(worker, job)
        told = time.perf_counter()
        expected = {"out of memory": "OutOfMemory", "killed at work": "WorkerDied", "deadline": "OutOfTime"}
        assert job["state"] == "cancelled" if way == "stop" else error_in(job)[0] == expected[way], job
    gone = time.perf_counter()
    target = f"p({random.randrange(3)})"
    job = again(lambda: until_over(worker, ask(worker, "saliency", targets=[target])))
    assert job["results"][0]["error"] is None, job
    return told - begun, time.perf_counter() - gone


def lose_it(name: str, opens: Callable[[], Model], cycles: int) -> None:
    """All the ways, so many times each, with one model."""
    worker = Worker(
        Loader(name, opens), [png_of(1)], plugins=with_guests, deadline=DEADLINE, memory=24 * 2**30
    )
    worker.open()
    loads = []
    for _ in range(3):
        alone = Worker(Loader(name, opens), [png_of(1)], plugins=with_guests)
        begun = time.perf_counter()
        alone.open()
        loads.append(time.perf_counter() - begun)
        alone.close()
    load = statistics.median(loads)
    print(
        f"{name}: a model load takes {load:.2f} s (a process, the imports, the network, its facts)",
        flush=True,
    )
    cycle(worker, "out of memory")
    before = held()
    others = Others(worker, until_over(worker, ask(worker, "saliency"))["results"][0]["id"])
    for way in ("killed at work", "killed at rest", "out of memory", "deadline", "stop"):
        found = [cycle(worker, way) for _ in range(cycles)]
        told, back = (sorted(some) for some in zip(*found, strict=True))
        print(f"{way}: {cycles} cycles; until told median {statistics.median(told):.3f} s, longest {told[-1]:.3f} s; "
              f"back after median {statistics.median(back):.2f} s ({statistics.median(back) / load:.2f} loads), "
              f"longest {back[-1]:.2f} s ({back[-1] / load:.2f} loads)", flush=True)  # fmt: skip
    others.end()
    told_of(before)
    worker.close()


def told_of(before: dict[str, Any]) -> None:
    """What is held now against before; the one process is another one."""
    now = held()
    print(f"threads {len(before['threads'])} → {len(now['threads'])}, files {before['files']} → {now['files']}, "
          f"processes {len(before['processes'])} → {len(now['processes'])}, "
          f"resident here {resident(os.getpid())} MiB")  # fmt: skip


def resident(process: int) -> int:
    """Memory of a process in MiB."""
    line = next(x for x in Path(f"/proc/{process}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def many(turns: int) -> None:
    """32 clients, each answer held to the serial one; memory of both processes looked at on the way."""
    worker = Worker(Loader("lite0", demo_model), demo_images()[:3], plugins=with_guests, queue=64)
    worker.open()
    ids = [one["id"] for one in worker.images()]
    keys = [(name, id, target) for name in ("saliency", "grad-cam", "feature-maps") for id in ids
            for target in ("top1", "top2", "p(tabby)", "285 - 281")]  # fmt: skip
    alone = {key: value(worker, key) for key in keys}
    wrong: list[Any] = []
    done = [0] * 32

    def client(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(turns):
            key = chance.choice(keys)
            try:
                chance.choice((worker.layers, worker.visualisers, partial(worker.picture, key[1], "input"),
                               lambda: worker.visualiser("occlusion", {"window": 32})))()  # fmt: skip
                if chance.random() < 0.005:
                    worker.reset()  # so that results are made anew all the time
                if value(worker, key) != alone[key]:
                    wrong.append(key)
            except Exception as error:
                wrong.append(error)
            done[seed] += 1

    print(f"many at once: resident here {resident(os.getpid())} MiB, the model's process "
          f"{resident(process_of(worker))} MiB")  # fmt: skip
    begun, child = time.perf_counter(), process_of(worker)
    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(32)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(max(5.0, turns / 50))
        print(f"  {sum(done)} of {32 * turns}, {time.perf_counter() - begun:.0f} s, resident "
              f"{resident(os.getpid())} and {resident(process_of(worker))} MiB", flush=True)  # fmt: skip
    print(f"{32 * turns} requests of 32 clients: {len(wrong)} wrong {wrong[:3]}, the process the same: "
          f"{child == process_of(worker)}, answers after it equal: "
          f"{all(value(worker, key) == alone[key] for key in keys)}")  # fmt: skip
    hooks = until_over(worker, ask(worker, "hooks"))["results"][0]["id"]
    print(f"hooks left on the model: {worker.result(hooks).array.sum():g}")
    worker.close()


def progress() -> None:
    """How soon a job on a real network says how far it is, and how soon it stops."""
    worker = Worker(Loader("lite0", demo_model), demo_images()[:1])
    worker.open()
    until_over(worker, ask(worker, "saliency"))
    first, stopped = [], []
    for seed in range(20):
        begun = time.perf_counter()
        job = ask(worker, {"name": "rise", "settings": {"seed": seed}})
        while not worker.job(job["id"])["progress"]["done"]:
            time.sleep(0.002)
        first.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        worker.cancel(job["id"])
        until_over(worker, job)
        stopped.append(time.perf_counter() - begun)
    for what, told in (("first progress", first), ("stopped", stopped)):
        print(
            f"RISE on EfficientNet-Lite0: {what} after {statistics.median(told):.3f} s, longest {max(told):.3f} s"
        )
    worker.close()


def value(worker: Worker, key: tuple[str, str, str]) -> bytes:
    """The raw values of one answer; made again where somebody reset the desk in between."""
    while True:
        job = until_over(worker, ask(worker, key[0], images=[key[1]], targets=[key[2]]), 600)
        if job["state"] != "done":
            continue
        try:
            return worker.result(job["results"][0]["id"]).array.tobytes()
        except CnnlensError:
            continue


def main(cycles: int = 100, turns: int = 1000) -> None:
    """All of it."""
    begun = held()
    logging.disable(logging.WARNING)  # each death is told of on the terminal
    lose_it("a network in NumPy", tiny_model, cycles)
    lose_it("a network in PyTorch", in_torch, -(-cycles // 20))
    progress()
    many(turns)
    ended = held()
    print(f"all closed: threads {begun['threads']} → {ended['threads']}, files {begun['files']} → {ended['files']}, "
          f"processes {begun['processes']} → {ended['processes']}")  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
