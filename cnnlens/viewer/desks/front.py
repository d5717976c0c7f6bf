"""What every desk does in the web process: pictures, the line of jobs, results, facts. The model is a runner's."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...arrays import Array
from ...errors import Cancelled
from ...panels import panel_array
from ...result import Result
from .desk import NotThere, Request, Which, error_of
from .jobs import Job, Line, Part
from .loading import Opening
from .pictures import Pictures
from .runner import Runner
from .shelf import Shelf

log = logging.getLogger("cnnlens.viewer")

MAX_RESULTS = 256 * 2**20


class Front:
    """A desk over a runner: works jobs off one at a time, and remembers results within bounds."""

    def __init__(self, runner: Runner, opening: Opening, pictures: Pictures, queue: int) -> None:
        self._runner, self._opening, self._pictures = runner, opening, pictures
        self._results: Shelf[Result] = Shelf(MAX_RESULTS)
        self._salt = secrets.token_hex(8)  # results of another start, or another model, have other ids
        self._line = Line(self._work, queue)

    @property
    def pictures(self) -> Pictures:
        """The pictures, for a second desk that looks at the same ones."""
        return self._pictures

    # -- the model, which may still be on its way ---------------------------------------------------

    def open(self) -> None:
        """Wait until a model that is still to be opened is there; raises what its opening raises."""
        self._opening.wait()

    @property
    def begun(self) -> threading.Event:
        """Set when the opening itself has begun."""
        return self._opening.begun

    def opening(self, wait: float = 0.0) -> dict[str, Any]:
        """How far the model's opening has come; waits up to `wait` seconds for its end."""
        return self._opening.told(wait)

    def awaited(self, seconds: float, coming: bool) -> bool:
        """Wait until those are told who want to know that the opening failed; whether anybody was."""
        return self._opening.awaited(seconds, coming)

    # -- what there is ----------------------------------------------------------------------------

    @property
    def is_known(self) -> bool:
        """Whether the model's facts can be told, even while it is started again or given up."""
        return self._runner.is_known

    def model(self) -> dict[str, Any]:
        """The model's facts."""
        return self._runner.model()

    def layers(self) -> list[dict[str, Any]]:
        """The layers in call order."""
        return self._runner.layers()

    def layer(self, name: str) -> dict[str, Any]:
        """One layer, closely: what a place of it sees of the picture, its weights, its work. Raises NotThere."""
        return self._runner.layer(name)

    def visualisers(self) -> list[dict[str, Any]]:
        """Every visualiser with its settings for this model, or why it cannot read it."""
        return self._runner.visualisers()

    def visualiser(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """One visualiser, the given settings resolved, and what they cost."""
        return self._runner.visualiser(name, settings)

    def plugins(self) -> dict[str, Any]:
        """What was loaded, and what was left out and why."""
        return self._runner.plugins()

    def images(self) -> list[dict[str, Any]]:
        """The pictures: id and name."""
        return self._pictures.listed()

    def add_image(self, data: bytes, name: str, listed: bool = True) -> dict[str, Any]:
        """Take a picture in."""
        return self._pictures.add(data, name, listed)

    def remove_image(self, id: str) -> None:
        """Forget a picture."""
        self._pictures.remove(id)
        self._runner.forget(id)

    def picture(self, id: str, which: Which) -> Array:
        """A picture's pixels. They are fitted to the model's input here, which takes no model."""
        return self._pictures.shown(id, self._runner.input if which == "input" else None)

    # -- jobs -------------------------------------------------------------------------------------

    def submit(self, request: Request) -> dict[str, Any]:
        """Check a request, take it apart and queue it; refuses before anything runs."""
        for id in request.images:
            self._pictures.get(id)
        life = self._runner.life
        job = Job(self._runner.parts(request, self._salt), life=life)
        same = self._line.same(job)
        if same is not None:
            return self._line.told(same)
        if all(self._results.get(part.id) is not None for part in job.parts):
            job.answers = [_done(part) for part in job.parts]
            job.finish("done")  # nothing to wait for: it never stands in the line
        self._line.add(job)
        return self._line.told(job)

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs that are remembered, the newest first."""
        return [self._line.told(job) for job in self._line.newest()]

    def job(self, id: str, wait: float = 0.0) -> dict[str, Any]:
        """A job's state, at its end or after `wait` seconds."""
        job = self._line.get(id)
        if wait:
            job.over.wait(wait)
        return self._line.told(job)

    def cancel(self, id: str, mine: bool = False) -> dict[str, Any]:
        """Ask a job to stop; of `mine`, only when nobody else has asked for the same."""
        job = self._line.get(id)
        if not mine or self._line.let_go(job):
            self._line.cancel(job)
        return self._line.told(job)

    def result(self, id: str) -> Result:
        """A finished result."""
        found = self._results.get(id)
        if found is None:
            raise NotThere("result", id, (), "; it was forgotten to save memory, or never made: run it again")
        return found

    def known(self, visualiser: str, settings: Mapping[str, Any], image: str) -> Result | None:
        """What was made of a picture by a visualiser that takes no target, if it is remembered; nothing is run."""
        wanted = (visualiser, dict(settings), image, None)
        for job in self._line.newest():
            if job.life == self._runner.life:  # of the model that is there now
                for part in job.parts:
                    found = (part.visualiser, part.settings, part.image, part.target)
                    if found == wanted and (result := self._results.get(part.id)) is not None:
                        return result
        return None

    def reset(self) -> None:
        """Stop the jobs, forget the results, and take the pictures back to those of the start."""
        for job in self._line.newest():
            if not job.over.is_set():
                self._line.cancel(job)
        self._results.clear()
        self._runner.forget()
        self._pictures.reset()

    def forget(self, id: str) -> None:
        """Let go of what is known of a picture that another desk has removed."""
        self._runner.forget(id)

    def restart(self) -> None:
        """Start a model again that was given up; here there is none that could be."""

    def close(self) -> None:
        """Stop for good."""
        self._line.close()
        self.reset()

    def _work(self, job: Job) -> None:
        """One part after the other. One that fails is an answer too; the others go on."""
        for part in job.parts:
            if job.stop.is_set():
                return
            job.done = job.total = 0
            try:
                if self._results.get(part.id) is None:
                    result = self._runner.run(part, job)
                    self._results.put(part.id, result, _size(result))
                answer = _done(part)
            except Cancelled:
                return
            except BaseException as error:  # a guest's sys.exit() must not end the desk either
                told = error_of(error)
                if told["type"] == "Internal":
                    log.exception("%s failed", part.visualiser)
                answer = part.told() | {"id": None, "error": told}
            job.answers.append(answer)


def _done(part: Part) -> dict[str, Any]:
    """The answer of a part that there is a result of."""
    return part.told() | {"id": part.id, "error": None}


def _size(result: Result) -> int:
    arrays = [result.pixels, *map(panel_array, result.panels)]
    return 4096 + sum(np.asarray(a).nbytes for a in arrays if a is not None)
