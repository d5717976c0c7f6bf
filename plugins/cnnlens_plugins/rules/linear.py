"""How one linear call shares what arrived at it: Bach et al., 2015; Montavon et al., 2017 and 2019.

Every rule here is one formula: what stands at the output, divided by a denominator z, is pulled back through the
call with other inputs and other kernels. Biases and stabilisers are zennit's (Anders et al., 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cnnlens import Array, Call

from .signs import side

#: What arrived at an output, shared: the input's share, and what the bias took for itself.
Shared = tuple[Array, float]


@dataclass(frozen=True)
class Stabiliser:
    """Keeps a denominator away from zero: z + ε·sign(z), the sign of zero being +.

    `relative` takes ε as a share of the root mean square of z over one picture's layer. With ε = 0 nothing is
    added, and where z is zero there is no share at all.
    """

    epsilon: float = 1e-6
    relative: bool = False

    def divide(self, arrived: Array, z: Array) -> Array:
        """arrived / (z + ε·sign z)."""
        if self.epsilon == 0:
            return np.divide(arrived, z, out=np.zeros_like(arrived), where=z != 0)
        epsilon = np.asarray(self.epsilon, z.dtype)
        if self.relative:
            axes = tuple(range(1, z.ndim))
            root = np.sqrt(np.mean(z**2, axes, keepdims=True))
            epsilon = np.maximum(self.epsilon * root, 1e-30).astype(z.dtype, copy=False)
        stable = np.multiply(
            z < 0, -2 * epsilon, dtype=z.dtype
        )  # ±ε exactly; `where` takes eight times as long
        stable += epsilon
        stable += z
        return np.divide(arrived, stable, out=stable)


@dataclass(frozen=True)
class Linear:
    """A convolution or dense call with the batch norm that follows it merged into its kernel and bias.

    `x` is what it reads, `z` what it hands on, `gain` (out,) the batch norm's factor and `bias` (out,) that of
    both together; None where there is none. `ones` is what it would read of a picture of ones: where zeros were
    put about the picture, they are zeros still.
    """

    call: Call
    x: Array
    z: Array
    gain: Array | None
    bias: Array | None
    ones: Array | None = None

    @classmethod
    def of(cls, call: Call, x: Array, norm: Call | None = None) -> Linear | None:
        """None where the batch norm cannot be merged, its channels not being those of the kernel."""
        bias = call.params.get("bias")
        if norm is None:
            return cls(call, x, call.output, None, bias)
        gain, shift = gain_of(norm)
        if call.params["kernel"].shape[-1] != len(gain):
            return None
        return cls(call, x, norm.output, gain, shift if bias is None else shift + gain * bias)

    @property
    def kernel(self) -> Array:
        """The kernel, with the batch norm's factor in it."""
        kernel = self.call.params["kernel"]
        return kernel if self.gain is None else kernel * self.gain

    def pull(self, cotangent: Array) -> Array:
        """The derivative as the call is; nothing is run again."""
        return self.call.pull(cotangent if self.gain is None else cotangent * self.gain)[0]

    def again(
        self, x: Array, kernel: Array, bias: Array | None
    ) -> tuple[Array, Callable[[Array], tuple[Array, ...]]]:
        """What the call makes of another input and other weights, and the way back."""
        params = {"kernel": kernel}
        if "bias" in self.call.params:
            own = self.call.params["bias"]
            params["bias"] = np.zeros_like(own) if bias is None else bias
            return self.call.again((x,), params)
        z, back = self.call.again((x,), params)
        return (z if bias is None else z + bias), back


def gain_of(norm: Call) -> tuple[Array, Array]:
    """A batch norm as y = gain·x + shift, (channels,) each."""
    params = norm.params
    gain = 1 / np.sqrt(params["variance"] + norm.info.hyper.get("eps", 1e-5))
    gain = np.asarray(gain * params["scale"] if "scale" in params else gain, params["variance"].dtype)
    shift = -params["mean"] * gain
    return gain, shift + params["bias"] if "bias" in params else shift


class Part(NamedTuple):
    """One term of a denominator: sign · (x through the kernel + bias)."""

    x: Array
    kernel: Array
    bias: Array | None
    sign: float = 1.0


LinearRule = Callable[[Linear, Array, Stabiliser], Shared]


def epsilon(at: Linear, arrived: Array, by: Stabiliser) -> Shared:
    """x·w / (z + ε·sign z). The bias takes its own share. With ε = 0 it is LRP-0."""
    s = by.divide(arrived, at.z)
    return at.x * at.pull(s), _taken(s, at.bias)


def plus(at: Linear, arrived: Array, by: Stabiliser) -> Shared:
    """z⁺, which is α1β0: only what pushes up counts, x⁺·w⁺ and x⁻·w⁻. Of the bias its positive part."""
    return _shared(at, arrived, by, _pushing(at, up=True))


