"""What the doctor found, as values: findings, trials, the verdict. How it is put in words stands in `words`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import CannotOpen, Unmet
from ..preprocess import InputSpec
from . import words
from .label_order import Reordered
from .trials import Trial
from .verdict import TEST, Verdict

Level = Literal["wrong", "doubtful", "note"]
LEVELS: tuple[Level, ...] = ("wrong", "doubtful", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that was found: how bad it is, a word to know it by, what it is and what would do."""

    level: Level
    code: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """Everything the doctor found. `str()` is the report, `facts()` the same as plain values.

    `preprocess` is the preprocessing that the model was trained with, None where that cannot be told.
    """

    model: str
    opened: InputSpec
    findings: tuple[Finding, ...]
    trials: tuple[Trial, ...] = ()
    reordered: Mapping[str, Reordered] = field(default_factory=dict)
    verdict: Verdict | None = None
    pictures: str = ""
    notes: tuple[str, ...] = ()

    @property
    def preprocess(self) -> InputSpec | None:
        """What the model was trained with, where it can be told."""
        if self.verdict is None or not self.verdict.told:
            return None
        return self.verdict.best.candidate.spec

    @property
    def sorted_findings(self) -> list[Finding]:
        """The worst first."""
        return sorted(self.findings, key=lambda f: LEVELS.index(f.level))

    def codes(self, *levels: Level) -> set[str]:
        """The words by which the findings are known, of these levels or of all."""
        return {f.code for f in self.findings if f.level in (levels or LEVELS)}

    def rank(self, trial: Trial) -> float:
        """What the trials are ordered by: the likelihood of the truth; the surer where no truth is known."""
        if trial.truths is None:
            return -trial.entropy
        held = self.reordered.get(trial.name)
        return float((held.likelihoods if held else trial.likelihoods).mean())

    def save(self, path: str | Path) -> None:
        """Write the preprocessing that was found as a file that `--preprocess` reads; Unmet where none was."""
        if self.preprocess is None:
            raise Unmet(f"nothing was written to {path}: what it was trained with cannot be told")
        try:
            Path(path).write_text(json.dumps(self.preprocess.facts(), indent=1) + "\n")
        except OSError as error:
            raise CannotOpen(f"cannot write {path}: {error.strerror}") from error

    def facts(self) -> dict[str, Any]:
        """The diagnosis as plain values that JSON can hold."""
        return {
            "model": self.model,
            "opened": self.opened.facts(),
            "pictures": self.pictures,
            "notes": list(self.notes),
            "candidates": [self._trial_facts(trial) for trial in self.trials],
            "verdict": _verdict_facts(self.verdict) if self.verdict else None,
            "preprocess": self.preprocess.facts() if self.preprocess else None,
            "findings": [
                {"level": f.level, "code": f.code, "text": f.text, **f.facts} for f in self.sorted_findings
            ],
        }

    def _trial_facts(self, trial: Trial) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "name": trial.name,
            "opened": trial.candidate.opened,
            "preprocess": trial.candidate.spec.facts(),
            "pictures": len(trial.scores),
            "confidence": trial.confidence,
            "entropy": trial.entropy,
        }
        if trial.truths is None:
            return facts
        facts["top1"] = float(trial.right.mean())
        facts["log_likelihood"] = float(trial.likelihoods.mean())
        facts["sharpness"] = trial.sharpness
        if trial.scores.shape[1] > 10:
            facts["top5"] = trial.top5
        if trial.name in self.reordered:
            facts["top1_reordered"] = float(self.reordered[trial.name].right.mean())
        return facts

    def __str__(self) -> str:
        return words.report(self)


def _verdict_facts(verdict: Verdict) -> dict[str, Any]:
    return {
        "best": verdict.best.name,
        "told": verdict.told,
        "tied": [trial.name for trial in verdict.tied],
        "p": verdict.p,
        "statistic": TEST,
        "reason": verdict.reason,
        "runner_up": verdict.runner_up.name if verdict.runner_up else None,
    }
