"""The desk: who runs the model. What the web side may ask of it, in plain values and arrays only.

Nothing that crosses this border is a framework's object, so a desk may stand in this process
(`InProcess`) or in another. A desk runs one job at a time; a job is a request taken apart into parts,
one for each picture, target and visualiser, and every part ends as a result or as an error of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...arrays import Array
from ...errors import CnnlensError, UnknownName, UsageError
from ...result import Result

State = Literal["queued", "running", "done", "cancelled"]
Which = Literal["original", "input"]

MAX_PARTS = 256  #: results that one request may ask for


class NotThere(UnknownName):
    """An address that names nothing: no such picture, job, result or panel."""


class Busy(CnnlensError):
    """The queue is full; ask again in a moment."""


class Loading(CnnlensError):
    """The model is still being opened; ask again in a moment."""


class Gone(CnnlensError):
    """The desk was closed."""


class Ask(BaseModel):
    """One visualiser with its settings."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(description="the visualiser's name, `grad-cam`")]
    settings: Annotated[
        dict[str, str | int | float | bool | None],
        Field(description="its settings; the rest keep their defaults"),
    ] = {}


class Request(BaseModel):
    """Pictures by targets by visualisers; results come in this order."""

    model_config = ConfigDict(extra="forbid")
    images: Annotated[list[str], Field(max_length=64, description="ids of pictures")] = []
    visualisers: Annotated[list[Ask], Field(min_length=1, max_length=16)]
    targets: Annotated[
        list[Annotated[str, Field(max_length=400)]],
        Field(
            min_length=1,
            max_length=32,
            description="`top1`, a class, `p(class)`, `layer[channel]`, `like(id)`",
        ),
    ] = ["top1"]
    top: Annotated[
        int | None,
        Field(ge=1, le=32, description="the K likeliest classes of each picture, instead of targets"),
    ] = None

    @property
    def asked(self) -> list[str]:
        """The targets, `top` written out."""
        return [f"top{rank}" for rank in range(1, self.top + 1)] if self.top else self.targets


def read_request(given: object) -> Request:
    """JSON → a Request; UsageError says in words what does not fit."""
    try:
        request = Request.model_validate(given)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"])) or "request"
        raise UsageError(f"{where}: {found['msg']}") from None
    if request.top and "targets" in request.model_fields_set:
        raise UsageError("top and targets both say what is explained: give one of them")
    count = max(1, len(request.images)) * len(request.asked) * len(request.visualisers)
    if count > MAX_PARTS:
        raise UsageError(f"this asks for {count} results at once; {MAX_PARTS} is the most")
    return request


class Facts(Protocol):
    """A model and its visualisers, told in plain values."""

    @property
    def is_known(self) -> bool:
        """Whether the model's facts can be told, even while it is started again or given up."""

    def model(self) -> dict[str, Any]:
        """The model's facts, as `describe_model` gives them."""

    def layers(self) -> list[dict[str, Any]]:
        """The layers in call order."""

    def layer(self, name: str) -> dict[str, Any]:
        """One layer, closely: what a place of it sees of the picture, its weights, its work. Raises NotThere."""

    def visualisers(self) -> list[dict[str, Any]]:
        """Every visualiser: what it is, its settings for this model, or why it cannot read it."""

    def visualiser(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """One visualiser, with the given settings resolved and their cost. Raises NotThere, BadSetting."""

    def plugins(self) -> dict[str, Any]:
        """What was loaded, and what was left out and why."""


class Desk(Facts, Protocol):
    """What the web side may ask."""

    def opening(self, wait: float = 0.0) -> dict[str, Any]:
        """How far the model's opening has come: `state` (loading, ready or failed), `name`, `bytes`, `elapsed`
        and `error`; waits up to `wait` seconds for its end. Until it is ready, whatever needs the model raises
        Loading, and once it has failed, the error it failed with."""

    def images(self) -> list[dict[str, Any]]:
        """The pictures: id and name."""

    def add_image(self, data: bytes, name: str, listed: bool = True) -> dict[str, Any]:
        """Take a picture in. Raises CannotOpen."""

    def remove_image(self, id: str) -> None:
        """Forget a picture. Raises NotThere."""

    def picture(self, id: str, which: Which) -> Array:
        """A picture's pixels (h, w, c) in [0, 1]: as it was opened, made smaller, or as the model sees it."""

    def submit(self, request: Request) -> dict[str, Any]:
        """Check a request and queue it. Raises Busy where the queue is full, and what `look` refuses."""

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs that are remembered, the newest first."""

    def job(self, id: str, wait: float = 0.0) -> dict[str, Any]:
        """A job's state; waits up to `wait` seconds for its end. Raises NotThere."""

    def cancel(self, id: str, mine: bool = False) -> dict[str, Any]:
        """Ask a job to stop; it stops at its next batch. Of `mine`, only when nobody else has asked for the same."""

    def forget(self, id: str) -> None:
        """Let go of what is known of a picture that another desk has removed."""

    def restart(self) -> None:
        """Start a model again that was given up."""

    def result(self, id: str) -> Result:
        """A finished result. Raises NotThere where it was never made or has been forgotten."""

    def known(self, visualiser: str, settings: Mapping[str, Any], image: str) -> Result | None:
        """What was made of a picture by a visualiser that takes no target, if it is remembered; nothing is run."""

    def reset(self) -> None:
        """Stop the jobs, forget the results, and take the pictures back to those it began with."""

    def close(self) -> None:
        """Stop for good."""


def error_of(error: BaseException) -> dict[str, str]:
    """An error as JSON: its type and what people are told; what is not ours is told without detail."""
    if isinstance(error, NotThere):
        return {"type": "UnknownName", "message": str(error)}
    if isinstance(error, CnnlensError):
        return {"type": type(error).__name__, "message": str(error)}
    return {
        "type": "Internal",
        "message": f"something unforeseen ({type(error).__name__}); the terminal says what",
    }


__all__ = [
    "Ask",
    "Busy",
    "Desk",
    "Gone",
    "Loading",
    "NotThere",
    "Request",
    "Sequence",
    "State",
    "Which",
    "error_of",
    "read_request",
]
