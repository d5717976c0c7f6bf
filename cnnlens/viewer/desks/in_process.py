"""The desk in this process, for a model that is in memory already: one thread runs it."""

from __future__ import annotations

from collections.abc import Iterable

from ... import registry
from ...images import Source
from ...model import Model
from .front import Front
from .jobs import QUEUE
from .loading import Opening
from .local import Local
from .pictures import Pictures


class InProcess(Front):
    """Runs jobs on a model, one at a time, and remembers results and passes within bounds."""

    def __init__(
        self,
        model: Model,
        images: Iterable[Source] | Pictures = (),
        *,
        plugins: registry.Registry | None = None,
        queue: int = QUEUE,
    ) -> None:
        opening, pictures = Opening(model.name), Pictures.of(images)
        opening.arrived(model.name)
        runner = Local(model, registry.installed() if plugins is None else plugins, pictures)
        super().__init__(runner, opening, pictures, queue)
