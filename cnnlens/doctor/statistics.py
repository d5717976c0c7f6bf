"""What is asked of numbers: how likely is the truth, and is the difference more than luck?"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int64]

FLOOR = math.log(1e-6)  #: a picture counts for no less, so that one alone cannot decide
FLIPS = 10_000


def log_probabilities(scores: Numbers, sharpness: float = 1.0) -> Numbers:
    """Scores (n, classes), times `sharpness`, → logarithms of their softmax; uniform where not finite."""
    known = np.isfinite(scores).all(1, keepdims=True)
    scaled = np.where(known, scores, 0.0) * sharpness
    scaled = scaled - scaled.max(1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(1, keepdims=True)))


def best_sharpness(scores: Numbers, truths: Classes) -> float:
    """The factor of the scores (one over the temperature) that makes the truths likeliest.

    Without it a net that is too sure of itself would do better under a preprocessing that makes it timid.
    """
    rows = np.arange(len(truths))

    def mean(sharpness: float) -> float:
        return float(log_probabilities(scores, sharpness)[rows, truths].clip(FLOOR).mean())

    coarse = np.geomspace(1e-4, 1e4, 25)
    top = float(max(coarse, key=mean))
    return float(max(top * np.geomspace(0.5, 2, 9), key=mean))


def likelihoods(scores: Numbers, truths: Classes, sharpness: float) -> Numbers:
    """The logarithm of the probability of each picture's truth."""
    found = log_probabilities(scores, sharpness)[np.arange(len(truths)), truths]
    return np.asarray(found.clip(FLOOR))


def luck(differences: Numbers) -> float:
    """How often luck alone gives a mean as high as that of these paired differences (sign-flip test).

    Under luck each difference is as likely to be the other way round. No shape of distribution is assumed,
    and few pictures cannot give a small number: ten give no less than 1 in 1024.
    """
    n = len(differences)
    if not np.abs(differences).max(initial=0) > 1e-12:
        return 1.0
    if n <= 13:
        signs = 1.0 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
        return float((signs @ differences >= differences.sum() - 1e-9).mean())
    rng, reached = np.random.default_rng(0), 0
    for _ in range(FLIPS // 1000):  # a thousand at a time: many pictures would fill the memory
        signs = rng.choice((-1.0, 1.0), (1000, n))
        reached += int((signs @ differences >= differences.sum() - 1e-9).sum())
    return (1 + reached) / (FLIPS + 1)


def binomial_luck(hits: int, n: int, chance: float) -> float:
    """The probability of at least `hits` of `n` where each has probability `chance`."""
    if hits <= 0 or chance >= 1:
        return 1.0
    if chance <= 0:
        return 0.0
    logs = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        + k * math.log(chance) + (n - k) * math.log1p(-chance)
        for k in range(hits, n + 1)
    ]  # fmt: skip
    return min(1.0, math.fsum(map(math.exp, logs)))


def entropy(probabilities: Numbers) -> Numbers:
    """In nats, along the last axis."""
    return np.asarray(-(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(-1))


def assign(gains: Numbers) -> Classes:
    """For each row a column of its own so that the sum of gains is highest (rows ≤ columns).

    The Hungarian method by shortest augmenting paths (Jonker & Volgenant, 1987), one row after the other.
    """
    rows, columns = gains.shape
    cost = gains.max() - gains
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1)
    for row in range(rows):
        _augment(row, cost, row_price, column_price, owner)
    found = np.empty(rows, np.int64)
    held = np.flatnonzero(owner >= 0)
    found[owner[held]] = held
    return found


def _augment(row: int, cost: Numbers, row_price: Numbers, column_price: Numbers, owner: Classes) -> None:
    """Give `row` a column, others their next best where that costs least; prices keep all sums comparable."""
    columns = cost.shape[1]
    shortest, came_from = np.full(columns, np.inf), np.full(columns, -1)
    done = np.zeros(columns, bool)
    reached, length, last = row, 0.0, -1
    visited = [row]
    while True:
        through = length + cost[reached] - row_price[reached] - column_price
        better = ~done & (through < shortest - 1e-15)
        shortest[better], came_from[better] = through[better], last
        last = int(np.where(done, np.inf, shortest).argmin())
        length = float(shortest[last])
        done[last] = True
        if owner[last] < 0:
            break
        reached = int(owner[last])
        visited.append(reached)
    closed = done.copy()
    closed[last] = False
    row_price[row] += length
    for other in visited[1:]:
        row_price[other] += length - shortest[np.flatnonzero(owner == other)[0]]
    column_price[closed] -= length - shortest[closed]
    while last >= 0:
        previous = int(came_from[last])
        owner[last] = row if previous < 0 else owner[previous]
        last = previous
