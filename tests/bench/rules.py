"""LRP against zennit, guided backpropagation against a pass and against captum, DeepLIFT against captum.

Networks of torchvision at 224², their weights random, with statistics of batch norms that are no zeros and ones.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from captum import attr
from torch import Tensor, nn
from torchvision import models
from torchvision.models.mobilenetv2 import InvertedResidual
from zennit import canonizers, composites
from zennit.layer import Sum
from zennit.torchvision import ResNetCanonizer

import cnnlens
from cnnlens import Model, look

from .measure import TURNS, Row, cost, faster, same

CLASS = 7


class Merged(canonizers.SequentialMergeBatchNorm):  # type: ignore[misc]
    """zennit's canonizer leaves the batch norms that it emptied their ε: they go on to shrink what they hand on."""

    @staticmethod
    def merge_batch_norm(modules: Any, batch_norm: Any) -> None:
        canonizers.SequentialMergeBatchNorm.merge_batch_norm(modules, batch_norm)
        batch_norm.eps = 0.0


class Summed(canonizers.AttributeCanonizer):  # type: ignore[misc]
    """A sum of MobileNetV2 as a module, as zennit's own canonizer makes it of a ResNet's."""

    def __init__(self) -> None:
        super().__init__(self.map)

    @classmethod
    def map(cls, _name: str, module: nn.Module) -> dict[str, Any] | None:
        if isinstance(module, InvertedResidual) and module.use_res_connect:
            return {"forward": cls.forward.__get__(module), "canonizer_sum": Sum()}
        return None

    @staticmethod
    def forward(self: Any, x: Tensor) -> Any:
        return self.canonizer_sum(torch.stack([x, self.conv(x)], -1))


class Pooled(canonizers.AttributeCanonizer):  # type: ignore[misc]
    """MobileNetV2's mean as a module: of a function zennit hands on the derivative, the same to all places."""

    def __init__(self) -> None:
        super().__init__(self.map)

    @classmethod
    def map(cls, _name: str, module: nn.Module) -> dict[str, Any] | None:
        if isinstance(module, models.MobileNetV2):
            return {"forward": cls.forward.__get__(module), "canonizer_mean": nn.AdaptiveAvgPool2d(1)}
        return None

    @staticmethod
    def forward(self: Any, x: Tensor) -> Any:
        return self.classifier(torch.flatten(self.canonizer_mean(self.features(x)), 1))


SUMS = {"vgg16": [], "resnet50": [ResNetCanonizer().canonizers[1], ResNetCanonizer().canonizers[2]],
        "mobilenet_v2": [Summed(), Pooled()]}  # fmt: skip


class Cut(nn.ReLU):
    """ReLU6 that is an nn.ReLU: captum clips gradients there alone."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu6(x)


def network(name: str) -> nn.Module:
    """A network of torchvision with random weights; its batch norms have seen pictures of noise, more or less."""
    torch.manual_seed(0)
    module = getattr(models, name)(weights=None)
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # a mean over what is seen
    with torch.no_grad():
        module(torch.randn(4, 3, 224, 224))
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.7, 1.3)
        nn.init.normal_(norm.bias, std=0.2)
    return module.eval().requires_grad_(False)


def fed(model: Model, pixels: Any) -> Tensor:
    """What the network reads."""
    return torch.from_numpy(np.array(model.input.encode(pixels[None]))).movedim(-1, 1).contiguous()


def zennits(name: str, module: nn.Module, x: Tensor) -> Any:
    """zennit's relevance (h, w), begun at the score."""
    composite = composites.EpsilonPlusFlat(canonizers=[*SUMS[name], Merged()])
    x = x.clone().requires_grad_()
    with composite.context(module) as hooked:
        scores = hooked(x)
        start = torch.zeros_like(scores)
        start[0, CLASS] = scores[0, CLASS].detach()
        (found,) = torch.autograd.grad(scores, x, start)
    return found[0].sum(0).numpy()


