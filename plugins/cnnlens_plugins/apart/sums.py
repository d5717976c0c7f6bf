"""A sum told: what each map adds to a value, the bias among them, and beside it the network's own value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from cnnlens import Bars, Link, Table

from .window import Reals

_BARS = 16

Row = tuple[str, float]


def strongest(sums: Reals, count: int) -> npt.NDArray[np.intp]:
    """The numbers of the parts that add or take most, these first."""
    return np.argsort(-np.abs(sums), kind="stable")[:count]


def bars_of(
    sums: Reals,
    bias: float,
    title: str,
    unit: str,
    name: Callable[[int], str],
    link: Callable[[int], Link] | None,
) -> Bars:
    """What each part adds, the strongest 16 first, the others together, then the bias; `link` is where each leads."""
    ranks = strongest(sums, _BARS)
    values, names = [float(sums[i]) for i in ranks], [name(int(i)) for i in ranks]
    if len(sums) > len(ranks):
        values.append(float(np.delete(sums, ranks).sum()))
        names.append(f"{len(sums) - len(ranks)} others")
    opens: list[Link | None] = [] if link is None else [link(int(i)) for i in ranks]
    values, names = [*values, bias], [*names, "bias"]
    opens += [None] * (len(values) - len(opens)) if opens else []
    return Bars(np.asarray(values), names, title, unit, opens=opens)


def table_of(count: int, products: float, bias: float, own: float, title: str, *after: Row) -> Table:
    """The sum of so many products in double precision, the network's own value, and what comes after it."""
    rows: list[Row] = [
        (f"sum of {count} products", products), ("bias", bias), ("together", products + bias),
        ("the network's own value", own), *after,
    ]  # fmt: skip
    return Table(("what", "value"), rows, title=title)
