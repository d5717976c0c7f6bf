"""A diagnosis as a page of plain text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..preprocess import InputSpec
from .candidates import given, preset_of
from .trials import Trial
from .verdict import TEST, Verdict

if TYPE_CHECKING:
    from .diagnosis import Diagnosis


def report(found: Diagnosis) -> str:
    """What was tried, what it was trained with, how to give that, and what else was found."""
    spec = found.opened
    size = f"{spec.height}×{spec.width}×{spec.channels}"
    lines = [f"{found.model}: reads {size}, opened with {_said(spec)} ({spec.source})"]
    lines.append(found.pictures or "No pictures were given: only what needs none was looked at.")
    lines += [f"  {note}" for note in found.notes]
    if found.trials:
        lines += ["", *_table(found), "", *_verdict(found.verdict)]
    bad = found.codes("wrong", "doubtful")
    lines += ["", "Found:" if bad else "Nothing wrong was found."]
    lines += [f"  {f.level.ljust(8)}  {f.code}: {f.text}" for f in found.sorted_findings]
    return "\n".join(lines)


def how_to_give(spec: InputSpec) -> str:
    """What to type to open the model with that preprocessing."""
    preset = preset_of(spec)
    if preset is not None:
        return f"Give it as: --preprocess {preset}"
    text = json.dumps(given(spec))
    return f"Give it as: --preprocess FILE.json (--out FILE.json writes it), a file that holds\n  {text}"


def _said(spec: InputSpec) -> str:
    return preset_of(spec) or json.dumps(given(spec))


def _table(found: Diagnosis) -> Iterator[str]:
    first = found.trials[0]
    if first.truths is None:
        head = ["preprocessing", "confidence", "entropy"]
        below = "Confidence: of the first class, on average; entropy in nats."
    else:
        head = ["preprocessing", "top-1", "confidence", "log-likelihood"]
        head[2:2] = ["top-5"] if first.scores.shape[1] > 10 else []
        head[2:2] = ["reordered"] if found.reordered else []
        below = "Of the truth, on average; its log-likelihood at the temperature that suits each row best."
    ordered = sorted(found.trials, key=found.rank, reverse=True)
    rows = [head, *(_row(found, trial, head) for trial in ordered)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *numbers])
    yield f"* as it was opened. {below}"


def _row(found: Diagnosis, trial: Trial, head: Sequence[str]) -> list[str]:
    cells = {
        "preprocessing": trial.name + (" *" if trial.candidate.opened else ""),
        "confidence": f"{trial.confidence:.3f}",
        "entropy": f"{trial.entropy:.3f}",
    }
    if trial.truths is not None:
        cells["top-1"] = f"{trial.right.mean():.1%}"
        cells["top-5"] = f"{trial.top5:.1%}"
        cells["log-likelihood"] = f"{found.rank(trial):.3f}"
    if trial.name in found.reordered:
        cells["reordered"] = f"{found.reordered[trial.name].right.mean():.1%}"
    return [cells[title] for title in head]


def _verdict(verdict: Verdict | None) -> Iterator[str]:
    if verdict is None:
        yield (
            "Cannot tell which one it was trained with: accuracy needs labels (a sub-folder for each class, or a "
            "labels.csv). Confidence does not tell: a net can be surest of what it was never trained on."
        )
        return
    if not verdict.told:
        yield f"Cannot tell which one it was trained with: {verdict.reason}."
        return
    ahead = (
        f", ahead of {verdict.runner_up.name} with p ≤ {verdict.p:.2g} ({TEST})" if verdict.runner_up else ""
    )
    same = ", ".join(trial.name for trial in verdict.tied)
    yield f"Trained with: {verdict.best.name}{ahead}." + (
        f" As good on these pictures: {same}." if same else ""
    )
    yield how_to_give(verdict.best.candidate.spec)
