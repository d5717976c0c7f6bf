"""The runner in another process: what is asked of it over the wire, and how long it may take to answer."""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...errors import Cancelled, OutOfTime, WorkerDied
from ...model import Model
from ...preprocess import InputSpec
from ...registry import Registry
from ...result import Result
from ..desks.desk import Busy, Loading, Request
from ..desks.jobs import Part
from ..desks.loading import Opening
from ..desks.pictures import Pictures
from ..desks.runner import Watched
from .answers import input_of, read_facts, read_parts
from .calls import Call, Calls, Said
from .crossing import facts_of, packed
from .process import Process
from .results import read_result
from .supervisor import Supervisor
from .wire import Arrays, Garbled

GRACE = 3.0  #: seconds that work has to stop by itself when it shall
LOOK_UP = 0.05  #: seconds between two looks at whether it shall
PATIENCE = 5.0  #: seconds that a question waits, for each holds a thread of the server
ROOM = 1.0  #: seconds that it waits for its turn to be asked
ASKING = 3  #: questions that may wait at once: the threads that are left tell of jobs and stop them


class Remote:
    """A model in a process of its own, which is started again when it dies.

    Its facts are kept here, and told whatever becomes of it. `deadline` is how many seconds a part may take.
    """

    def __init__(
        self,
        opening: Opening,
        open: Callable[[], Model],
        plugins: Callable[[], Registry],
        pictures: Pictures,
        deadline: float,
        memory: int | None,
    ) -> None:
        self._payload = np.frombuffer(pickle.dumps((open, plugins)), np.uint8)
        self._opening, self._pictures, self._deadline, self._memory = opening, pictures, deadline, memory
        self._facts: dict[str, Any] = {}
        self.life = 0  #: results of a model that was opened again have other ids: its file may be another
        self._calls = Calls()
        self._one = threading.Lock()  # parts run one at a time
        self._asking = threading.BoundedSemaphore(ASKING)
        self._owing: float | None = None  # since when there is no answer to any question
        self.supervisor = Supervisor(opening, self._start, self._hear, self._calls.lose)

    # -- facts ------------------------------------------------------------------------------------

    @property
    def is_known(self) -> bool:
        """Whether there are facts to tell: those of a model that was open once are kept."""
        return {"model", "layers", "plugins", "visualisers"} <= self._facts.keys()

    def model(self) -> dict[str, Any]:
        """The model's facts."""
        return dict(self._fact("model"))

    def layers(self) -> list[dict[str, Any]]:
        """The layers in call order."""
        return list(self._fact("layers"))

    def layer(self, name: str) -> dict[str, Any]:
        """One layer, closely: what a place of it sees of the picture, its weights, its work. Raises NotThere."""
        return facts_of(self._ask({"do": "layer", "name": name}).get("value"))

    def visualisers(self) -> list[dict[str, Any]]:
        """Every visualiser with its settings for this model, or why it cannot read it."""
        return list(self._fact("visualisers"))

    def plugins(self) -> dict[str, Any]:
        """What was loaded, and what was left out and why."""
        return dict(self._fact("plugins"))

    @property
    def input(self) -> InputSpec:
        """What the model expects to be fed."""
        return input_of(self._fact("model"))

    def visualiser(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """One visualiser, the given settings resolved, and what they cost; with its defaults it is known."""
        known = next((told for told in self._fact("visualisers") if told.get("name") == name), None)
        if not settings and known is not None and "words" in (known.get("verdict") or {}):
            return dict(known)
        asked = {"do": "tell", "name": name, "settings": packed(dict(settings))}
        return facts_of(self._ask(asked).get("value"))

    def _fact(self, name: str) -> Any:
        if name not in self._facts:
            self.supervisor.asked()  # which says why
            raise Loading(f"{self._opening.name} is still being opened: try again in a moment")
        return self._facts[name]

    # -- work -------------------------------------------------------------------------------------

    def parts(self, request: Request, salt: str) -> list[Part]:
        """A request taken apart, where the model is."""
        asked = {"do": "parts", "request": request.model_dump(), "salt": f"{salt}{self.life}"}
        return read_parts(self._ask(asked).get("value"), request)

    def run(self, part: Part, job: Watched) -> Result:
        """Make one result. Raises WorkerDied, OutOfTime, Cancelled, and what the visualiser raised."""
        with self._one:
            while (process := self.supervisor.ready(LOOK_UP)) is None:
                if job.stop.is_set():
                    raise Cancelled("stopped on request")
            with self._calls.to(process, job) as call:
                process.send({"do": "run", "call": call.number, "part": packed(vars(part))})
                try:
                    said = self._watched(call, job)
                finally:
                    call.job = None
            if said.what != "result":
                process.kill(planned=False)
                raise Garbled("a part ends as a result")
            try:
                return read_result(said.head.get("result"), said.arrays)
            except Garbled:
                process.kill(planned=False)
                raise

    def _watched(self, call: Call, job: Watched) -> Said:
        """What a part comes to. One that shall stop, or took too long, is told so and after a while killed."""
        late, stop, end = time.monotonic() + self._deadline, None, math.inf
        while True:
            try:
                said = self._heard(call, LOOK_UP)
            except Cancelled:
                self.supervisor.finished()
                raise stop or Cancelled("stopped on request") from None
            except WorkerDied:
                raise
            except Exception:
                self.supervisor.finished()
                raise
            if said is not None:
                self.supervisor.finished()
                return said
            now = time.monotonic()
            if stop is None and (job.stop.is_set() or now > late):
                stop, end = self._why(job), now + GRACE
                call.process.send({"do": "stop", "call": call.number})
            if stop is not None and now > end:
                call.process.kill()
                raise stop

    def _why(self, job: Watched) -> Exception:
        if job.stop.is_set():
            return Cancelled("stopped on request")
        return OutOfTime(
            f"it took more than {self._deadline:g} seconds and was stopped: choose settings that ask for less, or "
            "give it more time with --deadline"
        )

    def _heard(self, call: Call, seconds: float) -> Said | None:
        """What is said in a call, pictures that it asks for handed over."""
        said = call.hear(seconds)
        if said is None or said.what != "ask":
            return said
        try:
            call.process.send(*self._given(call, said.head))
        except Garbled:
            raise
        except Exception as error:
            call.refuse(error)
        return None

    def _given(self, call: Call, head: Mapping[str, Any]) -> tuple[dict[str, Any], Arrays]:
        given = {"do": "give", "call": call.number, "error": None}
        match head:
            case {"what": "name", "text": str(text)}:
                return given | {"id": self._pictures.find(text)}, ()
            case {"what": "picture", "text": str(id)}:
                image = self._pictures.open(id)
                told = {"name": image.name, "digest": image.digest, "notes": list(image.notes)}
                return given | told, (image.pixels,)
        raise Garbled("a picture or a name is asked for")

    def _ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a question that takes no job. Busy where it is not there soon; asked again, it may be."""
        process = self.supervisor.asked()
        if not self._asking.acquire(timeout=ROOM):
            raise Busy(f"{ASKING} questions wait for the model already: try again in a moment")
        try:
            with self._calls.to(process) as call:
                process.send({**asked, "call": call.number})
                return self._answered(call)
        finally:
            self._asking.release()

    def _answered(self, call: Call) -> dict[str, Any]:
        """The answer. A process that owes any for as long as a part may take will give none, and is ended."""
        begun = time.monotonic()
        self._owing = begun if self._owing is None else self._owing
        while time.monotonic() - begun < PATIENCE:
            try:
                said = self._heard(call, LOOK_UP)
            except BaseException:
                self._owing = None
                raise
            if said is not None:
                self._owing = None
                return said.head
        if self._one.locked():
            self._owing = None  # a part is at work, which has an end of its own
        elif time.monotonic() - self._owing > self._deadline:
            self._owing = None
            call.process.kill()
            raise OutOfTime(f"no answer came within {self._deadline:g} seconds")
        raise Busy("the model is at work and cannot tell now: try again in a moment")

    def forget(self, id: str | None = None) -> None:
        """Let go of what is known of a picture, or of all, there."""
        process = self.supervisor.living
        if process is not None:
            process.send({"do": "forget", "id": id})

    # -- the process ------------------------------------------------------------------------------

    def _start(self, first: bool) -> Process:
        process = Process()
        self._owing = None
        process.send({"do": "open", "first": first, "memory": self._memory}, (self._payload,))
        return process

    def _hear(self, process: Process, head: dict[str, Any], arrays: Arrays) -> None:
        """What a process says; raises Garbled where it may not."""
        match head:
            case {"say": "open", "name": str(name), "facts": facts}:
                known = read_facts(facts)
                self.life += 1  # first: what an earlier model said is then not shown with the facts of this
                self._facts |= known
                self.supervisor.opened(process, name)
            case {"say": "begun"}:
                self._opening.begun.set()
            case {"say": "facts", "facts": facts}:
                self._facts |= read_facts(facts)
            case _:
                self._calls.hear(process, head, arrays)
