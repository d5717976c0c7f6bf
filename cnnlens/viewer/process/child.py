"""The process that runs the model: it does what it is sent, and ends when nobody is left to send anything.

The main thread opens the model and works jobs off, a second one answers what takes no job, a third one reads: so
a long job keeps no question waiting, and the end of the viewer is noticed in the middle of anything.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pickle
import queue
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from ...errors import Cancelled, OutOfMemory
from ...images import Image
from ...runtime import rest, settle
from ..desks.desk import Request
from ..desks.jobs import Part
from ..desks.local import Local, causes, is_short_of_memory
from ..desks.shelf import Shelf
from .crossing import packed, read_error, send_error, unpacked
from .results import send_result
from .wire import Arrays, frame, read_frame

MAX_IMAGES = 256 * 2**20
QUIET = 5.0  #: seconds without a job after which memory is handed back
TICK = 0.02  #: seconds between two words on how far a job is


def main() -> None:
    """Serve the process that started this one, over what it gave as standard input and output."""
    faulthandler.enable()  # a crash says on the terminal where it was
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the viewer's to handle
    signal.signal(
        signal.SIGTERM, lambda *_: leave()
    )  # to a whole group of processes, say: nothing is left behind
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    given, taken = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what a model prints goes to the terminal
    Child(given, taken).serve()


def leave() -> None:
    """End at once, whatever other threads do; temporary files go along, should the viewer be gone too."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    shutil.rmtree(sys.argv[2], ignore_errors=True)
    os._exit(0)


class Child:
    """This end of the wire, and the model behind it."""

    def __init__(self, given: BinaryIO, taken: BinaryIO) -> None:
        self._given, self._taken = given, taken
        self._sending = threading.Lock()
        self._jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._questions: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._steps: dict[int, Steps] = {}
        self._pictures = Borrowed(self.say)
        self._runner: Local | None = None

    def serve(self) -> None:
        """Open the model that the first frame tells of, then do what the others ask for, until they end."""
        head, arrays = read_frame(self._fill)
        threading.Thread(target=self._listen, name="cnnlens-listen", daemon=True).start()
        try:
            _allow(head["memory"])
            settle()
            open_model, plugins = pickle.loads(arrays[0].tobytes())  # from our own parent
            self.say({"say": "begun"})
            model = open_model()
            self._runner = runner = Local(model, plugins(), self._pictures)
            facts = {"model": runner.model(), "layers": runner.layers(), "plugins": runner.plugins()}
            facts |= {"visualisers": runner.visualisers()} if head["first"] else {}
        except BaseException as error:  # the file's own code may raise anything
            if head["memory"] is not None and (is_short_of_memory(error) or _is_unmapped(error)):
                words = f"{head['memory'] / 2**20:.0f} MB are too little to open it in ({error}): allow more"
                error = OutOfMemory(words)
            self.say({"say": "failed", "error": send_error(error)})
            leave()
        self.say({"say": "open", "name": str(model.name), "facts": packed(facts)})
        threading.Thread(target=self._answer_all, name="cnnlens-answer", daemon=True).start()
        if not head["first"]:  # asked anew, so that no question has to wait for a job to find these out
            self.say({"say": "facts", "facts": packed({"visualisers": runner.visualisers()})})
        while True:
            self._do(self._next(), self._run)

    def _next(self) -> dict[str, Any]:
        """The next job. After a while without one, what the last ones freed is handed back."""
        try:
            return self._jobs.get(timeout=QUIET)
        except queue.Empty:
            rest()
            return self._jobs.get()

    def say(self, head: dict[str, Any], arrays: Arrays = ()) -> None:
        """Send a frame; the end where nobody takes it."""
        pieces = frame(head, arrays)
        try:
            with self._sending:
                for piece in pieces:
                    self._taken.write(piece)
                self._taken.flush()
        except OSError:
            leave()

    def _fill(self, room: memoryview) -> None:
        while room:
            got = self._given.readinto(room)  # type: ignore[attr-defined]
            if not got:
                raise EOFError
            room = room[got:]

    def _listen(self) -> None:
        """Hand each frame to whom it is for. The end of them is the end of this process."""
        try:
            while True:
                head, arrays = read_frame(self._fill)
                match head["do"]:
                    case "run":
                        self._steps[head["call"]] = Steps(head["call"], self.say)
                        self._jobs.put(head)
                    case "stop":
                        if steps := self._steps.get(head["call"]):
                            steps.stop.set()
                    case "give":
                        self._pictures.given(head, arrays)
                    case "forget":
                        self._pictures.forget(head["id"])
                        if self._runner is not None:
                            self._runner.forget(head["id"])
                    case "close":
                        break
                    case _:
                        self._questions.put(head)
        except EOFError:
            pass  # nobody is left to ask
        except BaseException:
            sys.excepthook(*sys.exc_info())
        leave()

    def _answer_all(self) -> None:
        while True:
            self._do(self._questions.get(), self._answer)

    def _do(self, head: dict[str, Any], work: Callable[[Local, dict[str, Any]], None]) -> None:
        """Answer one call with what comes of it, or with the error."""
        assert self._runner is not None  # it was there before anything was asked
        self._pictures.asking.call = head["call"]
        try:
            work(self._runner, head)
        except BaseException as error:  # a guest's sys.exit() must not end this process either
            self.say({"say": "error", "call": head["call"], "error": send_error(error)})

    def _run(self, runner: Local, head: dict[str, Any]) -> None:
        try:
            part = Part(**unpacked(head["part"]))
            told, arrays = send_result(runner.run(part, self._steps[head["call"]]))
            self.say({"say": "result", "call": head["call"], "result": told}, arrays)
        finally:
            del self._steps[head["call"]]

    def _answer(self, runner: Local, head: dict[str, Any]) -> None:
        if head["do"] == "parts":
            parts = runner.parts(Request.model_validate(head["request"]), head["salt"])
            answer: Any = [part.told() | {"id": part.id} for part in parts]
        elif head["do"] == "layer":
            answer = runner.layer(head["name"])
        else:
            answer = runner.visualiser(head["name"], unpacked(head["settings"]))
        self.say({"say": "answer", "call": head["call"], "value": packed(answer)})


