"""What a PyTorch module may return, explained without a class to wrap it in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
from needs import need

import cnnlens
from cnnlens import Model, Probe, wrap
from cnnlens.errors import BadInput, UnknownName, Unmet
from cnnlens.images import open_image
from cnnlens.targets import read_target
from cnnlens.testing import check_model, picture

torch = need("torch")
from torch import nn  # noqa: E402 (torch may be missing)
from torch.nn import functional as F  # noqa: E402

NAMES = ["cat", "dog", "cow"]


@dataclass
class Heads:
    age: Any
    sex: Any


class Pair(NamedTuple):
    main: Any
    side: Any


class Held(nn.Module):
    """A network that hands on its scores, maps and other heads in a structure of the caller's choice."""

    def __init__(self, pack: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.pack = nn.Conv2d(3, 4, 3), nn.Linear(4, 3), pack

    def forward(self, x: Any) -> Any:
        maps = torch.tanh(self.conv(x))
        means = maps.mean((2, 3))
        return self.pack(self.head(means), maps, means)


PACKS: dict[str, tuple[Any, dict[str, tuple[int, ...]], str]] = {
    "tensor": (lambda s, m, p: s, {"output": (3,)}, "output"),
    "dict": (
        lambda s, m, p: {"aux": p, "logits": s, "maps": m, "loss": p.sum()},
        {"aux": (4,), "logits": (3,), "maps": (6, 6, 4)},
        "logits",
    ),
    "tuple": (lambda s, m, p: (s, {"maps": m}), {"[0]": (3,), "[1].maps": (6, 6, 4)}, "[0]"),
    "named": (lambda s, m, p: Pair(s, [m, p]), {"main": (3,), "side[0]": (6, 6, 4), "side[1]": (4,)}, "main"),
    "object": (
        lambda s, m, p: {"heads": Heads(p.sum(1), None), "scores": s},
        {"heads.age": (1,), "scores": (3,)},
        "scores",
    ),
}


def held(pack: str, **options: Any) -> Model:
    return wrap(Held(PACKS[pack][0]), preprocess={"size": 8}, labels=NAMES, **options)


@pytest.mark.parametrize("pack", PACKS)
def test_the_tree_of_outputs_is_known_and_the_contract_kept(pack: str) -> None:
    model = held(pack)
    _, tree, scores = PACKS[pack]
    assert {output.path: output.shape for output in model.output_tree} == tree
    assert [output.path for output in model.output_tree if output.is_scores] == [scores]
    check_model(model)
    x = picture(model)
    seen = model.trace(x[None], watch=[output.name for output in model.output_tree])
    assert {name.removeprefix("output:"): a.shape[1:] for name, a in seen.activations.items()} == tree
    for name in ("saliency", "grad-cam", "occlusion", "class-probabilities"):
        values = cnnlens.look(model, x, name).array
        assert np.isfinite(values).all() and np.abs(values).max() > 0, name


@pytest.mark.parametrize(
    ("pack", "asked", "read"),
    [
        ("dict", "logits[:,1]", lambda out: out["logits"][:, 1]),
        ("dict", "aux[:, 3]", lambda out: out["aux"][:, 3]),
        ("dict", "maps[:,2]", lambda out: out["maps"][:, 2].mean((1, 2))),
        ("dict", "maps[:,2,1,5]", lambda out: out["maps"][:, 2, 1, 5]),
        ("dict", "aux[:,1] - maps[:,0]", lambda out: out["aux"][:, 1] - out["maps"][:, 0].mean((1, 2))),
        ("tuple", "[1].maps[:,0]", lambda out: out[1]["maps"][:, 0].mean((1, 2))),
        ("tuple", "[0][:,2]", lambda out: out[0][:, 2]),
        ("named", "side[1][:,2]", lambda out: out.side[1][:, 2]),
        ("object", "heads.age[:,0]", lambda out: out["heads"].age),
        ("tensor", "[:,2]", lambda out: out[:, 2]),
        ("tensor", "output[:,2]", lambda out: out[:, 2]),
    ],
)
def test_a_value_of_any_output_has_the_gradient_of_autograd(pack: str, asked: str, read: Any) -> None:
    model = held(pack)
    probe = Probe(model, picture(model), asked)
    given = torch.from_numpy(np.moveaxis(probe.fed, -1, 0)[None].copy()).requires_grad_()
    value = read(model.native(given))
    value.sum().backward()
    assert probe.score == pytest.approx(value.item(), rel=1e-5) and probe.target.unit == "output"
    wanted = model.input.per_pixel(np.moveaxis(given.grad.numpy(), 1, -1))[0]
    np.testing.assert_allclose(probe.gradients(), wanted, rtol=1e-4, atol=1e-7)
    for name in ("saliency", "grad-cam", "occlusion"):
        assert np.isfinite(cnnlens.look(model, probe, name).array).all()
    values, gradients = next(probe.gradients_of(np.stack([probe.pixels] * 2)))
    assert values == pytest.approx([probe.score] * 2, rel=1e-4) and gradients.shape == (2, 8, 8, 3)
    with pytest.raises(Unmet, match="no probability"):
        cnnlens.look(model, probe, "occlusion", of="probability")


def test_any_output_can_be_the_scores() -> None:
    model = wrap(Held(PACKS["dict"][0]), preprocess={"size": 8}, output="aux")
    assert model.outputs == (4,)
    check_model(model)
    maps = wrap(Held(PACKS["dict"][0]), preprocess={"size": 8}, output="maps")
    assert maps.outputs == (6, 6, 4)
    check_model(maps)
    with pytest.raises(UnknownName, match="no output 'logit' of Held; did you mean 'logits'"):
        held("dict", output="logit")
    with pytest.raises(UnknownName, match="did you mean 'maps'"):
        read_target("map[:,1]", maps)
    with pytest.raises(BadInput, match=r"no place \(6, 0\)"):
        read_target("maps[:,1,6,0]", maps)
    with pytest.raises(BadInput, match="read, not replaced"):
        maps.trace(picture(maps)[None], replace={"output:aux": np.zeros((1, 4), np.float32)})


def test_what_cannot_be_told_is_asked_for_by_name() -> None:
    def pack(scores: Any, maps: Any, means: Any) -> Any:
        return {"first": scores, "heads": {"second": means}}

    with pytest.raises(Unmet, match=r"--scores first: it has first \(3\), heads.second \(4\)"):
        wrap(Held(pack), preprocess={"size": 8})
    assert wrap(Held(pack), preprocess={"size": 8}, output="heads.second").outputs == (4,)


def test_a_head_with_a_softmax_is_read_before_it_and_the_output_after() -> None:
    model = wrap(Held(lambda s, m, p: {"logits": torch.softmax(s, 1), "maps": m}), preprocess={"size": 8})
    probe = Probe(model, picture(model), "logits[:,1]")
    assert model.activation == "softmax"
    assert probe.score == pytest.approx(float(probe.probabilities[1]), rel=1e-5)
    np.testing.assert_allclose(probe.gradients(), probe.towards("p(1)").gradients(), rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("asked", ["p(1)", "p(top1) - p(0)"])
def test_the_gradient_of_a_probability_is_that_of_torch(asked: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 5)).double()
    model = wrap(net, preprocess={"size": 8})
    probe = Probe(model, picture(model), asked)
    given = torch.from_numpy(np.moveaxis(probe.fed, -1, 0)[None].copy()).double().requires_grad_()
    chances = torch.softmax(net(given), 1)[0]
    value = chances[1] if asked == "p(1)" else chances.max() - chances[0]
    value.backward()
    wanted = model.input.per_pixel(np.moveaxis(given.grad.numpy(), 1, -1))[0]
    assert probe.score == pytest.approx(value.item(), rel=1e-6)
    np.testing.assert_allclose(probe.gradients(), wanted, rtol=1e-5, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("layer", ["", ", conv"])
def test_a_likeness_is_the_cosine_of_torch(layer: str) -> None:
    model = held("tensor")
    other = picture(model, 5)
    probe = Probe(
        model, picture(model), read_target(f"like(o.png{layer})", model, lambda _: open_image(other))
    )
    assert probe.target.layers == (("conv",) if layer else ("mean",))

    def embedded(x: Any) -> Any:
        maps = model.native.conv(x)
        return (maps if layer else torch.tanh(maps)).mean((2, 3))

    fed = [np.moveaxis(model.input.encode(x), -1, 0)[None].copy() for x in (probe.pixels, other)]
    given = torch.from_numpy(fed[0]).requires_grad_()
    value = F.cosine_similarity(embedded(given), embedded(torch.from_numpy(fed[1])))
    value.backward()
    assert probe.score == pytest.approx(value.item(), abs=1e-6)
    wanted = model.input.per_pixel(np.moveaxis(given.grad.numpy(), 1, -1))[0]
    np.testing.assert_allclose(probe.gradients(), wanted, rtol=1e-3, atol=1e-5 * np.abs(wanted).max())


# -- segmentation -------------------------------------------------------------------------------


def segmenter() -> Model:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Conv2d(6, 3, 1)
            self.side = nn.Conv2d(6, 3, 1)

        def forward(self, x: Any) -> Any:
            y = torch.tanh(self.body(x))
            return {"out": F.interpolate(self.head(y), scale_factor=2.0), "aux": self.side(y)}

    torch.manual_seed(2)
    return wrap(Net(), preprocess={"size": 16}, labels=NAMES)


def test_a_segmentation_head_is_explained() -> None:
    model = segmenter()
    assert model.outputs == (16, 16, 3) and "classes" not in model.can
    check_model(model)
    probe = Probe(model, picture(model))
    counts = np.bincount(probe.scores.argmax(-1).ravel(), minlength=3)
    first = int(counts.argmax())
    assert probe.target.label(model) == NAMES[first]
    won = probe.scores.argmax(-1) == first
    assert probe.score == pytest.approx(float(probe.scores[..., first][won].mean()), rel=1e-5)
    np.testing.assert_allclose(probe.probabilities.sum(-1), 1, rtol=1e-5)
    shares = cnnlens.look(model, probe, "class-probabilities").panels[0]
    assert (shares.unit, shares.names[0]) == ("share of places", NAMES[first])
    assert shares.values.sum() == pytest.approx(1) and shares.values[0] == pytest.approx(won.mean())
    for asked in ("top1", "dog", "dog@3,12", "cat@0:8,4:16 - cow", "p(dog@3,12)", "p(top1)", "aux[:,1,7,0]"):
        for name in ("saliency", "grad-cam", "occlusion"):
            result = cnnlens.look(model, probe, name, target=asked)
            assert np.isfinite(result.array).all(), (asked, name)
        assert result.facts["target"] == asked and np.abs(result.array).max() > 0


def test_the_gradient_at_a_place_and_in_a_region_is_that_of_autograd() -> None:
    model = segmenter()
    for asked, read in (
        ("dog@3,12", lambda out: out[0, 1, 3, 12]),
        ("dog@2:9,5:6 - cat", lambda out: (out[0, 1] - out[0, 0])[2:9, 5:6].mean()),
        ("p(cow@0:16,0:16)", lambda out: torch.softmax(out, 1)[0, 2].mean()),
    ):
        probe = Probe(model, picture(model), asked)
        given = torch.from_numpy(np.moveaxis(probe.fed, -1, 0)[None].copy()).requires_grad_()
        value = read(model.native(given)["out"])
        value.backward()
        wanted = model.input.per_pixel(np.moveaxis(given.grad.numpy(), 1, -1))[0]
        assert probe.score == pytest.approx(value.item(), rel=1e-4), asked
        np.testing.assert_allclose(probe.gradients(), wanted, rtol=1e-3, atol=1e-5 * np.abs(wanted).max())


def test_the_last_layer_is_one_that_leads_to_the_scores() -> None:
    model = segmenter()
    assert "side" in {layer.name for layer in model.layers} and "side" not in model.leading
    assert cnnlens.look(model, picture(model), "grad-cam").facts["settings"]["layer"] == "head"


def test_a_segmentation_network_of_torchvision() -> None:
    segmentation = need("torchvision.models.segmentation")
    torch.manual_seed(0)
    net = segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)
    model = wrap(net, preprocess={"size": 64}, labels=NAMES)
    assert model.outputs == (64, 64, 3)
    probe = Probe(model, picture(model), "dog@10:50,20:40")
    assert np.abs(probe.gradients()).max() > 0 and "dog@10:50,20:40" in probe.target.label(model)


# -- detectors ----------------------------------------------------------------------------------


class Detector(nn.Module):
    """A detector whose every number is known: the two halves of the picture, and what each half is."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.cls_score = nn.Linear(4, num_classes)

    def forward(self, images: Any) -> Any:
        maps = torch.tanh(self.conv(images))
        found = []
        for one in maps:
            halves = torch.stack([one[..., :4].mean((1, 2)), one[..., 4:].mean((1, 2))])
            scores, labels = torch.softmax(self.cls_score(halves), 1)[:, 1:].max(1)
            order = scores.argsort(descending=True)
            boxes = torch.tensor([[0.0, 0, 4, 8], [4, 0, 8, 8]])
            found.append({"boxes": boxes[order], "labels": labels[order] + 1, "scores": scores[order]})
        return found


def test_a_detectors_classes_are_explained_by_their_best_detections() -> None:
    model = wrap(Detector(4), preprocess={"size": 8}, labels=["nothing", *NAMES])
    assert model.outputs == (4,) and model.activation is None
    assert "detections" in model.facts["scores"]
    check_model(model)
    x = picture(model)
    with torch.no_grad():
        found = model.native(torch.from_numpy(np.moveaxis(model.input.encode(x[None]), -1, 1).copy()))[0]
    scores = model.trace(x[None]).scores[0]
    for index in range(4):
        own = found["scores"][found["labels"] == index]
        assert scores[index] == pytest.approx(float(own.max()) if len(own) else 0.0)
    probe = Probe(model, x, "box0")
    assert probe.score == pytest.approx(float(found["scores"][0])) == Probe(model, x, "top1").score
    np.testing.assert_allclose(probe.gradients(), Probe(model, x, "top1").gradients(), rtol=1e-5)
    assert np.abs(probe.gradients()).max() > 0
    for asked in ("top1", "dog", "dog - cat", "p(top1)", "box1", "box0 - box1"):
        for name in ("saliency", "grad-cam", "occlusion", "class-probabilities"):
            assert np.isfinite(cnnlens.look(model, x, name, target=asked).array).all()


def test_the_classes_of_a_detector_are_counted_by_its_head_or_its_names() -> None:
    net = Detector(4)
    net.cls_score, net.own = nn.Identity(), net.cls_score
    with pytest.raises(Unmet, match="of how many classes: give their names"):
        wrap(net, preprocess={"size": 8})
    assert wrap(net, preprocess={"size": 8}, labels=[*"abcdefg"]).outputs == (7,)


def test_a_detector_of_torchvision() -> None:
    detection = need("torchvision.models.detection")
    torch.manual_seed(0)
    net = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=6, box_score_thresh=0.0, min_size=64, max_size=64
    )
    for part in net.modules():  # without trained statistics nothing of the picture reaches the boxes
        if "BatchNorm" in type(part).__name__:
            part.running_var.fill_(0.2)
    model = wrap(net, preprocess={"size": 64, "mean": 0.0, "std": 1.0})
    assert model.outputs == (6,) and wrap(net).input.source == "assumed unit"
    probe = Probe(model, picture(model))
    assert probe.score > 0 and np.abs(probe.gradients()).max() > 0
    assert (probe.scores[0], probe.scores.shape) == (0, (6,))  # class 0 is the background
    hidden = cnnlens.look(model, probe, "occlusion", window=32, stride=32).array
    assert hidden.shape == (64, 64) and np.abs(hidden).max() > 0
    cam = cnnlens.look(
        model, probe, "grad-cam", positive=False
    )  # not at the last layer: boxes have no gradient
    assert str(cam.facts["settings"]["layer"]).startswith("backbone.fpn") and np.abs(cam.array).max() > 0
    assert probe.towards("box0").score == pytest.approx(probe.score)
