"""Activations that are not copied are still what the layer handed on, and nobody else's memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from needs import need

import cnnlens

torch: Any = need("torch")
nn = torch.nn
SPEC = {"size": 40, "channels": 3}


def picture(seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((1, 40, 40, 3), np.float32)


class Net(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """A convolution, then whatever `after` does with its maps, then scores."""

    def __init__(self, after: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.after = nn.Conv2d(3, 8, 3, padding=1), after
        self.last = nn.Sequential(nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))

    def forward(self, x: Any) -> Any:
        return self.last(self.after(self.first(x)))


class Do(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """A layer that is one function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def cloned(module: Any, model: Any, x: Any) -> dict[str, Any]:
    """What every module handed on, cloned by a hook, channels last."""
    found: dict[str, Any] = {}

    def keep(name: str) -> Any:
        def hook(_module: Any, _given: Any, out: Any) -> None:
            found.setdefault(name, out.detach().clone())

        return hook

    handles = [part.register_forward_hook(keep(name)) for name, part in module.named_modules() if name]
    with torch.no_grad():
        module(torch.from_numpy(np.moveaxis(model.input.encode(x), -1, 1).copy()))
    for handle in handles:
        handle.remove()
    return {n: np.moveaxis(t.numpy(), 1, -1) if t.ndim == 4 else t.numpy() for n, t in found.items()}


def written_past_counting(x: Any) -> Any:
    x.data.clamp_(min=0)
    return x


def written_where_bright(x: Any) -> Any:
    return x.mul_(-1) if x.abs().max() > 1.5 else x * 1  # not on the grey picture that layers are found by


AFTER = {
    "in place": lambda: nn.ReLU(inplace=True),
    "out of place": nn.ReLU,
    "through a view": lambda: Do(lambda x: x[:, :4].zero_() is None or x),
    "past counting": lambda: Do(written_past_counting),
    "for some pictures": lambda: Do(written_where_bright),
    "handed on": nn.Identity,
    "expanded": lambda: Do(lambda x: x.mean(1, keepdim=True).expand(-1, 8, -1, -1)),
    "transposed": lambda: Do(lambda x: x.transpose(2, 3)),
    "double": lambda: Do(lambda x: x.double().float()),
}


@pytest.mark.parametrize("how", AFTER)
def test_all_layers_are_what_they_handed_on(how: str) -> None:
    module = Net(AFTER[how]()).eval()
    with torch.no_grad():
        module.first.weight *= 3
    model = cnnlens.wrap(module, preprocess=SPEC)
    x = picture() * 2 - 0.5
    names = [layer.name for layer in model.layers if layer.shape]
    seen, theirs = model.trace(x, watch=names).activations, cloned(module, model, x)
    assert (seen["first"] < 0).any()
    for name, values in theirs.items():
        np.testing.assert_array_equal(seen[name], values, err_msg=name)


def test_arrays_stay_when_the_model_runs_again() -> None:
    model = cnnlens.wrap(Net(nn.ReLU(inplace=True)).eval(), preprocess=SPEC)
    names = [layer.name for layer in model.layers if layer.shape]
    first = model.trace(picture(), watch=names).activations
    before = {name: values.copy() for name, values in first.items()}
    model.trace(picture(1), watch=names)
    model.trace(picture(1), watch=names, target=0)
    for name, values in first.items():
        np.testing.assert_array_equal(values, before[name])


def test_what_the_model_keeps_is_copied() -> None:
    class Kept(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.cache = nn.Parameter(torch.rand(1, 8, 40, 40)), torch.zeros(1, 8, 40, 40)
            self.register_buffer("table", torch.rand(1, 8, 40, 40))
            self.parts = nn.ModuleList([Do(lambda x: self.weight), Do(lambda x: self.table), Do(self.cached)])

        def cached(self, x: Any) -> Any:
            return self.cache.copy_(x)

        def forward(self, x: Any) -> Any:
            weight, table, cache = (part(x) for part in self.parts)
            return x + weight + table + cache

    module = Net(Kept()).eval()
    model = cnnlens.wrap(module, preprocess=SPEC)
    names = [f"after.parts.{n}" for n in range(3)]
    seen = model.trace(picture(), watch=["first", *names]).activations
    before = {name: seen[name].copy() for name in names}
    np.testing.assert_array_equal(seen[names[2]], seen["first"])
    model.trace(picture(1), watch=names)
    for name in names:
        seen[name][:] = 7  # nobody's but ours
        assert (before[name] != 7).all()
    own = module.after
    assert all((kept != 7).all() for kept in (own.weight, own.table, own.cache))
    again = model.trace(picture(), watch=names).activations
    for name in names:
        np.testing.assert_array_equal(again[name], before[name])


def test_a_layer_alone_is_a_view_and_not_a_copy() -> None:
    """What the rest is for; where this torch does not tell who holds memory, copies are right too."""
    views = need("cnnlens.backends._torch_views")
    model = cnnlens.wrap(Net(nn.ReLU()).eval(), preprocess=SPEC)
    seen = model.trace(picture(), watch=["first", "after"]).activations
    strides = [values.flags.c_contiguous for values in seen.values()]
    assert strides == [views._BESIDES is None] * 2 and all(v.flags.writeable for v in seen.values())


def test_a_name_for_the_same_memory_is_read_only_or_apart() -> None:
    model = cnnlens.wrap(Net(nn.Sequential(nn.ReLU())).eval(), preprocess=SPEC)
    seen = model.trace(picture(), watch=["after", "after.0"]).activations
    assert not np.shares_memory(*seen.values()) or not any(v.flags.writeable for v in seen.values())


def test_a_replacement_is_not_written_into() -> None:
    model = cnnlens.wrap(Net(nn.ReLU(inplace=True)).eval(), preprocess=SPEC)
    own = np.asfortranarray(np.random.default_rng(0).standard_normal((1, 8, 40, 40), np.float32))
    own = np.moveaxis(
        np.ascontiguousarray(own), 1, -1
    )  # as a view of channels first, which torch could take over
    before = own.copy()
    model.trace(picture(), replace={"first": own})
    np.testing.assert_array_equal(own, before)
