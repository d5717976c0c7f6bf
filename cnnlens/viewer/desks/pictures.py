"""The pictures on the desk. Files that were named at the start are opened when they are first looked at."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import Array
from ...errors import BadInput, CannotOpen, UnknownName, UsageError
from ...images import MAX_BYTES, Image, Source, open_image
from ...preprocess import InputSpec
from ...render.raster import pixels_image
from .desk import NotThere
from .shelf import Shelf

PREVIEW = 1024  #: the longer side of an original that is shown
MAX_UPLOADS = 200
MAX_UPLOADED = 512 * 2**20
MAX_OPEN = 256 * 2**20


@dataclass(frozen=True)
class Held:
    """A picture by its id: its name, and what it can be opened from again."""

    id: str
    name: str
    source: Source
    listed: bool = True
    size: int = 0


class Pictures:
    """Pictures by id. An id says nothing about where the picture came from, and stays over a restart."""

    def __init__(self, given: Iterable[Source]) -> None:
        self._lock = threading.Lock()
        held = [_held(source) for source in given]
        self._first = {one.id: one for one in held}
        self._held = dict(self._first)
        self._open: Shelf[Image] = Shelf(MAX_OPEN)

    @classmethod
    def of(cls, given: Iterable[Source] | Pictures) -> Pictures:
        """Sources as pictures; pictures that another desk has already are shared with it."""
        return given if isinstance(given, Pictures) else cls(given)

    def listed(self) -> list[dict[str, Any]]:
        """Id and name of each."""
        with self._lock:
            return [{"id": one.id, "name": one.name} for one in self._held.values() if one.listed]

    def add(self, data: bytes, name: str, listed: bool = True) -> dict[str, Any]:
        """Take in an upload; the same bytes twice are one picture. Raises CannotOpen."""
        name = clean_name(name)
        image = open_image(data, name)
        id = (
            _id(data) if listed else secrets.token_hex(8)
        )  # once: who else sends the same has one of their own
        with self._lock:
            uploads = [one for one in self._held.values() if one.size and one.id != id]
            if len(uploads) >= MAX_UPLOADS or sum(one.size for one in uploads) + len(data) > MAX_UPLOADED:
                raise UsageError(f"{len(uploads)} uploaded pictures are held, which is the most: remove some")
            self._held.setdefault(id, Held(id, name, data, listed, len(data)))
        self._open.put(id, image, image.pixels.nbytes)
        height, width = image.pixels.shape[:2]
        return {"id": id, "name": name, "width": width, "height": height, "notes": list(image.notes)}

    def remove(self, id: str) -> None:
        """Forget a picture."""
        self.get(id)
        with self._lock:
            self._held.pop(id, None)
        self._open.drop(id)

    def reset(self) -> None:
        """Back to the pictures of the start."""
        with self._lock:
            self._held = dict(self._first)
        self._open.clear()

    def get(self, id: str) -> Held:
        """The picture of that id. Raises NotThere."""
        with self._lock:
            if id not in self._held:
                raise NotThere("picture", id, (), "; it was removed or never here")
            return self._held[id]

    def open(self, id: str) -> Image:
        """The opened picture. Raises NotThere, CannotOpen."""
        held = self.get(id)
        image = self._open.get(id)
        if image is None:
            source = _bytes_of(held.source, held.name) if isinstance(held.source, Path) else held.source
            image = open_image(source, held.name)
            self._open.put(id, image, image.pixels.nbytes)
        return image

    def named(self, text: str) -> Image:
        """The opened picture of that id, or of that name if only one has it. Raises UnknownName, BadInput."""
        return self.open(self.find(text))

    def find(self, text: str) -> str:
        """The id of the picture of that id, or of that name if only one has it. Raises UnknownName, BadInput."""
        with self._lock:
            listed = [one for one in self._held.values() if one.listed]
            found = [one for one in self._held.values() if one.id == text]
        found = found or [one for one in listed if one.name == text]
        if not found:
            raise UnknownName("picture", text, (one.name for one in listed), " among those shown here")
        if len(found) > 1:
            raise BadInput(f"{len(found)} pictures are called {text!r}: name one by its id, {found[0].id}, …")
        return found[0].id

    def shown(self, id: str, spec: InputSpec | None = None) -> Array:
        """Pixels (h, w, c) to look at: as a model with that input sees it, or made smaller if it is large."""
        image = self.open(id)
        if spec is not None:
            return spec.fit(image.pixels)
        height, width = image.pixels.shape[:2]
        if max(height, width) <= PREVIEW:
            return image.pixels
        small = pixels_image(image.pixels)
        small.thumbnail((PREVIEW, PREVIEW))
        values: Array = np.asarray(small, np.float32) / np.float32(255)
        return values if values.ndim == 3 else values[..., None]


def clean_name(name: str) -> str:
    """The last part of an upload's name, printable and not too long."""
    last = re.split(r"[\\/]", name)[-1]
    return "".join(c for c in last if c.isprintable())[:120].strip() or "picture"


def _held(source: Source) -> Held:
    if isinstance(source, (str, Path)):
        path = Path(source)
        return Held(_id(str(path.resolve()).encode()), path.name, path)
    if isinstance(source, bytes):
        return Held(_id(source), "picture", source)
    image = open_image(source)
    return Held(image.digest[:16], image.name, image)


def _bytes_of(path: Path, name: str) -> bytes:
    """Read here, so that an error names the picture and not the place it lies at."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CannotOpen(f"{name} is larger than {MAX_BYTES // 2**20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise CannotOpen(f"{name} cannot be read: {error.strerror}") from error


def _id(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