class Steps:
    """A job's part as this process watches it: whether it shall stop, and how far it is, said not too often."""

    def __init__(self, call: int, say: Callable[[dict[str, Any]], None]) -> None:
        self.stop = threading.Event()
        self._call, self._say = call, say
        self._said = 0.0

    def tick(self, done: int, total: int) -> None:
        """Say how far it is; raises Cancelled where it shall stop."""
        now = time.monotonic()
        if now - self._said >= TICK or done >= total:
            self._said = now
            self._say({"say": "tick", "call": self._call, "done": int(done), "total": int(total)})
        if self.stop.is_set():
            raise Cancelled("stopped on request")


class Borrowed:
    """The viewer's pictures, asked for when they are first needed, and again where they were forgotten."""

    def __init__(self, say: Callable[[dict[str, Any]], None]) -> None:
        self.asking = threading.local()  #: `call`: the call that the thread is at work on
        self._say = say
        self._held: Shelf[Image] = Shelf(MAX_IMAGES)
        self._given: dict[int, queue.SimpleQueue[tuple[dict[str, Any], Arrays]]] = {}

    def open(self, id: str) -> Image:
        """The opened picture. Raises NotThere, CannotOpen."""
        image = self._held.get(id)
        if image is None:
            head, (pixels,) = self._ask("picture", id)
            pixels.flags.writeable = False
            image = Image(pixels, head["name"], head["digest"], tuple(head["notes"]))
            self._held.put(id, image, pixels.nbytes)
        return image

    def named(self, text: str) -> Image:
        """The opened picture of that id or name. Raises UnknownName, BadInput."""
        return self.open(self._ask("name", text)[0]["id"])

    def given(self, head: dict[str, Any], arrays: Arrays) -> None:
        """Hand over what was asked for."""
        if box := self._given.get(head["call"]):
            box.put((head, arrays))

    def forget(self, id: str | None) -> None:
        """Let go of a picture, or of all."""
        if id is None:
            self._held.clear()
        else:
            self._held.drop(id)

    def _ask(self, what: str, text: str) -> tuple[dict[str, Any], Arrays]:
        call = self.asking.call
        box = self._given[call] = queue.SimpleQueue()
        try:
            self._say({"say": "ask", "call": call, "what": what, "text": text})
            head, arrays = box.get()
        finally:
            del self._given[call]
        if head["error"] is not None:
            raise read_error(head["error"])
        return head, arrays


def _is_unmapped(error: BaseException) -> bool:
    """Whether a library that is there could not be brought in: held to too little memory, none can."""
    return any(
        isinstance(one, ImportError) and not isinstance(one, ModuleNotFoundError) for one in causes(error)
    )


def _allow(memory: int | None) -> None:
    """Hold this process to so many bytes of address space."""
    if memory is not None:
        import resource  # not there on Windows, where no limit is taken

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
