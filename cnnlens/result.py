"""Result: panels and how they came to be. It saves itself, draws itself, and shows itself in a notebook.

The numbers are raw and stay so; colour, scale and overlay are options of each way of showing them.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import Array
from .errors import UsageError
from .panels import Note, Panel, Table, panel_array

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image as PILImage

#: What `save` writes, by suffix.
SUFFIXES = (".png", ".npz", ".html", ".json", ".svg", ".pdf")


@dataclass(frozen=True, eq=False)
class Result:
    """What one visualiser answered about one picture and target.

    `panels` hold the raw numbers, `facts` say how they came to be (model, checkpoint, preprocessing,
    target, settings, versions, seconds), `pixels` (h, w, c) is the picture as the model saw it.
    """

    panels: tuple[Panel, ...]
    facts: Mapping[str, Any]
    pixels: Array | None = None

    @property
    def array(self) -> Array:
        """The raw values of the first panel that has any."""
        for panel in self.panels:
            values = panel_array(panel)
            if values is not None:
                return values
        raise UsageError("this result holds only text: see .panels")

    @property
    def notes(self) -> tuple[str, ...]:
        """What is said in words: by the visualiser, and of what is wrong with its numbers."""
        return tuple(panel.text for panel in self.panels if isinstance(panel, Note))

    @property
    def caption(self) -> str:
        """One line: visualiser · class · layer · model · seconds, and whether it is approximate."""
        facts = self.facts
        parts = [str(facts["title"])]
        if facts.get("target_name"):
            chance = f" ({facts['probability']:.2f})" if "probability" in facts else ""
            parts.append(f"{facts['target_name']}{chance}")
        parts += [str(facts["settings"]["layer"])] if facts["settings"].get("layer") else []
        parts += [str(facts["model"])]
        parts += [f"{facts['seconds']:.2g} s"]
        return " · ".join([*parts, "approximate"] if self.is_approximate else parts)

    @property
    def is_approximate(self) -> bool:
        """Whether it is to be read with care; its notes say why."""
        return bool(self.facts.get("verdict", {}).get("level") == "approximate")

    @property
    def manifest(self) -> dict[str, Any]:
        """The facts, and what each panel is, as JSON-able values."""
        return {"facts": dict(self.facts), "panels": [describe(panel) for panel in self.panels]}

    def image(self, **options: Any) -> PILImage:
        """The result as one picture, with colour bars and numbers; options are those of `Style`."""
        from .render.card import draw_card

        return draw_card(self, **options)

    def figure(self, **options: Any) -> Figure:
        """The result as a matplotlib figure, made without pyplot."""
        from .render.figure import draw_figure

        return draw_figure(self, **options)

    def html(self, **options: Any) -> str:
        """The result as one self-contained fragment of HTML."""
        from .render.html import draw_html

        return draw_html(self, **options)

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write the result; the suffix says as what.

        `.png` a picture, `.npz` raw values and the manifest, `.json` the manifest with the values,
        `.html` a page that needs nothing else, `.svg` and `.pdf` a figure. A file is whole or not there.
        """
        path = Path(path)
        write = {
            ".png": lambda out: self.image(**options).save(out, "PNG", optimize=False),
            ".npz": lambda out: np.savez_compressed(out, **self.arrays()),
            ".html": lambda out: out.write(_page(self.caption, self.html(**options)).encode()),
            ".json": lambda out: out.write(_json(self.manifest | {"values": self._values()})),
            ".svg": lambda out: self.figure(**options).savefig(out, format="svg"),
            ".pdf": lambda out: self.figure(**options).savefig(out, format="pdf"),
        }.get(path.suffix.lower())
        if write is None:
            raise UsageError(f"cannot save as {path.name!r}: the suffix is one of {' '.join(SUFFIXES)}")
        write_whole(path, write)
        return path

    def arrays(self) -> dict[str, Any]:
        """What an `.npz` holds: `panel0`, `panel1`, …, `input`, and `manifest`, a JSON text."""
        found: dict[str, Any] = {}
        for number, panel in enumerate(self.panels):
            values = panel_array(panel)
            if values is not None:
                found[f"panel{number}"] = values
        if self.pixels is not None:
            found["input"] = self.pixels
        return found | {"manifest": np.asarray(_json(self.manifest).decode())}

    def _values(self) -> list[Any]:
        arrays = [panel_array(panel) for panel in self.panels]
        return [None if values is None else _finite(values) for values in arrays]

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.image().save(out, "PNG")
        return out.getvalue()

    def _repr_html_(self) -> str:
        return self.html()

    def __repr__(self) -> str:
        return f"<Result {self.caption}: {', '.join(type(p).__name__ for p in self.panels)}>"


