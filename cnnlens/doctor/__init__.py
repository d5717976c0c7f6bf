"""The doctor: which preprocessing was a model trained with, and what is wrong with it?

`doctor(model, folder)` tries the plausible preprocessings on pictures whose class is known; without a folder
it looks at what needs no picture. It changes nothing of the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from ..model import Model
from .answers import of_order, of_outputs, of_preprocessing, of_sharpness
from .candidates import Candidate, at_size, by_fit, by_values, uncut
from .checks import without_pictures
from .diagnosis import Diagnosis, Finding
from .label_order import Reordered, find_order, reorder
from .samples import Samples, read_samples
from .trials import Runner, Trial, accepts, grey, run_fed
from .verdict import NOTHING_WORKS, Verdict, judge
from .words import how_to_give

__all__ = ["Candidate", "Diagnosis", "Finding", "Reordered", "Trial", "Verdict", "doctor", "how_to_give"]

#: Pictures that are looked at: enough to tell the usual candidates apart, and some minutes of a large net.
LIMIT = 100


def doctor(
    model: Model,
    folder: str | Path | None = None,
    *,
    labels_csv: str | Path | None = None,
    limit: int = LIMIT,
    progress: Callable[[int, int], None] | None = None,
) -> Diagnosis:
    """Look at `model`, on the pictures of `folder` where one is given; the model stays as it is.

    `folder` holds a sub-folder for each class, or pictures and a `labels.csv` of file,label, or is such a
    CSV itself; `labels_csv` names one elsewhere. At most `limit` pictures are used. A flat folder without
    labels shows how confident the model is under each preprocessing, and decides nothing.
    """
    findings = without_pictures(model)
    if folder is None and labels_csv is None:
        return Diagnosis(model.name, model.input, tuple(findings))
    count = max(2, run_fed(model, grey(model.input)).shape[1])
    classes = model.classes if model.classes and len(model.classes) == count else None
    samples = read_samples(_path(folder), _path(labels_csv), classes, count, limit)
    runner = Runner(model, samples.paths, samples.truths, progress)
    trials = _try_all(model, runner)
    names = [classes[i] if classes else samples.names.get(i, str(i)) for i in range(count)]
    told = _Told(model, names, findings, trials)
    if samples.truths is not None:
        told.judge(runner)
    return told.diagnosis(samples, runner, Path(folder or labels_csv or "."))


class _Told:
    """The diagnosis as it comes together."""

    def __init__(
        self, model: Model, names: Sequence[str], findings: list[Finding], trials: list[Trial]
    ) -> None:
        self.model, self.names, self.findings, self.trials = model, names, findings, trials
        self.reordered: dict[str, Reordered] = {}
        self.verdict: Verdict | None = None

    def judge(self, runner: Runner) -> None:
        """Is the order of the labels right, which values are, and does another way to fit do better?"""
        self._find_order()
        verdict = self._verdict()
        if self._fitting_matters(runner, verdict):
            if verdict.told:
                verdict = self._with_fits(runner, verdict)
            elif verdict.reason.startswith(NOTHING_WORKS):
                # a cut may have left nothing to see: once more with all of each picture
                self.trials += runner.run(uncut([t.candidate for t in self.trials]))
                self._find_order()
                verdict = self._verdict()
        self.verdict = verdict
        self.findings += of_preprocessing(verdict)
        if self.reordered:
            return
        if verdict.told:
            self.findings += [*of_outputs(verdict.best, self.names), *of_sharpness(verdict.best)]
        else:
            opened = [t for t in (verdict.best, *verdict.tied) if t.candidate.opened]
            self.findings += [finding for trial in opened for finding in of_outputs(trial, self.names)]

    def _find_order(self) -> None:
        reordered = {} if self.reordered else _reordered(self.trials)
        if not reordered:
            return
        best = max(self.trials, key=lambda t: float(reordered[t.name].likelihoods.mean()))
        plain = max(self.trials, key=lambda t: int(t.right.sum()))
        order = find_order(best, reordered[best.name], plain)
        if order is not None:
            self.reordered = reordered
            self.findings.append(of_order(order, self.names))

    def _verdict(self, trials: Sequence[Trial] | None = None) -> Verdict:
        trials = self.trials if trials is None else trials
        held = [self.reordered.get(t.name) for t in trials]
        likelihoods = [h.likelihoods if h else t.likelihoods for t, h in zip(trials, held, strict=True)]
        rights = [h.right if h else t.right.astype(float) for t, h in zip(trials, held, strict=True)]
        return judge(trials, likelihoods, rights)

    def _with_fits(self, runner: Runner, verdict: Verdict) -> Verdict:
        """The verdict on another way to fit, if one beats the present; else the one on the values."""
        fits = runner.run(by_fit(verdict.best.candidate))
        self.trials += fits
        if self.reordered:
            self.reordered |= _reordered(fits)
        fitted = self._verdict([verdict.best, *fits])
        if fitted.best is not verdict.best and verdict.best not in fitted.tied:
            return dataclasses.replace(fitted, told=True, reason="")  # the values are; which cut matters less
        return verdict

    def _fitting_matters(self, runner: Runner, verdict: Verdict) -> bool:
        spec = verdict.best.candidate.spec
        return any(shape != (spec.height, spec.width) for shape in runner.shapes)

    def diagnosis(self, samples: Samples, runner: Runner, place: Path) -> Diagnosis:
        """All of it."""
        used = len(self.trials[0].scores)
        classes = f" of {len(set(samples.truths))} classes" if samples.truths is not None else ""
        notes = list(samples.notes)
        if runner.broken:
            path, reason = next(iter(runner.broken.items()))
            notes.append(
                f"{len(runner.broken)} files could not be read and were left out; {path.name}: {reason}"
            )
        pictures = f"{used} pictures{classes} from {place.name or place}"
        return Diagnosis(
            self.model.name, self.model.input, tuple(self.findings), tuple(self.trials),
            self.reordered, self.verdict, pictures, tuple(notes),
        )  # fmt: skip


def _try_all(model: Model, runner: Runner) -> list[Trial]:
    """The candidates at the model's own size, and at the pictures' own where all share one that it reads."""
    trials = runner.run(by_values(model.input))
    shape, count = runner.shapes.most_common(1)[0]
    own = (model.input.height, model.input.width)
    if shape == own or count < 0.9 * runner.shapes.total() or max(shape) > 512:
        return trials
    resized = at_size([t.candidate for t in trials], *shape)
    return trials + (runner.run(resized) if accepts(model, resized[0].spec) else [])


def _reordered(trials: Sequence[Trial]) -> dict[str, Reordered]:
    found = {trial.name: reorder(trial) for trial in trials}
    return {name: held for name, held in found.items() if held is not None}


def _path(place: str | Path | None) -> Path | None:
    return None if place is None else Path(place)