def alpha2_beta1(at: Linear, arrived: Array, by: Stabiliser) -> Shared:
    """Twice what pushes up less once what pushes down; the bias's parts go with their own sign."""
    up, bias_up = _shared(at, arrived, by, _pushing(at, up=True))
    down, bias_down = _shared(at, arrived, by, _pushing(at, up=False))
    return 2 * up - down, 2 * bias_up - bias_down


def gamma_rule(gamma: float) -> LinearRule:
    """w + γ·w⁺ where the output is above zero, w + γ·w⁻ where it is below, as Andéol et al. (2021) have it.

    x⁻ is held to the other side's kernel, without bias; an output of exactly zero hands on nothing.
    """

    def rule(at: Linear, arrived: Array, by: Stabiliser) -> Shared:
        share, bias_share = np.zeros_like(at.x), 0.0
        kernel = at.kernel
        raised, lowered = (kernel + gamma * side(kernel, up) for up in (True, False))
        for of, up in ((at.z > 0, True), (at.z < 0, False)):
            here = arrived * of
            if not here.any():
                continue
            bias = None if at.bias is None else at.bias + gamma * side(at.bias, up)
            ours, other = (raised, lowered) if up else (lowered, raised)
            parts = _split(at.x, ours, other, bias)
            more, bias_more = _shared(at, here, by, parts)
            share, bias_share = share + more, bias_share + bias_more
        return share, bias_share

    return rule


def flat(at: Linear, arrived: Array, by: Stabiliser) -> Shared:
    """The same to every input, whatever it is; no bias. For the layer that reads the picture."""
    return _shared(at, arrived, by, [Part(_ones(at), np.ones_like(at.kernel), None)])


def square(at: Linear, arrived: Array, by: Stabiliser) -> Shared:
    """w²: by the square of the weights, whatever the input; the bias by its square."""
    bias = None if at.bias is None else at.bias**2
    return _shared(at, arrived, by, [Part(_ones(at), at.kernel**2, bias)])


def box_rule(low: Array, high: Array) -> LinearRule:
    """z-box: x·w − low·w⁺ − high·w⁻, for inputs that lie between `low` and `high`; the bias likewise."""

    def rule(at: Linear, arrived: Array, by: Stabiliser) -> Shared:
        kernel, bias = at.kernel, at.bias
        ends = [
            Part(np.broadcast_to(end, at.x.shape).astype(at.x.dtype), side(kernel, up),
                 None if bias is None else side(bias, up), -1.0)
            for end, up in ((low, True), (high, False))
        ]  # fmt: skip
        return _shared(at, arrived, by, [Part(at.x, kernel, bias), *ends])

    return rule


def _shared(at: Linear, arrived: Array, by: Stabiliser, parts: Sequence[Part]) -> Shared:
    """Σ sign·x·wᵀ(arrived / z), z being the sum of the parts."""
    ran = [at.again(part.x, part.kernel, part.bias) for part in parts]
    z = ran[0][0]
    for part, (values, _) in zip(parts[1:], ran[1:], strict=True):
        z = z + values if part.sign > 0 else z - values
    s = by.divide(arrived, z)
    share, taken = None, 0.0
    for part, (_, back) in zip(parts, ran, strict=True):
        more = back(s)[0]
        more = more * part.x if part.sign > 0 else more * -part.x
        share = more if share is None else share + more
        taken += part.sign * _taken(s, part.bias)
    assert share is not None
    return share, taken


def _pushing(at: Linear, up: bool) -> list[Part]:
    """What pushes the output up, or down: inputs and weights of like signs, or of unlike."""
    kernel, bias = at.kernel, None if at.bias is None else side(at.bias, up)
    if (
        at.x.min() >= 0
    ):  # after a ReLU; where the kernel is our own, as with a batch norm in it, it is cut in place
        return [Part(at.x, side(kernel, up, None if at.gain is None else kernel), bias)]
    return _split(at.x, side(kernel, up), side(kernel, not up), bias)


def _split(x: Array, above: Array, below: Array, bias: Array | None) -> list[Part]:
    """x⁺ through one kernel and x⁻ through the other; after a ReLU there is no x⁻."""
    if x.min() >= 0:
        return [Part(x, above, bias)]
    return [Part(side(x, True), above, bias), Part(side(x, False), below, None)]


def _ones(at: Linear) -> Array:
    return np.ones_like(at.x) if at.ones is None else at.ones


def _taken(s: Array, bias: Array | None) -> float:
    """What the bias takes: Σ bias·s."""
    if bias is None:
        return 0.0
    by_channel = s.reshape(-1, s.shape[-1])
    return float((np.ones(len(by_channel), s.dtype) @ by_channel * bias).sum(dtype=np.float64))
