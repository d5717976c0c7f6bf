"""Result: panels and how they came to be. It saves itself, draws itself, and shows itself in a notebook.

The numbers are raw and stay so; colour, scale and overlay are options of each way of showing them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from .arrays import Array
from .errors import UsageError
from .files import file_names, json_text, listed, write_whole
from .panels import Note, Panel, describe, panel_array

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
        """One line: visualiser · class · layer · model · seconds, and whether it is approximate.

        Of a difference what differs comes second, and is not said again.
        """
        facts, taken = self.facts, self.facts.get("difference", {})
        differs = taken.get("differs", {})
        parts = [] if "visualiser" in differs else [str(facts["title"])]
        parts += [taken["words"]] if taken else []
        if facts.get("target_name") and "target" not in differs:
            chance = f" ({facts['probability']:.2f})" if "probability" in facts else ""
            parts.append(f"{facts['target_name']}{chance}")
        parts += [str(facts["settings"]["layer"])] if facts["settings"].get("layer") else []
        parts += [] if "model" in differs else [str(facts["model"])]
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

    def manifest_text(self, indent: int | None = None) -> str:
        """The manifest as JSON; a NaN or an infinity among the facts is null."""
        return json_text(self.manifest, indent)

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
            ".html": lambda out: out.write(_report((self,), self.caption, options)),
            ".json": lambda out: out.write(_bytes(json_text(self._told()))),
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
        return found | {"manifest": np.asarray(_bytes(self.manifest_text()).decode())}

    def _told(self) -> dict[str, Any]:
        """The manifest, and the values as lists."""
        arrays = [panel_array(panel) for panel in self.panels]
        return self.manifest | {"values": [None if values is None else listed(values) for values in arrays]}

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

    @property
    def caption(self) -> str:
        """One line: how many results, by which visualisers, of which models."""
        titles = dict.fromkeys(str(result.facts["title"]) for result in self)
        models = dict.fromkeys(str(result.facts["model"]) for result in self)
        named = [", ".join(names) if len(names) < 4 else "" for names in (titles, models)]
        return " · ".join([f"{len(self)} results", *filter(None, named)])

    def image(self, **options: Any) -> PILImage:
        """All results as one picture; options are those of `Style`."""
        from .render.sheet import draw_sheet

        return draw_sheet(self.results, **options)

    def html(self, **options: Any) -> str:
        """All results, one fragment under the other."""
        return "\n".join(result.html(**options) for result in self.results)

    def arrays(self) -> dict[str, Any]:
        """What an `.npz` holds: `0/panel0`, …, `0/input`, `0/manifest`, `1/panel0`, …, by result."""
        return {f"{n}/{name}": held for n, one in enumerate(self) for name, held in one.arrays().items()}

    def save(self, place: str | Path, suffix: str = ".png", **options: Any) -> list[Path]:
        """Write one file with all results, or a folder with one each, of that suffix.

        `.html` is one report, `.png` and `.svg` one sheet, `.pdf` a page each, `.npz` and `.json` hold the
        values of all. The files of a folder are named by picture, visualiser and target.
        """
        place = Path(place)
        if place.suffix.lower() in SUFFIXES and not place.is_dir():
            return [self._save_one(place, options)]
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make a folder {place}: {error.strerror}") from error
        names = file_names(result.facts for result in self)
        return [r.save(place / f"{n}{suffix}", **options) for r, n in zip(self.results, names, strict=True)]

    def _save_one(self, path: Path, options: dict[str, Any]) -> Path:
        if not self.results:
            raise UsageError(f"there is no result to write into {path.name}")
        write = {
            ".png": lambda out: self.image(**options).save(out, "PNG", optimize=False),
            ".npz": lambda out: np.savez_compressed(out, **self.arrays()),
            ".html": lambda out: out.write(_report(self.results, self.caption, options)),
            ".json": lambda out: out.write(_bytes(json_text({"results": [one._told() for one in self]}))),
            ".svg": lambda out: out.write(self._svg(options).encode()),
            ".pdf": lambda out: self._write_pdf(out, options),
        }[path.suffix.lower()]
        write_whole(path, write)
        return path

    def _svg(self, options: dict[str, Any]) -> str:
        from .render.sheet import draw_svg

        return draw_svg(self.results, **options)

    def _write_pdf(self, out: BinaryIO, options: dict[str, Any]) -> None:
        from .render.figure import write_pdf

        write_pdf(self.results, out, **options)

    def _repr_html_(self) -> str:
        return self.html()


def _report(results: tuple[Result, ...], title: str, options: dict[str, Any]) -> bytes:
    from .render.report import draw_report

    return _bytes(draw_report(results, title, **options))


def _bytes(text: str) -> bytes:
    """UTF-8; half a sign, as a file's name may have one, becomes a question mark."""
    return text.encode("utf-8", "replace")
