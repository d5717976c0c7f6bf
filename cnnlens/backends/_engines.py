"""What differs between Keras's engines: gradients, frozen variables, the device. One short function each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ..arrays import Array

#: A function of tensors with several tensors as its result.
Function = Callable[[Sequence[Any]], Sequence[Any]]
#: Cotangents by each output (None: not pulled on) → gradients by each leaf (None: nothing hangs on it).
Pull = Callable[[Sequence[Array | None]], Sequence[Array | None]]

NAMES = ("torch", "jax", "tensorflow")


def differentiate(function: Function, leaves: Sequence[Array]) -> tuple[Sequence[Any], Pull]:
    """Run `function` of `leaves` on the engine that Keras runs on; without leaves nothing is recorded."""
    engine = {"torch": _torch, "jax": _jax, "tensorflow": _tensorflow}[keras.config.backend()]
    return engine(function, [keras.ops.convert_to_tensor(leaf) for leaf in leaves])


def _torch(function: Function, leaves: Sequence[Any]) -> tuple[Sequence[Any], Pull]:
    import torch

    with torch.set_grad_enabled(bool(leaves)):
        outputs = function([leaf.requires_grad_() for leaf in leaves])

    def pull(cotangents: Sequence[Array | None]) -> Sequence[Array | None]:
        asked = [
            (o, c) for o, c in zip(outputs, cotangents, strict=True) if c is not None and o.requires_grad
        ]
        if not asked:
            return [None] * len(leaves)
        with torch.inference_mode(False):
            outs, grads = zip(*((o, cotangent(c, o)) for o, c in asked), strict=True)
            return _arrays(torch.autograd.grad(outs, leaves, grads, allow_unused=True))

    return outputs, pull


def _tensorflow(function: Function, leaves: Sequence[Any]) -> tuple[Sequence[Any], Pull]:
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(leaves)
        outputs = function(leaves)

    def pull(cotangents: Sequence[Array | None]) -> Sequence[Array | None]:
        pairs = [(o, cotangent(c, o)) for o, c in zip(outputs, cotangents, strict=True) if c is not None]
        if not pairs:
            return [None] * len(leaves)
        outs, grads = zip(*pairs, strict=True)
        return _arrays(tape.gradient(list(outs), list(leaves), list(grads)))

    return outputs, pull


def _jax(function: Function, leaves: Sequence[Any]) -> tuple[Sequence[Any], Pull]:
    import jax

    if not leaves:
        return function(leaves), lambda _: []
    outputs, backward = jax.vjp(lambda *given: tuple(function(given)), *leaves)

    def pull(cotangents: Sequence[Array | None]) -> Sequence[Array | None]:
        pairs = zip(outputs, cotangents, strict=True)
        return _arrays(backward(tuple(cotangent(np.zeros(o.shape) if c is None else c, o) for o, c in pairs)))

    return outputs, pull


class Reading(keras.StatelessScope):  # type: ignore[misc]
    """A scope in which variables read as what `of` makes of them; what is assigned stays in the scope.

    Made when they are read, which costs less than a list of all of them.
    """

    def __init__(self, of: Callable[[Any], Any], placed: Sequence[tuple[Any, Any]] = ()) -> None:
        super().__init__(placed)
        self._of = of

    def get_current_value(self, variable: Any) -> Any:
        """What was placed or assigned in the scope, else what `of` says."""
        assigned = super().get_current_value(variable)
        return self._of(variable) if assigned is None else assigned


def _detached(variable: Any) -> Any:
    """The value without its graph, so that no gradient of it is made; None where it has no value yet."""
    import torch

    with torch._C.DisableTorchFunction():  # who follows the pass takes it for a constant
        return None if variable._value is None else variable._value.detach()


@contextmanager
def unchanged(model: Any, placed: Sequence[tuple[Any, Any]] = ()) -> Iterator[None]:
    """Variables of a model, or of one operation, are constants for as long as the context lasts.

    Nothing trains, counts or draws for good; those `placed` read as the values beside them. Keras keeps what
    is assigned in a stateless scope (seeds, moving averages) to the scope.
    """
    torch = keras.config.backend() == "torch"
    with _torch_state(model, placed) if torch else keras.StatelessScope(placed):
        yield


@contextmanager
def _torch_state(model: Any, placed: Sequence[tuple[Any, Any]]) -> Iterator[None]:
    """In the scope every variable reads as its detached self, so that `requires_grad` need not be touched.

    A wrapped nn.Module is none of Keras's variables: its train flags and random numbers are put back.
    """
    import torch

    wrapper = keras.layers.TorchModuleWrapper
    layers = model._flatten_layers() if isinstance(model, keras.layers.Layer) else ()
    wrapped = [layer for layer in layers if isinstance(layer, wrapper)]
    flags = [(part, part.training) for layer in wrapped for part in layer.modules()]
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = [torch.cuda.current_device()] if used else []
    with torch.inference_mode(False), torch.random.fork_rng(devices), Reading(_detached, placed):
        try:
            yield
        finally:
            for part, training in flags:
                part.training = training


def device_of(model: Any) -> str:
    """Where the variables live: "cpu", "cuda:0", "gpu:0" …"""
    value: Any = next((v.value for v in model.variables), None)
    if value is None:
        return "cpu"
    if keras.config.backend() == "tensorflow":  # /job:localhost/replica:0/task:0/device:CPU:0
        return str(value.device).rpartition("device:")[2].lower().removesuffix(":0") or "cpu"
    device = next(iter(value.devices())) if keras.config.backend() == "jax" else value.device
    return str(getattr(device, "platform", device))


def still(tensor: Any) -> Any:
    """The tensor out of whatever graph it is in."""
    return tensor.detach() if keras.config.backend() == "torch" else tensor


def cotangent(values: Any, output: Any) -> Any:
    """An array as a tensor of an output's type."""
    return keras.ops.cast(keras.ops.convert_to_tensor(np.asarray(values, np.float32)), output.dtype)


def _arrays(tensors: Sequence[Any]) -> list[Array | None]:
    return [None if t is None else array(t) for t in tensors]


def array(tensor: Any) -> Array:
    """A copy of a tensor or variable as NumPy float32, laid out as the engine has it."""
    tensor = tensor.value if isinstance(tensor, keras.Variable) else tensor
    # NumPy 2 warns of the way that it, and Keras, would take into PyTorch and TensorFlow
    if keras.config.backend() == "torch":
        return np.array(tensor.detach().cpu().float().numpy(), np.float32)
    if hasattr(tensor, "numpy"):  # of TensorFlow's tensors a copy already
        return np.asarray(tensor.numpy(), np.float32)
    return np.array(tensor, np.float32)


def reason_of(error: Exception) -> str:
    """What an engine says went wrong, without Keras's frame around it."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines()
    telling = (line.strip() for line in lines if not line.startswith("Exception encountered"))
    return next(filter(None, telling), type(error).__name__)
