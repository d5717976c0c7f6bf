"""Coalitions: which regions of a picture are kept, as rows of zeros and ones, and what the network says to each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cnnlens import Array, Probe

from .borrowing import borrowed
from .covers import Of
from .regions import Labels

Rows = NDArray[np.bool_]
Wide = NDArray[np.float64]


def values_of(probe: Probe, rows: Rows, labels: Labels, cover: Array, of: Of) -> Wide:
    """The target's value (n,) where only the regions of each row (n, regions) are seen, the cover elsewhere.

    Pictures are made as they are needed; rows that are alike share a pass.
    """
    alike, place = np.unique(rows, axis=0, return_inverse=True)

    def pictures() -> Iterator[Array]:
        for row in alike:
            yield np.where(row[labels][..., None], probe.pixels, cover)

    values = probe.score_of(pictures(), len(alike), probability=of == "probability")
    return np.asarray(values, np.float64)[place.ravel()]


def weighted_fit(rows: Wide, values: Wide, weights: Wide, ridge: float = 0.0) -> tuple[Wide, float, Wide]:
    """Coefficients and intercept of a weighted ridge regression with intercept, and the coefficients' spread.

    Raises MissingPackage without scikit-learn.
    """
    linear = borrowed("sklearn.linear_model", "scikit-learn", "a regression")
    fitted = linear.Ridge(alpha=ridge).fit(rows, values, sample_weight=weights)
    wide = np.concatenate([rows, np.ones((len(rows), 1))], 1)
    left = values - fitted.predict(rows)
    penalty = np.diag([ridge] * rows.shape[1] + [0.0])
    covariance = sandwich(wide, left, weights, penalty)
    return np.asarray(fitted.coef_), float(fitted.intercept_), np.sqrt(np.diag(covariance)[:-1])


def sandwich(rows: Wide, left: Wide, weights: Wide, penalty: Wide | float = 0.0, together: int = 1) -> Wide:
    """The covariance of weighted least squares, from what it leaves over: White's (1980), true of any noise.

    `together` rows after one another were drawn as one and count as one.
    """
    bread = np.linalg.pinv(rows.T @ (weights[:, None] * rows) + penalty)
    spread = (rows * (weights * left)[:, None]).reshape(-1, together, rows.shape[1]).sum(1)
    return np.asarray(bread @ (spread.T @ spread) @ bread)


def fit_quality(values: Wide, guessed: Wide, weights: Wide) -> float:
    """The share of the weighted variance that the fit explains (R²); 1 where there is none."""
    mean = np.average(values, weights=weights)
    total = float((weights * (values - mean) ** 2).sum())
    return 1 - float((weights * (values - guessed) ** 2).sum()) / total if total > 0 else 1.0
