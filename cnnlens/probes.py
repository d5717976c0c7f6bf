"""Several pictures held to one model, for what can only be said of all of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .errors import Unmet
from .images import Image, Source, open_image
from .model import Model
from .probe import Probe, Progress
from .targets import Target, read_target

Open = Callable[[Any], "Source | Probe"]


class Probes:
    """Pictures held to one model for one target: iterating gives one probe after another.

    A probe is made when its picture's turn comes, and none but the first is kept: what was seen of two pictures is the
    most that memory holds, however many there are. Add up as you go. Iterating again makes the passes again.

    `images` are opened, by `open` if given, when they are come to. A Probe among them lends its memory. Without a
    `target` each is asked about "top1", and a given Probe about what it was made for. Raises Unmet for no pictures.
    """

    def __init__(
        self,
        model: Model,
        images: Iterable[Any],
        target: str | int | Target | None = None,
        progress: Progress | None = None,
        *,
        open: Open | None = None,
    ) -> None:
        self.model, self.progress = model, progress
        self._images, self._open = tuple(images), open
        self._target = None if target is None else read_target(target, model)
        self._origins: dict[int, dict[str, Any]] = {}
        self._passes = 1  # that a picture takes, as far as they have been counted
        if not self._images:
            raise Unmet("there is no picture to look at")
        self.first: Probe = self._probe(0)
        self.current: Probe = self.first  #: the one come to last

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Probe]:
        count = len(self)
        for number in range(count):
            self.tick(number * self._passes, count * self._passes)
            self.current = self.first if number == 0 else self._probe(number)
            yield self.current
        self.tick(count * self._passes, count * self._passes)

    def towards(self, target: str | int | Target | None = None, progress: Progress | None = None) -> Probes:
        """The same pictures with another target or progress."""
        target = self._target if target is None else target
        return Probes(self.model, self._images, target, progress, open=self._open)

    @property
    def target(self) -> Target:
        """What every picture is asked about; a rank such as "top1" may be another class for each."""
        return self.first.target if self._target is None else self._target

    @property
    def origins(self) -> list[dict[str, Any]]:
        """Name, sha256 and notes of each picture, in order; those not come to yet are opened."""
        for number in range(len(self)):
            if number not in self._origins:
                self._note(number, self._opened(number))
        return [self._origins[number] for number in range(len(self))]

    def tick(self, done: int, total: int) -> None:
        """Say how far long work over all pictures has come; raises Cancelled where somebody pressed stop."""
        if self.progress:
            self.progress(done, total)

    def _probe(self, number: int) -> Probe:
        given, progress = self._opened(number), self._progress(number)
        self._note(number, given)
        if isinstance(given, Probe):
            if given.model is not self.model:
                raise Unmet("this probe holds its picture to another model")
            return given.towards(self._target, progress)
        return Probe(self.model, given, "top1" if self._target is None else self._target, progress)

    def _opened(self, number: int) -> Image | Probe:
        given = self._images[number] if self._open is None else self._open(self._images[number])
        return given if isinstance(given, Probe) else open_image(given)

    def _note(self, number: int, given: Image | Probe) -> None:
        image = given.image if isinstance(given, Probe) else given
        self._origins[number] = {"name": image.name, "sha256": image.digest, "notes": list(image.notes)}

    def _progress(self, number: int) -> Progress | None:
        """How far the work on one picture has come, as a part of that on all."""
        if self.progress is None:
            return None

        def progress(done: int, total: int) -> None:
            self._passes = total
            self.tick(number * total + done, len(self) * total)

        return progress
