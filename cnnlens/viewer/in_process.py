"""The desk in this process: one thread runs the model, which is in memory or still on its way there."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .. import registry
from ..arrays import Array
from ..describe import describe_layer, describe_model, describe_settings, describe_visualiser
from ..errors import Cancelled, UnknownName
from ..images import Source
from ..look import look
from ..model import Model
from ..panels import panel_array
from ..probe import Probe
from ..result import Result
from ..visualiser import Visualiser
from .desk import NotThere, Request, Which, error_of
from .jobs import Job, Line, Part
from .loading import Loader, Opening
from .parts import parts_of, target_of
from .pictures import Pictures
from .shelf import Shelf

log = logging.getLogger("cnnlens.viewer")

MAX_RESULTS = 256 * 2**20
MAX_PROBES = 512 * 2**20


class InProcess:
    """Runs jobs on a model, one at a time, and remembers results and passes within bounds.

    What needs the model raises Loading until `open` is done with a model that was handed over as a Loader.
    """

    def __init__(
        self,
        model: Model | Loader,
        images: Iterable[Source] = (),
        *,
        plugins: registry.Registry | None = None,
        queue: int = 16,
    ) -> None:
        self._opening = Opening(model)
        self._plugins = plugins
        if isinstance(model, Model):
            self._install()
        self._pictures = Pictures(images)
        self._results: Shelf[Result] = Shelf(MAX_RESULTS)
        self._probes: Shelf[Probe] = Shelf(MAX_PROBES)
        self._salt = secrets.token_hex(8)  # results of another start, or another model, have other ids
        self._line = Line(self._work, queue)

    # -- the model, which may still be on its way ---------------------------------------------------

    def open(self) -> None:
        """Open the model that is still to be opened, in the thread that calls; raises what that raises."""
        self._opening.finish(self._install)  # plugins too: both may bring in a framework

    def opening(self, wait: float = 0.0) -> dict[str, Any]:
        """How far the model's opening has come; waits up to `wait` seconds for its end."""
        return self._opening.told(wait)

    def awaited(self, seconds: float, coming: bool) -> bool:
        """Wait until those are told who want to know that the opening failed; whether anybody was."""
        return self._opening.awaited(seconds, coming)

    @property
    def _model(self) -> Model:
        return self._opening.model

    @property
    def _registry(self) -> registry.Registry:
        assert self._model is not None and self._plugins is not None  # `_model` raises what it is to raise
        return self._plugins

    def _install(self) -> None:
        self._plugins = self._plugins or registry.installed()

    # -- what there is ----------------------------------------------------------------------------

    def model(self) -> dict[str, Any]:
        """The model's facts."""
        return describe_model(self._model)

    def layers(self) -> list[dict[str, Any]]:
        """The layers in call order."""
        return [describe_layer(layer) for layer in self._model.layers]

    def visualisers(self) -> list[dict[str, Any]]:
        """Every visualiser with its settings for this model, or why it cannot read it."""
        return [self._told(v) for v in self._registry]

    def visualiser(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """One visualiser, the given settings resolved, and what they cost."""
        try:
            chosen = self._registry.get(name)
        except UnknownName as error:
            raise NotThere("visualiser", name, error.known) from None
        told = describe_visualiser(chosen, self._registry.origin(name))
        told |= {"schema": chosen.settings.schema(self._model), "resolved": None, "passes": None}
        verdict = chosen.verdict(self._model)  # its defaults', which say whether it can read the model at all
        told["why_not"] = verdict.why_not
        if verdict.why_not is None:
            resolved = chosen.settings.resolve(settings, self._model)
            verdict = chosen.verdict(self._model, resolved) if settings else verdict
            cost = chosen.cost_of(self._model, resolved)
            told["settings"] = describe_settings(chosen, self._model)
            told |= {"resolved": resolved, "cost": str(cost), "passes": cost.forwards + cost.backwards}
        return told | {"verdict": verdict.facts() | {"words": str(verdict)}}

    def _told(self, chosen: Visualiser[Any, Any]) -> dict[str, Any]:
        """As `visualiser`; one whose own code fails when asked is told of as unable, and the others stay."""
        try:
            return self.visualiser(chosen.name, {})
        except Exception as error:
            told = describe_visualiser(chosen, self._registry.origin(chosen.name))
            unable = {"schema": chosen.settings.schema(), "why_not": error_of(error)["message"]}
            return told | unable | {"resolved": None, "passes": None}

    def plugins(self) -> dict[str, Any]:
        """What was loaded, and what was left out and why."""
        found = self._registry
        return {
            "loaded": [
                {"name": p.name, "version": p.version, "visualisers": list(p.visualisers)}
                for p in found.plugins
            ],
            "problems": [{"plugin": p.plugin, "reason": p.reason} for p in found.problems],
        }

    def images(self) -> list[dict[str, Any]]:
        """The pictures: id and name."""
        return self._pictures.listed()

    def add_image(self, data: bytes, name: str, listed: bool = True) -> dict[str, Any]:
        """Take a picture in."""
        return self._pictures.add(data, name, listed)

    def remove_image(self, id: str) -> None:
        """Forget a picture."""
        self._pictures.remove(id)
        self._probes.drop(id)

    def picture(self, id: str, which: Which) -> Array:
        """A picture's pixels."""
        return self._pictures.shown(id, self._model.input if which == "input" else None)

    # -- jobs -------------------------------------------------------------------------------------

    def submit(self, request: Request) -> dict[str, Any]:
        """Check a request, take it apart and queue it; refuses before anything runs."""
        job = Job(parts_of(request, self._model, self._registry, self._pictures, self._salt))
        if all(self._results.get(part.id) is not None for part in job.parts):
            job.state = "running"  # nothing to wait for: it never stands in the line
            self._work(job)
            job.finish("done")
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

    def cancel(self, id: str) -> dict[str, Any]:
        """Ask a job to stop."""
        job = self._line.get(id)
        self._line.cancel(job)
        return self._line.told(job)

    def result(self, id: str) -> Result:
        """A finished result."""
        found = self._results.get(id)
        if found is None:
            raise NotThere("result", id, (), "; it was forgotten to save memory, or never made: run it again")
        return found

    def reset(self) -> None:
        """Stop the jobs, forget the results, and take the pictures back to those of the start."""
        for job in self._line.newest():
            if not job.over.is_set():
                self._line.cancel(job)
        self._results.clear()
        self._probes.clear()
        self._pictures.reset()

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
                    result = self._look(part, job)
                    self._results.put(part.id, result, _size(result))
                answer: dict[str, Any] = {"id": part.id, "error": None}
            except Cancelled:
                return
            except BaseException as error:  # a guest's sys.exit() must not end the desk either
                told = error_of(error)
                if told["type"] == "Internal":
                    log.exception("%s failed", part.visualiser)
                answer = {"id": None, "error": told}
            job.answers.append(part.told() | answer)

    def _look(self, part: Part, job: Job) -> Result:
        chosen = self._registry.get(part.visualiser)
        if part.image is None:
            return look(self._model, None, chosen, progress=job.tick, **part.settings)
        probe = self._probe(part.image).towards(
            target_of(part.target or "top1", self._model, self._pictures), job.tick
        )
        return look(self._model, probe, chosen, progress=job.tick, **part.settings)

    def _probe(self, id: str) -> Probe:
        """The picture's probe: those who ask for the same layer share one pass."""
        probe = self._probes.get(id)
        if probe is None:
            image = self._pictures.open(id)
            probe = Probe(self._model, image)
            # What it can come to hold: the picture, and every layer's maps once and once more as gradients.
            maps = sum(math.prod(layer.shape) for layer in self._model.layers if layer.shape)
            self._probes.put(id, probe, 8 * maps + image.pixels.nbytes)
        return probe


def _size(result: Result) -> int:
    arrays = [result.pixels, *map(panel_array, result.panels)]
    return 4096 + sum(np.asarray(a).nbytes for a in arrays if a is not None)
