"""The runner in the process that it is asked in: a model in memory, and what was seen of each picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ...describe import (
    describe_layer,
    describe_layer_closely,
    describe_model,
    describe_settings,
    describe_visualiser,
)
from ...errors import Cancelled, OutOfMemory, UnknownName
from ...images import Image
from ...look import look
from ...model import Model
from ...preprocess import InputSpec
from ...probe import Probe
from ...probes import Probes
from ...receptive import ReceptiveFields, receptive_fields
from ...registry import Registry
from ...result import Result
from ...visualiser import Visualiser
from .desk import NotThere, Request, error_of
from .jobs import Part
from .parts import parts_of, target_of
from .runner import Gallery, Watched
from .shelf import Shelf

MAX_PROBES = 512 * 2**20


class Local:
    """A model with its visualisers and pictures; passes over a picture are remembered within bounds."""

    def __init__(self, model: Model, registry: Registry, pictures: Gallery) -> None:
        self._model, self._registry, self._pictures = model, registry, pictures
        self._probes: Shelf[Probe] = Shelf(MAX_PROBES)
        self._fields: ReceptiveFields | None = None
        self._visualisers: list[dict[str, Any]] | None = None

    @property
    def life(self) -> int:
        """It is opened once."""
        return 1

    @property
    def is_known(self) -> bool:
        """Whether there are facts to tell."""
        return True

    def model(self) -> dict[str, Any]:
        """The model's facts."""
        return describe_model(self._model)

    def layers(self) -> list[dict[str, Any]]:
        """The layers in call order."""
        return [describe_layer(layer) for layer in self._model.layers]

    def layer(self, name: str) -> dict[str, Any]:
        """One layer, closely: what a place of it sees of the picture, its weights, its work. Raises NotThere."""
        try:
            self._model.layer(name)
        except UnknownName as error:
            raise NotThere("layer", name, error.known) from None
        if self._fields is None and "tape" in self._model.can:
            # kept: they hang on what the layers are, not on their weights
            self._fields = receptive_fields(self._model)
        return describe_layer_closely(self._model, name, self._fields)

    def visualisers(self) -> list[dict[str, Any]]:
        """Every visualiser with its settings for this model, or why it cannot read it."""
        if self._visualisers is None:  # kept: every page asks, and they hang on what the layers are
            self._visualisers = [self._told(v) for v in self._registry]
        return list(self._visualisers)

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

    @property
    def input(self) -> InputSpec:
        """What the model expects to be fed."""
        return self._model.input

    def parts(self, request: Request, salt: str) -> list[Part]:
        """A request taken apart."""
        return parts_of(request, self._model, self._registry, self._pictures, salt)

    def run(self, part: Part, job: Watched) -> Result:
        """Make one result. Raises OutOfMemory where memory ran out, Cancelled where the job shall stop."""
        try:
            return self._look(part, job)
        except Cancelled:
            raise
        except Exception as error:
            if not is_short_of_memory(error):
                raise
        raise OutOfMemory(
            f"there was not enough memory for {part.visualiser}: choose settings that ask for less, close other "
            "programs, or allow more where a limit was set"
        )

    def _look(self, part: Part, job: Watched) -> Result:
        chosen = self._registry.get(part.visualiser)
        if part.image is None and not part.images:
            return look(self._model, None, chosen, progress=job.tick, **part.settings)
        target = target_of(part.target or "top1", self._model, self._pictures)
        if part.images:
            # known pictures lend what is known of them; the others are opened in turn, and none is kept
            several = Probes(self._model, part.images, target, job.tick, open=self._known)
            return look(self._model, several, chosen, **part.settings)
        assert part.image is not None
        probe = self._probe(part.image).towards(target, job.tick)
        return look(self._model, probe, chosen, progress=job.tick, **part.settings)

    def _known(self, id: str) -> Probe | Image:
        return self._probes.get(id) or self._pictures.open(id)

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

    def forget(self, id: str | None = None) -> None:
        """Let go of what is known of a picture, or of all."""
        if id is None:
            self._probes.clear()
        else:
            self._probes.drop(id)


def is_short_of_memory(error: BaseException) -> bool:
    """Whether that is what an error comes from, in the words of Python or of a framework."""
    return any(
        isinstance(one, MemoryError)
        or type(one).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(one)
        or "Cannot allocate memory" in str(one)
        for one in causes(error)
    )


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it comes from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