def rows(turns: int = TURNS) -> Iterator[Row]:
    """LRP and guided backpropagation of three networks, DeepLIFT of the one whose modules captum can hook."""
    torch.set_num_threads(2)
    warnings.filterwarnings("ignore", module="captum")  # that it sets hooks
    pixels = np.random.default_rng(0).random((224, 224, 3), np.float32)
    for name in SUMS:
        module = network(name)
        model = cnnlens.wrap(module, preprocess="imagenet")
        x = fed(model, pixels)
        yield lrp_row(name, module, model, pixels, x, turns)
        yield from guided_rows(name, module, model, pixels, x, turns)
        if name == "vgg16":
            yield deeplift_row(module, model, pixels, x, turns)


def lrp_row(name: str, module: nn.Module, model: Model, pixels: Any, x: Tensor, turns: int) -> Row:
    """Epsilon-plus-flat, canonizers and all: both sides begin with the network as it is."""

    def ours() -> Any:
        return look(model, pixels, "lrp", target=CLASS).array

    def theirs() -> Any:
        return zennits(name, module, x)

    equal = same(ours(), theirs(), 1e-4, f"LRP of {name}")
    what = f"LRP, epsilon-plus-flat, {name}"
    return faster(what, "zennit", ours, theirs, asked=1.5, equal=equal, turns=turns)


def guided_rows(
    name: str, module: nn.Module, model: Model, pixels: Any, x: Tensor, turns: int
) -> Iterator[Row]:
    """Against a pass forwards and backwards, and against captum, whose rule knows nn.ReLU alone."""
    hooked = _own_relus(module)
    peer = attr.GuidedBackprop(hooked)
    fed_again = x.clone().requires_grad_()

    def ours() -> Any:
        return look(model, pixels, "guided-backprop", target=CLASS, join="sum").array

    def theirs() -> Any:
        return peer.attribute(fed_again, target=CLASS)[0].detach()

    def floor() -> Any:
        seen = x.clone().requires_grad_()
        return torch.autograd.grad(module(seen)[0, CLASS], seen)

    found = model.input.per_pixel(theirs().movedim(0, -1).numpy()[None])[0].sum(-1)
    equal = same(ours(), found, 1e-4, f"guided backpropagation of {name}")
    asked = 1.15 if name == "mobilenet_v2" else 1.08
    what = f"guided backpropagation, {name}"
    yield cost(what, "forward + backward", ours, floor, asked=asked, equal=equal, turns=turns)
    yield faster(what, "captum", ours, theirs, asked=None, equal=equal, turns=turns)


def deeplift_row(module: nn.Module, model: Model, pixels: Any, x: Tensor, turns: int) -> Row:
    """Against a black picture. Of maxima captum has a rule of its own: they are means here."""
    hooked = _own_relus(module)
    for part in hooked.modules():
        for name, child in part.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(part, name, nn.AvgPool2d(2))
    model = cnnlens.wrap(hooked, preprocess="imagenet")
    black = fed(model, np.zeros_like(pixels))
    peer = attr.DeepLift(hooked)

    def ours() -> Any:
        return look(model, pixels, "deeplift", target=CLASS).array

    def theirs() -> Any:
        return peer.attribute(x, black, target=CLASS)[0].detach().sum(0).numpy()

    equal = same(ours(), theirs(), 1e-3, "DeepLIFT")
    what = "DeepLIFT, vgg16 with means"
    return faster(what, "captum", ours, theirs, asked=None, equal=equal, turns=turns)


def _own_relus(module: nn.Module) -> nn.Module:
    """A copy whose activations are modules that captum hooks: nn.ReLU, each called once, not in place."""
    made = copy.deepcopy(module)
    for part in made.modules():
        for name, child in part.named_children():
            if isinstance(child, (nn.ReLU, nn.ReLU6)):
                setattr(part, name, Cut() if isinstance(child, nn.ReLU6) else nn.ReLU())
    return made
