"""Networks of torchvision whose numbers are not degenerate, and what bare torch takes for them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

import cnnlens

THREADS = 2
SIDE = 224


class Bare:
    """A network with frozen weights, as cnnlens has it, as it is, and as a peer is handed it."""

    def __init__(self, name: str) -> None:
        import torch
        import torchvision

        torch.set_num_threads(THREADS)
        torch.manual_seed(0)
        self.name, self.torch = name, torch
        self.net = getattr(torchvision.models, name)(weights=None).eval()
        for part in self.net.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1)
                part.running_var.uniform_(0.5, 1.5)
                part.weight.data.uniform_(0.8, 1.2)
                part.bias.data.normal_(0, 0.1)
        self.peers = copy.deepcopy(self.net)  # with weights that want gradients, as users have them
        for weight in self.net.parameters():
            weight.requires_grad_(False)
        self.model = cnnlens.wrap(self.net)
        self.pixels = np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32)
        laid = np.moveaxis(self.model.input.encode(self.pixels[None]), -1, 1)
        self.fed = torch.from_numpy(np.ascontiguousarray(laid))

    def forward(self) -> Any:
        """F: a forward pass."""
        with self.torch.no_grad():
            return self.net(self.fed)

    def to_pixels(self, index: int) -> Any:
        """FB: forward, and the gradient back to what was fed."""
        fed = self.fed.clone().requires_grad_()
        return self.torch.autograd.grad(self.net(fed)[0, index], fed)[0]

    def to_layer(self, layer: str, index: int) -> tuple[Any, Any]:
        """L: forward, and the gradient back to a layer of ours and no further; also what it handed on."""
        base, _, call = layer.partition("#")
        calls, kept = [0], []

        def hook(_module: Any, _given: Any, out: Any) -> Any:
            calls[0] += 1
            if calls[0] != int(call or 1):
                return None
            kept.append(out.detach().clone().requires_grad_())
            return kept[0].clone()

        handle = self.net.get_submodule(base).register_forward_hook(hook)
        score = self.net(self.fed)[0, index]
        handle.remove()
        return kept[0].detach(), self.torch.autograd.grad(score, kept[0])[0]

    def cloning(self, names: list[str]) -> dict[str, Any]:
        """What modules handed on when they were first called, by hooks that clone."""
        return self._hooked(names, lambda out: out.clone())

    def holding(self, names: list[str]) -> dict[str, Any]:
        """The same without copies: memory that is held is not used again, which is what any such look costs."""
        return self._hooked(names, lambda out: out)

    def _hooked(self, names: list[str], kept: Callable[[Any], Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def keeper(name: str) -> Callable[..., None]:
            def keep(_module: Any, _given: Any, out: Any) -> None:
                found.setdefault(name, kept(out))

            return keep

        handles = [self.net.get_submodule(n).register_forward_hook(keeper(n)) for n in names]
        self.forward()
        for handle in handles:
            handle.remove()
        return found
