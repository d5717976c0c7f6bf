"""@visualiser: a function, its title, its needs, its settings.

Before the star of the signature stands what cnnlens hands over, after it what the user may set::

    @visualiser(title="Occlusion")
    def occlusion(probe: Probe, *, window: Annotated[int, Field(ge=2)] = 16) -> Heatmap: ...
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, TypeVar

from .errors import BadSetting
from .model import Model
from .panels import Panel
from .probe import Probe
from .probes import Probes
from .settings import Settings, names_of
from .traits import doubts
from .verdict import Approximate, Impossible, Reason, Verdict

P = ParamSpec("P")
S = TypeVar("S", Probe, Probes, Model)
Answer = Panel | Sequence[Panel]
A = TypeVar("A", bound=Answer)


class Cost(NamedTuple):
    """What one picture costs, in the unit of account: forward and backward passes of the user's network."""

    forwards: int = 0
    backwards: int = 0

    def __str__(self) -> str:
        parts = [
            f"{n} {word} pass{'es' if n > 1 else ''}"
            for n, word in ((self.forwards, "forward"), (self.backwards, "backward"))
            if n
        ]
        return " + ".join(parts) or "no pass"


CostOf = Cost | Callable[[Model, Mapping[str, Any]], Cost]
#: What visualisers are listed under, in this order; a guest may name another.
FAMILIES = ("features", "gradients", "class activation maps", "perturbation", "relevance", "others")
#: Given a model and settings: what stands against the picture, if anything does.
Judge = Callable[[Model, Mapping[str, Any]], Iterable[Reason]]