@dataclass(frozen=True, eq=False)
class Sheet:
    """Several results, in the order picture, target, visualiser."""

    results: tuple[Result, ...]

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, number: int) -> Result:
        return self.results[number]

    def html(self, **options: Any) -> str:
        """All results, one fragment under the other."""
        return "\n".join(result.html(**options) for result in self.results)

    def save(self, place: str | Path, suffix: str = ".png", **options: Any) -> list[Path]:
        """Write an `.html` with all, or a folder with a file each named by picture, visualiser and target."""
        place = Path(place)
        if place.suffix.lower() == ".html":
            write_whole(place, lambda out: out.write(_page("cnnlens", self.html(**options)).encode()))
            return [place]
        if place.suffix.lower() in SUFFIXES and not place.is_dir():
            raise UsageError(
                f"{len(self)} results do not fit into {place.name}: "
                "name a folder or an .html file, or ask for one"
            )
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make a folder {place}: {error.strerror}") from error
        names = _names(self.results)
        return [r.save(place / f"{n}{suffix}", **options) for r, n in zip(self.results, names, strict=True)]

    def _repr_html_(self) -> str:
        return self.html()


def describe(panel: Panel) -> dict[str, Any]:
    """A panel without its values: kind, shape, and every word on it."""
    facts: dict[str, Any] = {"kind": type(panel).__name__}
    for name, value in vars(panel).items():
        if isinstance(value, np.ndarray):
            facts["shape" if name == "values" else name] = (
                list(value.shape) if name == "values" else value.tolist()
            )
        else:
            facts[name] = dict(value) if isinstance(value, Mapping) else value
    if isinstance(panel, Table):
        facts["rows"] = [list(row) for row in panel.rows]
    return facts


def check_place(path: Path) -> None:
    """UsageError where a file cannot be written there, as far as that can be known before."""
    if len(os.fsencode(path.name)) > 255:
        raise UsageError(f"the name {path.name[:40]}… is longer than a file name may be")
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent} to write {path.name} into")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is not a file that could be written anew")


def write_whole(path: Path, write: Callable[[Any], object]) -> None:
    """Write a file by way of a temporary one beside it, so that it is whole or not there.

    A link is followed. UsageError says why a place cannot be written to.
    """
    path = path.resolve()
    check_place(path)
    import tempfile

    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    except OSError as error:
        raise UsageError(f"cannot write into {path.parent}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as out:
            write(out)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _names(results: Sequence[Result]) -> list[str]:
    """File names of results that say what they are and do not collide."""
    seen: dict[str, int] = {}
    names = []
    for result in results:
        facts = result.facts
        parts = [
            Path(str(facts.get("image", facts["model"]))).stem,
            facts["visualiser"],
            facts.get("target_name"),
        ]
        name = "-".join(_plain(str(part))[:80] for part in parts if part)
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return names


def _plain(text: str) -> str:
    """Letters, digits, dots and dashes; a run of anything else is one underscore."""
    kept = "".join(c if c.isalnum() or c in ".-_" else " " for c in text)
    return "_".join(kept.split()) or "_"


def _finite(values: Array) -> Any:
    """Nested lists; NaN and infinities, which JSON has not, as null."""
    listed = values.astype(object)
    listed[~np.isfinite(values)] = None
    return listed.tolist()


def _told(value: Any) -> Any:
    """As JSON can say it: a NaN or an infinity among the facts is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _told(one) for key, one in value.items()}
    return [_told(one) for one in value] if isinstance(value, (list, tuple)) else value


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(_told(values), ensure_ascii=False, default=str, allow_nan=False).encode(
        "utf-8", "replace"
    )


def _page(title: str, body: str) -> str:
    from .render.html import page

    return page(title, body)
