"""A result as a matplotlib figure. matplotlib comes in here only, and never pyplot, whose state is global."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from ..panels import Bars, Curve, Heatmap, Note, Panel, Picture, Table, Tiles
from .charts import cell
from .colour import Style, tables
from .raster import draw_tiles, heatmap_limits, pixels_image, shown_tiles, tiles_limits

if TYPE_CHECKING:
    from ..result import Result


def draw_figure(result: Result, **options: Any) -> Figure:
    """One axes a panel, a photograph beside each heatmap; `options` are those of `Style`."""
    style = Style(**options)
    wide = result.pixels is not None and any(isinstance(p, Heatmap) for p in result.panels)
    heights = [1.0 if isinstance(p, (Table, Note)) else 3.6 for p in result.panels]
    figure = Figure(figsize=(8.4 if wide else 6.4, sum(heights) + 0.6), layout="constrained")
    figure.suptitle(result.caption, fontsize=10)
    grid = figure.add_gridspec(len(heights), 2 if wide else 1, height_ratios=heights)
    for row, panel in enumerate(result.panels):
        if isinstance(panel, Heatmap) and wide and result.pixels is not None:
            photo = figure.add_subplot(grid[row, 0])
            photo.imshow(np.asarray(pixels_image(result.pixels).convert("RGB")))
            photo.set_axis_off()
            axes = figure.add_subplot(grid[row, 1])
        else:
            axes = figure.add_subplot(grid[row, :])
        draw_axes(panel, axes, style)
    return figure


def draw_axes(panel: Panel, axes: Axes, style: Style) -> None:
    """One panel into one axes."""
    axes.set_title(getattr(panel, "title", ""), fontsize=9)
    match panel:
        case Heatmap():
            low, high = heatmap_limits(panel)
            colours = ListedColormap(tables()[style.table_name(panel.signed)] / 255)
            image = axes.imshow(
                panel.values, cmap=colours, norm=Normalize(low, high), interpolation="nearest"
            )
            axes.figure.colorbar(image, ax=axes, label=panel.unit)
            axes.set_axis_off()
        case Tiles():
            _tiles(panel, axes, style)
        case Picture():
            axes.imshow(np.asarray(pixels_image(panel.values).convert("RGB")))
            axes.set_axis_off()
        case Bars():
            _bars(panel, axes)
        case Curve():
            for name, line in zip(panel.names, panel.values, strict=True):
                axes.plot(panel.x, line, label=name or None)
            axes.set(xlabel=panel.x_unit, ylabel=panel.unit)
        case Table():
            axes.set_axis_off()
            rows = [[cell(c) for c in row] for row in panel.rows]
            axes.table(
                cellText=rows or [[""] * len(panel.columns)], colLabels=list(panel.columns), loc="center"
            )
        case Note():
            axes.set_axis_off()
            axes.text(0, 0.5, panel.text, wrap=True, fontsize=9)
        case _:
            assert_never(panel)


def _tiles(panel: Tiles, axes: Axes, style: Style) -> None:
    axes.imshow(np.asarray(draw_tiles(panel, style).convert("RGB")), interpolation="nearest")
    axes.set_axis_off()
    shown = shown_tiles(panel, style)
    axes.set_title(f"{panel.title} · {len(shown)} of {len(panel.values)}", fontsize=9)
    limits = tiles_limits(panel)
    if isinstance(limits, tuple) and panel.values.ndim == 3:
        most = max(map(abs, limits))
        ends = (-most, most) if panel.signed else limits
        colours = ListedColormap(tables()[style.table_name(panel.signed)] / 255)
        axes.figure.colorbar(ScalarMappable(Normalize(*ends), colours), ax=axes, label=panel.unit)


def _bars(panel: Bars, axes: Axes) -> None:
    places = np.arange(len(panel.values))
    if len(places) > 24:
        axes.bar(places, panel.values, width=1.0)
        axes.set_ylabel(panel.unit)
        return
    axes.barh(places, panel.values)
    axes.set_yticks(places, panel.names)
    axes.invert_yaxis()
    axes.set_xlabel(panel.unit)
    if panel.limits:
        axes.set_xlim(*panel.limits)