@dataclass(frozen=True)
class Visualiser(Generic[P, A]):
    """A visualiser as cnnlens keeps it; calling it calls the function, as if it were not wrapped.

    `reads_image` says that it reads pictures, `reads_several` that it gives one answer about all of them together.
    """

    function: Callable[..., A]
    name: str
    title: str
    needs: frozenset[str]
    frameworks: frozenset[str]
    paper: str
    link: str
    settings: Settings
    reads_image: bool
    reads_several: bool
    by_target: bool
    cost: CostOf
    judge: Judge | None = None
    family: str = "others"

    def __call__(self, subject: Probe | Probes | Model, *args: P.args, **kwargs: P.kwargs) -> A:
        """The function itself, its first parameter first."""
        return self.function(subject, *args, **kwargs)

    @property
    def description(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def details(self) -> str:
        """The docstring after its first line."""
        return (inspect.getdoc(self.function) or "").partition("\n")[2].strip()

    def settle(self, given: Mapping[str, Any], model: Model) -> tuple[dict[str, Any], Verdict]:
        """Settings as they will run on that model, and how far its picture can be trusted with them.

        Where the model lacks what was declared, nothing can run and they are handed back as they came.
        Raises UnknownName, BadSetting or Unmet for settings that cannot be.
        """
        if barred := tuple(self._barred(model)):
            return dict(given), Verdict.of(barred)
        settings = self.settings.resolve(given, model)
        return settings, self._judged(model, settings)

    def verdict(self, model: Model, settings: Mapping[str, Any] | None = None) -> Verdict:
        """How far its picture of that model can be trusted, with these settings or its defaults."""
        if settings is None:
            return self.settle({}, model)[1]
        barred = tuple(self._barred(model))
        return Verdict.of(barred) if barred else self._judged(model, settings)

    def _judged(self, model: Model, settings: Mapping[str, Any]) -> Verdict:
        """The verdict on a model that has what was declared."""
        if unreached := tuple(self._unreached(model, settings)):
            return Verdict.of(unreached)
        judged = tuple(self.judge(model, settings)) if self.judge else ()
        return Verdict.of((*judged, *self._doubts(model)))

    def why_not(self, model: Model) -> str | None:
        """Why this visualiser cannot read that model, in words; None if it can."""
        return self.verdict(model).why_not

    def _barred(self, model: Model) -> Iterator[Impossible]:
        """What the model lacks of all that was declared."""
        framework = model.framework.partition("/")[0]
        if self.frameworks and framework not in self.frameworks:
            names = " or ".join(sorted(self.frameworks))
            yield Impossible(f"{self.title} reads models of {names}; this is {framework}")
        for need in sorted(self.needs):
            if reason := model.why_no(need):
                yield Impossible(f"{self.title} needs {need}: {reason}")
        for choice in self.settings.layers.values():
            if not choice.choices(model):
                wanted = " or ".join(choice.kinds) or f"layer with {choice.which}"
                yield Impossible(f"{self.title} needs a {wanted}, and {model.name} has none")

    def _unreached(self, model: Model, settings: Mapping[str, Any]) -> Iterator[Impossible]:
        """Where gradients are wanted, at the layers that are set or else at the picture, and none comes back."""
        if "gradients" not in self.needs:
            return
        asked = [str(settings[name]) for name in self.settings.layers if settings[name] is not None]
        for name in dict.fromkeys(name for one in asked for name in names_of(one, model)) or ("input",):
            if reason := model.unreached(name):
                at = "the picture" if name == "input" else name
                yield Impossible(f"{self.title} needs gradients at {at}: {reason}")

    def _doubts(self, model: Model) -> Iterator[Approximate]:
        """What the host itself has against what is made by running this model."""
        if self.reads_image:
            read = model if "gradients" in self.needs else model.in_full  # a tape is in full precision always
            yield from doubts(read, bool(self.needs & {"gradients", "tape"}))

    def cost_of(self, model: Model, settings: Mapping[str, Any]) -> Cost:
        """The passes that one picture and one target will take with these settings."""
        return self.cost(model, settings) if callable(self.cost) else self.cost


def visualiser(
    *,
    title: str,
    needs: Iterable[str] = (),
    frameworks: Iterable[str] = (),
    paper: str = "",
    link: str = "",
    by_target: bool = True,
    cost: CostOf = Cost(1),  # noqa: B008 (an immutable tuple)
    judge: Judge | None = None,
    family: str = "others",
    name: str | None = None,
) -> Callable[[Callable[Concatenate[S, P], A]], Visualiser[P, A]]:
    """Make a function a visualiser.

    `needs` is what the model must be able to do, of `Model.abilities`; `frameworks` names "torch" or "keras"
    where it reads `model.native` and not just any will do; `paper` author and year, `link` where to read it;
    `by_target` whether the answer hangs on the class asked about; `cost` in passes, or a
    function of model and settings; `judge` a function of model and settings that yields an `Approximate` or
    `Impossible` for each thing that stands against the picture; `family` what it is listed under.
    The name is the function's own in kebab case.

    Raises BadSetting for a signature that cannot be served.
    """
    unknown = set(needs) - set(Model.abilities)
    if unknown:
        raise BadSetting(f"{title} needs {sorted(unknown)}; a model's abilities are {Model.abilities}")

    def wrap(function: Callable[Concatenate[S, P], A]) -> Visualiser[P, A]:
        own = name or function.__name__.replace("_", "-")
        subject = _subject_of(function, own)
        if not inspect.getdoc(function):
            raise BadSetting(f"{own} has no docstring; its first line is what users read")
        return Visualiser(
            function=function,
            name=own,
            title=title,
            needs=frozenset(needs),
            frameworks=frozenset(frameworks),
            paper=paper,
            link=link,
            settings=Settings(function, own),
            reads_image=subject is not Model,
            reads_several=subject is Probes,
            by_target=by_target and subject is not Model,
            cost=cost,
            judge=judge,
            family=family,
        )

    return wrap


def _subject_of(function: Callable[..., Any], owner: str) -> type[Probe] | type[Probes] | type[Model]:
    """What its first parameter wants to be handed."""
    first = next(iter(inspect.signature(function).parameters.values()), None)
    kind = typing.get_type_hints(function).get(first.name) if first else None
    if kind is Probe or kind is Probes or kind is Model:
        return kind
    several = (
        "; for several pictures say `Probes`, which is iterated over"
        if Probe in typing.get_args(kind)
        else ""
    )
    raise BadSetting(
        f"{owner}: the first parameter is a `Probe` (a picture), `Probes` (all pictures together) or a `Model` "
        f"(no picture), not {kind}{several}"
    )
