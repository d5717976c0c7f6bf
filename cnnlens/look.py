"""Visualiser × probe × settings → Result: check, run, time.

Everything that can be refused is refused before the model runs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .diagnosis import diagnose, diagnose_several, why_failed
from .diagram import Diagram
from .errors import CnnlensError, PluginFailed, UnknownName, Unmet, UsageError
from .images import Image, Source, open_image
from .model import Model
from .panels import Bars, Curve, Heatmap, Note, Panel, Picture, Table, Tiles
from .pictured import facts_of_one, facts_of_several
from .probe import Probe, Progress
from .probes import Probes
from .result import Result, Sheet
from .rounding import rounded
from .runtime import one_thread
from .targets import Target, read_target
from .verdict import Verdict
from .versions import versions
from .visualiser import Visualiser

AnyVisualiser = Visualiser[Any, Any]
Subject = Probe | Probes | None  #: what a visualiser is handed; None where that is the model alone


def look(
    model: Model,
    image: Source | Probe | Probes | Sequence[Source | Probe] | None,
    visualiser: str | AnyVisualiser,
    *,
    target: str | int | Target | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Result:
    """Look at a picture, or at several together, through a model with one visualiser.

    `image` is a file, bytes, a Pillow image, an array in [0, 1], a Probe (whose memory is then shared), a list of
    these or Probes for a visualiser that reads several, or None for one that reads no picture. `target` is what is
    explained, by default the class that comes first, or what the Probe was made for; the file that a `like(file)`
    names is opened. Settings are the visualiser's own, `layer` among them.
    Raises UsageError, Unmet, CannotOpen or PluginFailed; the model is left as it was in every case.
    """
    _must_be_model(model)
    chosen = _known(visualiser)
    resolved, verdict = _settled(chosen, settings, model)
    subject = _subject(model, image, chosen, target, progress)
    return _looked(model, subject, chosen, resolved, verdict, progress)


def _settled(
    chosen: AnyVisualiser, settings: Mapping[str, Any], model: Model
) -> tuple[dict[str, Any], Verdict]:
    """The settings as they will run and the verdict on them; Unmet where there can be no picture."""
    resolved, verdict = chosen.settle(settings, model)
    if verdict.why_not:
        raise Unmet(verdict.why_not)
    return resolved, verdict


def _looked(
    model: Model,
    subject: Subject,
    chosen: AnyVisualiser,
    resolved: dict[str, Any],
    verdict: Verdict,
    progress: Progress | None,
) -> Result:
    """Run what was settled, and see what is wrong with it."""
    if isinstance(subject, Probe) and chosen.reads_several:
        subject = Probes(model, [subject], None, subject.progress)
    probe = subject.first if isinstance(subject, Probes) else subject
    several = subject if isinstance(subject, Probes) and len(subject) > 1 else None
    with model.lock:
        batch = _batch(model, chosen, resolved)
        compiled, started = model.compiling, time.perf_counter()
        panels = _called(chosen, model, subject, resolved, progress)
        if several:
            panels += diagnose_several(several, panels, chosen.needs, resolved)
        else:
            panels += diagnose(model, probe, panels, chosen.needs, resolved, chosen.by_target)
        notes, precision = rounded(model, probe, chosen, resolved, of=len(several or "1"))
        panels += notes
        panels += _with_care(verdict, panels)
        seconds = time.perf_counter() - started
        facts = _facts(model, chosen, resolved)
        if probe is not None:
            facts |= facts_of_several(several, chosen) if several else facts_of_one(probe, chosen)
            facts["cost"] += " a picture" if several else ""
        facts |= {"versions": versions(model.framework)} | batch | precision
        facts |= {"verdict": verdict.facts(), "seconds": round(seconds, 4)}
        if spent := model.compiling - compiled:  # of these seconds, and not again for the same question
            facts["seconds_compiling"] = round(spent, 4)
    return Result(panels=panels, facts=facts, pixels=None if several or probe is None else probe.pixels)


def sheet(
    model: Model,
    images: Source | Sequence[Source],
    visualisers: Sequence[str | AnyVisualiser],
    *,
    targets: Sequence[str | int | Target] = ("top1",),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> Sheet:
    """Several pictures, visualisers and targets at once; passes are shared where they can be.

    `settings` holds the settings of each visualiser by its name. A visualiser that does not hang on the
    target runs once a picture, one that reads no picture once, and one that reads several once for all of them. Every
    picture is opened, every target and
    setting read before anything runs.
    """
    _must_be_model(model)
    images = [images] if _is_one_picture(images) else list(images)
    chosen = [_known(v) for v in visualisers]
    own = {name: dict(values) for name, values in (settings or {}).items()}
    # or refused, before anything runs
    settled = [(v, *_settled(v, own.get(v.name, {}), model)) for v in chosen]
    for name in own:
        if name not in {v.name for v in chosen}:
            raise UnknownName("visualiser", name, (v.name for v in chosen), " among those asked for")
    targets = [read_target(target, model, open_image) for target in targets]
    if len(images) > 1:  # a damaged one, the last of a folder, would cost all that was done before
        for image in images:
            open_image(image)
    results = [_looked(model, None, *one, progress) for one in settled if not one[0].reads_image]
    reading = [one for one in settled if one[0].reads_image]
    if len(images) > 1:
        for one in (one for one in reading if one[0].reads_several):
            asked = targets if one[0].by_target else targets[:1]
            for target in asked:
                several = Probes(model, images, target, progress)
                results.append(_looked(model, several, *one, progress))
        reading = [one for one in reading if not one[0].reads_several]
    for image in images if reading else ():
        first = Probe(model, image)
        for number, target in enumerate(targets):
            probe = first.towards(target, progress)
            results += [
                _looked(model, probe, *one, progress) for one in reading if number == 0 or one[0].by_target
            ]
    return Sheet(tuple(results))


def _must_be_model(model: object) -> None:
    if not isinstance(model, Model):
        kind = f"{type(model).__module__}.{type(model).__qualname__}"
        raise UsageError(f"a Model of cnnlens is wanted, got {kind}: hand it to cnnlens.wrap first")


def _is_one_picture(images: Any) -> bool:
    """Whether this is a picture and not several: a path, bytes, an Image, anything with a shape or a size."""
    return (
        isinstance(images, (str, Path, bytes, Image)) or hasattr(images, "shape") or hasattr(images, "size")
    )


def _known(asked: str | AnyVisualiser) -> AnyVisualiser:
    from .registry import installed  # it reads the metadata of what is installed: only where names are asked

    if isinstance(asked, str):
        return installed().get(asked)
    if not isinstance(asked, Visualiser):
        raise UsageError(f"a visualiser is a name or a function under @visualiser(title=…), got {asked!r}")
    return asked


def _subject(
    model: Model,
    image: Any,
    chosen: AnyVisualiser,
    target: str | int | Target | None,
    progress: Progress | None,
) -> Subject:
    """What the visualiser is handed, or None where that is the model alone."""
    if not chosen.reads_image:
        return None
    if image is None:
        raise Unmet(f"{chosen.title} reads a picture and was given none")
    asked = None if target is None else read_target(target, model, open_image)
    if isinstance(image, (Probe, Probes)) and image.model is not model:
        raise Unmet("this probe holds its picture to another model")
    if chosen.reads_several and not isinstance(image, (Probe, Probes)):
        return Probes(model, [image] if _is_one_picture(image) else image, asked, progress)
    if not chosen.reads_several and (isinstance(image, Probes) or _are_pictures(image)):
        raise UsageError(f"{chosen.title} reads one picture at a time: cnnlens.sheet takes several")
    if isinstance(image, (Probe, Probes)):
        if progress or asked is not None:
            return image.towards(asked, progress or image.progress)
        return image
    return Probe(model, image, "top1" if asked is None else asked, progress)


def _are_pictures(images: Any) -> bool:
    """Whether these are several pictures, and not the rows of numbers of one."""
    first = images[0] if isinstance(images, (list, tuple)) and images else None
    return isinstance(first, (str, Path, bytes, Image, Probe))


def _called(
    chosen: AnyVisualiser,
    model: Model,
    subject: Subject,
    settings: Mapping[str, Any],
    progress: Progress | None,
) -> tuple[Panel, ...]:
    handed = (progress,) if chosen.counts else ()
    try:
        with one_thread():
            answer = chosen(model if subject is None else subject, *handed, **settings)
    except CnnlensError:
        raise
    except Exception as error:
        probe = subject.current if isinstance(subject, Probes) else subject
        if probe is not None and (reason := why_failed(model, probe)):
            raise Unmet(f"{chosen.title} needs finite scores: {reason}") from error
        raise PluginFailed(f"visualiser {chosen.name!r} failed: {type(error).__name__}: {error}") from error
    kinds = (Heatmap, Tiles, Picture, Bars, Curve, Table, Diagram, Note)
    panels = (
        (answer,) if isinstance(answer, kinds) else tuple(answer) if isinstance(answer, (list, tuple)) else ()
    )
    if not panels or not all(isinstance(p, kinds) for p in panels):
        raise PluginFailed(
            f"visualiser {chosen.name!r} returned {type(answer).__name__}, not a panel or several"
        )
    return panels


def _with_care(verdict: Verdict, panels: Sequence[Panel]) -> tuple[Note, ...]:
    """A note for each reason to read the picture with care that none of its notes has told yet."""
    told = [panel.text for panel in panels if isinstance(panel, Note)]
    return tuple(
        Note(f"Read with care: {reason}")
        for reason in dict.fromkeys(verdict.because)
        if not any(re.split("[:,]", reason)[0] in text for text in told)
    )


def _batch(model: Model, chosen: AnyVisualiser, settings: Mapping[str, Any]) -> dict[str, int]:
    """Pictures per pass, of what takes many; Unmet before anything runs where memory holds not even one."""
    cost = chosen.cost_of(model, settings)
    if cost.forwards + cost.backwards <= 2:
        return {}
    return {"batch": model.batch_for(gradients=cost.backwards > 0)}


def _facts(model: Model, chosen: AnyVisualiser, settings: Mapping[str, Any]) -> dict[str, Any]:
    """How the result came to be; goes into every manifest."""
    return {
        "visualiser": chosen.name,
        "title": chosen.title,
        "paper": chosen.paper,
        "link": chosen.link,
        "settings": dict(settings),
        "cost": str(chosen.cost_of(model, settings)),
        "model": model.name,
        "framework": model.framework,
        "device": model.device,
        **model.facts,
    }
