"""A network in plain NumPy whose every number can be worked out by hand, and the same one in PyTorch.

conv 3×3 (stride 1, no padding, 3 → 4) → relu → mean pool 2×2 → dense → 3 classes. For tests, guests' too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .arrays import Array
from .layer import Layer
from .model import Model
from .passes import Pass
from .preprocess import InputSpec

Step = tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]


def _weights() -> dict[str, dict[str, Array]]:
    rng = np.random.default_rng(7)

    def draw(*shape: int) -> Array:
        return np.asarray(rng.standard_normal(shape) * 0.5, np.float32)

    return {
        "conv": {"kernel": draw(3, 3, 3, 4), "bias": np.asarray([0.1, -0.2, 0.0, -60.0], np.float32)},
        "dense": {"kernel": draw(36, 3), "bias": np.asarray([0.3, 0.0, -0.3], np.float32)},
    }


class TinyModel(Model):
    """The network as a Model without any framework. Its fourth channel is dead for every picture."""

    spec = InputSpec(8, 8, 3, mean=(0.5,), std=(0.25,), source="given")
    names = ("circle", "square", "triangle")

    def __init__(self, **changes: Any) -> None:
        given: dict[str, Any] = {
            "name": "tiny",
            "framework": "numpy",
            "input": self.spec,
            "classes": self.names,
        }
        super().__init__(**(given | changes))
        self._weights = _weights()
        kernel, dense = self._weights["conv"]["kernel"], self._weights["dense"]["kernel"]
        bias, offset = self._weights["conv"]["bias"], self._weights["dense"]["bias"]
        self._steps: dict[str, Step] = {
            "conv": (lambda x: _convolve(x, kernel) + bias, lambda _, g: _convolve_back(g, kernel)),
            "relu": (lambda x: np.maximum(x, 0), lambda x, g: g * (x > 0)),
            "pool": (_pool, lambda _, g: g.repeat(2, 1).repeat(2, 2) * np.float32(0.25)),
            "dense": (
                lambda x: x.reshape(len(x), -1) @ dense + offset,
                lambda x, g: (g @ dense.T).reshape(x.shape),
            ),
        }

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The four layers."""
        hyper = {"kernel": (3, 3), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        pooled = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0)}
        return (
            Layer("conv", "convolution", "conv", (6, 6, 4), 112, hyper),
            Layer("relu", "activation", "relu", (6, 6, 4), 0, {}, ("conv",)),
            Layer("pool", "pooling", "pool", (3, 3, 4), 0, pooled, ("relu",)),
            Layer("dense", "dense", "dense", (3,), 111, {}, ("pool",)),
        )

    def weights(self, layer: str) -> dict[str, Array]:
        """Kernel and bias; nothing for layers without."""
        return {name: array.copy() for name, array in self._weights.get(self.layer(layer).name, {}).items()}

    def forward(
        self, fed: Array, watch: Sequence[str], replace: Mapping[str, Array], differentiable: bool
    ) -> Pass:
        """One pass, each step's input kept for the way back."""
        inputs: dict[str, Array] = {}
        seen: dict[str, Array] = {}
        x = fed
        for name, (run, _) in self._steps.items():
            inputs[name] = x
            x = np.asarray(replace[name] if name in replace else run(x), np.float32)
            if name in watch:
                seen[name] = x.copy()

        def pull(cotangents: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
            gradient, found = np.zeros_like(x), {}
            for name, (_, back) in reversed(self._steps.items()):
                gradient = gradient + cotangents.get("scores" if name == "dense" else name, 0)
                if name == "dense":
                    gradient = gradient + cotangents.get("dense", 0)
                found[name] = gradient
                gradient = np.zeros_like(inputs[name]) if name in replace else back(inputs[name], gradient)
            return {name: ({"input": gradient} | found)[name].astype(np.float32) for name in names}

        return Pass(x, seen, pull)


def tiny_torch() -> Any:
    """The same network with the same weights as a `torch.nn.Sequential`; its ReLU works in place."""
    import torch
    from torch import nn

    weights = _weights()
    net = nn.Sequential()
    net.add_module("conv", nn.Conv2d(3, 4, 3))
    net.add_module("relu", nn.ReLU(inplace=True))
    net.add_module("pool", nn.AvgPool2d(2))
    net.add_module("flatten", nn.Flatten())
    net.add_module("dense", nn.Linear(36, 3))
    # ours flattens (y, x, channel), torch (channel, y, x)
    dense = weights["dense"]["kernel"].reshape(3, 3, 4, 3).transpose(2, 0, 1, 3).reshape(36, 3)
    state = {
        "conv.weight": weights["conv"]["kernel"].transpose(3, 2, 0, 1),
        "conv.bias": weights["conv"]["bias"],
        "dense.weight": dense.T,
        "dense.bias": weights["dense"]["bias"],
    }
    net.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in state.items()})
    return net


def _convolve(x: Array, kernel: Array) -> Array:
    """Valid convolution (n, h, w, i) by (kh, kw, i, o)."""
    windows = sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    return np.asarray(np.einsum("nhwiyx,yxio->nhwo", windows, kernel), np.float32)


def _convolve_back(gradient: Array, kernel: Array) -> Array:
    """The gradient by the input: a full convolution with the kernel turned round."""
    high, wide = kernel.shape[0] - 1, kernel.shape[1] - 1
    padded = np.pad(gradient, ((0, 0), (high, high), (wide, wide), (0, 0)))
    return _convolve(padded, kernel[::-1, ::-1].swapaxes(2, 3))


def _pool(x: Array) -> Array:
    n, height, width, channels = x.shape
    return np.asarray(x.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4)), np.float32)
