"""A target's text → a Target: one term, or the difference of two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import BadInput, UsageError
from .classes import ClassScore
from .naming import class_by_index, unknown_class
from .places import Places
from .probability import Probability
from .rules import RULES, Open
from .target import Target
from .term import Term

if TYPE_CHECKING:
    from ..model import Model


def read_target(asked: str | int | Target, model: Model, open: Open | None = None) -> Target:
    """`top1`, `281`, `tabby`, `p(tabby)`, `dog@40,60`, `layer3[17]`, `logits[:,3]`, `a - b`, … → a Target.

    `open` opens the picture that `like(…)` names; without it none is opened by any text. Raises UnknownName
    with the nearest names where a class, layer or output does not exist, BadInput for what is out of range.
    """
    if isinstance(asked, Target):
        return asked
    text = str(asked).strip()
    if isinstance(asked, bool):
        raise BadInput(f"a target is a class, a number or text, not {asked}")
    if isinstance(asked, int):
        return Target((class_by_index(asked, model),), text)
    failure = None
    try:
        term = _read_term(text, model, open)
    except UsageError as error:
        if " - " not in text:
            raise
        term, failure = None, error
    if term is not None:
        return Target((term,), text)
    for first, second in _sides(text, model, open):
        return Target(_side_by_side(first, second, text, model), text, (1.0, -1.0))
    raise failure or unknown_class(text, model)


def _read_term(text: str, model: Model, open: Open | None) -> Term | None:
    for rule in RULES:
        term = rule(text, model, open)
        if term is not None:
            return term
    return None


def _sides(text: str, model: Model, open: Open | None) -> Iterator[tuple[Term, Term]]:
    """The two sides of a difference, divided at any " - " where both are terms.

    Where none fits, the error is that of the division nearest to one.
    """
    parts, failure = text.split(" - "), None
    for cut in range(1, len(parts)):
        sides = [" - ".join(some).strip() for some in (parts[:cut], parts[cut:])]
        terms: list[Term] = []
        try:
            for side in sides:
                term = _read_term(side, model, open)
                if term is None:
                    raise unknown_class(side, model)
                terms.append(term)
        except UsageError as error:
            failure = failure or error
            continue
        yield terms[0], terms[1]
    if failure is not None:
        raise failure


def _side_by_side(first: Term, second: Term, text: str, model: Model) -> tuple[Term, Term]:
    """The sides of a difference, in the same unit.

    Where an output has places both are read at the same: a side that names none takes the other's, and where
    neither does, both are read where the first wins.
    """
    if first.unit != second.unit:
        raise BadInput(f"{text}: {_a(first.unit)} and {_a(second.unit)} have no difference")
    one, other = _class_in(first), _class_in(second)
    if one is None or other is None or len(model.outputs) < 2:
        return first, second
    places = one.places or other.places or one.won
    return _at(first, one.places or places), _at(second, other.places or places)


def _class_in(term: Term) -> ClassScore | None:
    inner = term.of if isinstance(term, Probability) else term
    return inner if isinstance(inner, ClassScore) else None


def _at(term: Term, places: Places) -> Term:
    if isinstance(term, Probability):
        return replace(term, of=replace(term.of, places=places))
    return replace(term, places=places) if isinstance(term, ClassScore) else term


def _a(unit: str) -> str:
    return f"an {unit}" if unit[0] in "aeiou" else f"a {unit}"
