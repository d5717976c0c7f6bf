"""A result as a matplotlib figure. matplotlib comes in here only, and never pyplot, whose state is global."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, assert_never

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

from ..arrays import Array
from ..diagram import Diagram
from ..panels import Bars, Curve, Heatmap, Note, Panel, Picture, Table, Tiles
from .card import headline, heatmap_words, tiles_words
from .charts import cell
from .colour import ODD_COLOUR, brief, tables
from .diagram import laid_out
from .diagram.axes import draw_drawing, inches_of
from .pointing import Box, is_written, outlines_of
from .raster import columns_of, draw_tiles, heatmap_limits, overlay, pixels_image, shown_tiles, tiles_scale
from .style import Style, style_of
from .words import diagram_words

if TYPE_CHECKING:
    from ..result import Result


def draw_figure(result: Result, **options: Any) -> Figure:
    """One axes a panel, of a heatmap beside the photograph and over it; `options` are those of `Style`."""
    style = style_of(options)
    wide = (
        result.pixels is not None
        and style.show == "both"
        and any(isinstance(p, Heatmap) for p in result.panels)
    )
    heights = [_height(panel) for panel in result.panels]
    size = (11.0 if wide else 6.8, sum(heights) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(_plain(headline(result)), fontsize=10, wrap=True)
    grid = figure.add_gridspec(len(heights), 3 if wide else 1, height_ratios=heights)
    for row, panel in enumerate(result.panels):
        if isinstance(panel, Heatmap) and wide:
            _beside([figure.add_subplot(grid[row, i]) for i in range(3)], panel, result.pixels, style)
        else:
            draw_axes(panel, figure.add_subplot(grid[row, :]), style, result.pixels)
    _ink(figure, style)
    return figure


def _height(panel: Panel) -> float:
    """Inches that a panel wants."""
    match panel:
        case Note():
            return 0.5
        case Table():
            return max(1.2, 0.2 * len(panel.rows))
        case Diagram():
            return inches_of(laid_out(panel)) + 0.3
        case _:
            return 3.4


def write_pdf(results: Sequence[Result], out: BinaryIO, **options: Any) -> None:
    """One PDF, a page a result."""
    with PdfPages(out) as pages:
        for result in results:
            pages.savefig(draw_figure(result, **options))


def draw_axes(panel: Panel, axes: Axes, style: Style, pixels: Array | None = None) -> None:
    """One panel into one axes; a heatmap over the photograph where the style wants it so."""
    axes.set_title(_plain(getattr(panel, "title", "")), fontsize=9, wrap=True)
    match panel:
        case Heatmap():
            axes.set_title(_plain(heatmap_words(panel, 0)), fontsize=9, wrap=True)
            _heatmap(panel, axes, style, pixels if style.show == "overlay" else None)
        case Tiles():
            _tiles(panel, axes, style)
        case Picture():
            axes.imshow(np.asarray(pixels_image(panel.values).convert("RGB")))
            axes.set_axis_off()
            _outline(axes, outlines_of(panel), (-0.5, -0.5), (1, 1))
        case Bars():
            _bars(panel, axes)
        case Curve():
            for name, line in zip(panel.names, panel.values, strict=True):
                axes.plot(panel.x, line, label=_plain(name) or None)
            axes.set(xlabel=_plain(panel.x_unit), ylabel=_plain(panel.unit))
            if any(panel.names):
                axes.legend(fontsize=8, framealpha=0)
        case Table():
            axes.set_axis_off()
            rows = [[_plain(cell(c)) for c in row] for row in panel.rows]
            head = [_plain(c) for c in panel.columns]
            widest = [max(map(len, column)) + 2 for column in zip(head, *rows, strict=True)]
            axes.table(
                cellText=rows or [[""] * len(head)],
                colLabels=head,
                loc="center",
                colWidths=[wide / sum(widest) for wide in widest],
                bbox=Bbox.unit() if len(rows) > 5 else None,
            )
        case Diagram():
            axes.set_title(_plain(diagram_words(panel)), fontsize=9, wrap=True)
            draw_drawing(laid_out(panel), axes, style)
        case Note():
            axes.set_axis_off()
            axes.text(0, 0.5, _plain(panel.text), wrap=True, fontsize=9, va="center")
        case _:
            assert_never(panel)


def _beside(three: list[Axes], panel: Heatmap, pixels: Array | None, style: Style) -> None:
    """The photograph, the heatmap over it, and the heatmap as it is."""
    photo, over, plain = three
    if pixels is not None:
        photo.imshow(np.asarray(pixels_image(pixels).convert("RGB")))
        over.imshow(np.asarray(overlay(panel, pixels, style, (pixels.shape[1], pixels.shape[0]))))
    for axes in (photo, over):
        axes.set_axis_off()
        if pixels is not None:
            _outline(axes, outlines_of(panel), (-0.5, -0.5), _pitch(panel, pixels.shape))
    _heatmap(panel, plain, style, None, pixels)
    over.set_title(_plain(heatmap_words(panel, 0)), fontsize=9, wrap=True)


def _heatmap(
    panel: Heatmap, axes: Axes, style: Style, under: Array | None, spans: Array | None = None
) -> None:
    """The map with its colour bar, over the picture `under` or by itself, as wide and high as it `spans`."""
    colours = ListedColormap(tables()[style.table_name(panel.signed)] / 255, bad=_hex(ODD_COLOUR))
    norm = Normalize(*heatmap_limits(panel, style))
    if under is not None:
        axes.imshow(np.asarray(overlay(panel, under, style, (under.shape[1], under.shape[0]))))
        _outline(axes, outlines_of(panel), (-0.5, -0.5), _pitch(panel, under.shape))
    else:
        height, width = panel.values.shape if spans is None else spans.shape[:2]
        values = np.ma.masked_invalid(panel.values)
        axes.imshow(values, colours, norm, interpolation="nearest", extent=(0, width, height, 0))
        pitch = _pitch(panel, (height, width))
        if is_written(panel):
            _write(axes, panel.values, (0, 0), pitch)
        _outline(axes, outlines_of(panel), (0, 0), pitch)
    axes.figure.colorbar(ScalarMappable(norm, colours), ax=axes, label=_plain(panel.unit), shrink=0.85)
    axes.set_axis_off()


def _pitch(panel: Heatmap, spans: tuple[int, ...]) -> tuple[float, float]:
    """How much of what a map spans one of its places does, down and across."""
    return spans[0] / panel.values.shape[0], spans[1] / panel.values.shape[1]


def _outline(axes: Axes, boxes: Sequence[Box], at: tuple[float, float], pitch: tuple[float, float]) -> None:
    for y0, x0, y1, x1 in boxes:
        corner, size = (
            (at[1] + x0 * pitch[1], at[0] + y0 * pitch[0]),
            ((x1 - x0) * pitch[1], (y1 - y0) * pitch[0]),
        )
        for colour, width in (("black", 3.0), ("white", 1.2)):
            axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, linewidth=width))


def _write(axes: Axes, values: Array, at: tuple[float, float], pitch: tuple[float, float]) -> None:
    halo = [withStroke(linewidth=2, foreground="black")]
    for (row, column), value in np.ndenumerate(values):
        place = at[1] + (column + 0.5) * pitch[1], at[0] + (row + 0.5) * pitch[0]
        words = brief(float(value))
        axes.text(
            *place,
            words,
            ha="center",
            va="center",
            fontsize=6,
            color="white",
            path_effects=halo,
            label="value",
        )


def _ink(figure: Figure, style: Style) -> None:
    """The ground and the ink of a style, artist by artist: matplotlib's own settings are global."""
    ground, ink, faint = map(_hex, (style.ground, style.ink, style.faint))
    figure.set_facecolor(ground)
    cells = [one for axes in figure.axes for table in axes.tables for one in table.get_celld().values()]
    texts = [*figure.texts, *(one.get_text() for one in cells)]
    for axes in figure.axes:
        legend = axes.get_legend()
        written = [one for one in axes.texts if one.get_label() != "value"]
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *written]
        texts += legend.get_texts() if legend else []
        axes.set_facecolor(ground)
        axes.tick_params(colors=ink)  # ticks are made when they are drawn: asking for them takes long
        for spine in axes.spines.values():
            spine.set_color(faint)
    for text in texts:
        text.set_color(ink)
    for one in cells:
        one.set(facecolor=ground, edgecolor=faint)


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _plain(text: str) -> str:
    """Text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


def _tiles(panel: Tiles, axes: Axes, style: Style) -> None:
    axes.imshow(np.asarray(draw_tiles(panel, style).convert("RGB")), interpolation="nearest")
    axes.set_axis_off()
    shown = shown_tiles(panel, style)
    axes.set_title(_plain(tiles_words(panel, len(shown))), fontsize=9)
    height, width = panel.values.shape[1:3]
    columns = columns_of(len(shown), height, width)
    for place, i in enumerate(shown):
        at = (place // columns) * (height + 1) - 0.5, (place % columns) * (width + 1) - 0.5
        if is_written(panel):
            _write(axes, panel.values[i], at, (1, 1))
        _outline(axes, outlines_of(panel, i), at, (1, 1))
    words, ends = tiles_scale(panel, style)
    if ends is None:
        axes.text(1, -0.01, _plain(words), transform=axes.transAxes, fontsize=8, ha="right", va="top")
    else:
        colours = ListedColormap(tables()[style.table_name(panel.signed)] / 255)
        axes.figure.colorbar(ScalarMappable(Normalize(*ends), colours), ax=axes, label=_plain(panel.unit))


def _bars(panel: Bars, axes: Axes) -> None:
    places = np.arange(len(panel.values))
    if len(places) > 24:
        axes.bar(places, panel.values, width=1.0)
        axes.set_ylabel(_plain(panel.unit))
        return
    axes.barh(places, panel.values)
    axes.set_yticks(places, [_plain(name) for name in panel.names])
    axes.invert_yaxis()
    axes.set_xlabel(_plain(panel.unit))
    if panel.limits:
        axes.set_xlim(*panel.limits)
