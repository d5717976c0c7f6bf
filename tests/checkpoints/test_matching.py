"""An architecture is found by the names and shapes of its weights, for any number of classes, or not."""

from __future__ import annotations

from typing import Any

import pytest
from needs import need

from cnnlens.checkpoints.fitting import explain
from cnnlens.checkpoints.index import describe, read_table
from cnnlens.checkpoints.matching import Match, find, nearest
from cnnlens.checkpoints.zoo import Zoo, make_on_meta, timm_zoo, torchvision_zoo

torch = need("torch")
need("torchvision")

NAMES = torchvision_zoo().names()
#: Architectures of timm with the names and shapes of one of torchvision's that compute something else.
ALIKE = {
    "resnet18": ("resnet18", "timm:resnetblur18"),
    "resnet50": ("resnet50", "timm:resnetaa50", "timm:resnetblur50"),
}


def weights_of(zoo: Zoo, name: str, **arguments: Any) -> dict[str, Any]:
    return dict(make_on_meta(zoo, name, arguments).state_dict())


@pytest.fixture(scope="module")
def built() -> dict[str, dict[str, Any]]:
    """Every classification model of torchvision, every third with another number of classes."""
    zoo = torchvision_zoo()
    return {
        n: weights_of(zoo, n, **({"num_classes": 7 + i} if i % 3 == 0 else {})) for i, n in enumerate(NAMES)
    }


def test_every_model_of_torchvision_is_found_and_none_is_taken_for_another(
    built: dict[str, dict[str, Any]],
) -> None:
    assert len(NAMES) >= 60
    for number, (name, weights) in enumerate(built.items()):
        match = find(weights, [torchvision_zoo()])
        assert match is not None and match.names == (name,)
        assert match.classes == (7 + number if number % 3 == 0 else 1000)


def test_with_timm_beside_it_only_what_computes_differently_is_listed(
    built: dict[str, dict[str, Any]],
) -> None:
    need("timm")
    for name, weights in built.items():
        match = find(weights, [torchvision_zoo(), timm_zoo()])
        assert match is not None and match.names == ALIKE.get(name, (name,))


def test_the_shipped_table_is_what_torchvision_builds_now(built: dict[str, dict[str, Any]]) -> None:
    table = read_table()["torchvision"]
    assert sorted(table) == NAMES
    for name in (*NAMES[::4], "googlenet", "inception_v3"):
        assert table[name] == describe(torchvision_zoo(), name)


@pytest.mark.parametrize(
    "name", ["resnet26d", "convnext_atto", "vit_tiny_patch16_rope_reg1_gap_256", "mobileone_s0"]
)
def test_the_shipped_table_is_what_timm_builds_now(name: str) -> None:
    need("timm")
    if name in timm_zoo().names():
        assert read_table()["timm"][name] == describe(timm_zoo(), name)


def test_a_library_newer_than_the_table_is_searched_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class Newer:
        title, version = "torchvision", "99"

        def names(self) -> list[str]:
            return ["resnet18", "brand_new"]

        def make(self, name: str, arguments: Any) -> Any:
            return torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.Linear(5, arguments["num_classes"]))

    weights = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.Linear(5, 4)).state_dict()
    match = find(weights, [Newer()])  # type: ignore[list-item]
    assert match is not None and match.names == ("brand_new",) and match.classes == 4


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_forms_without_their_training_heads(name: str) -> None:
    match = find(weights_of(torchvision_zoo(), name, aux_logits=False), [torchvision_zoo()])
    assert match is not None and match.names == (f"{name}, aux_logits=False",)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "densenet121", "inception_v3"])
def test_twins_of_the_same_name_compute_the_same(name: str) -> None:
    """Only therefore may torchvision's stand for timm's."""
    need("timm")
    torch.manual_seed(0)
    form = {"aux_logits": False, "transform_input": False} if name == "inception_v3" else {}
    one = torchvision_zoo().make(name, form).eval()
    two = timm_zoo().make(name, {}).eval()
    two.load_state_dict(one.state_dict())
    with torch.no_grad():
        x = torch.randn(1, 3, 96, 96)
        assert torch.allclose(one(x), two(x), atol=1e-4)


def match_of(weights: dict[str, Any]) -> Match | None:
    return find(weights, [torchvision_zoo()])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: {f"module.{k}": v for k, v in w.items()},
        lambda w: {f"_orig_mod.module.{k}": v for k, v in w.items()},
        lambda w: {f"model._orig_mod.{k}": v for k, v in w.items()},
        lambda w: {f"my_net.{k}": v for k, v in w.items()},
        lambda w: {**{f"module.{k}": v for k, v in w.items()}, "n_averaged": torch.tensor(3)},
        lambda w: {**{f"model.{k}": v for k, v in w.items()}, "loss_fn.weight": torch.ones(7)},
        lambda w: {k.replace("features.", "features.module."): v for k, v in w.items()},
    ],
)
def test_wrappings_come_off(wrap: Any, built: dict[str, dict[str, Any]]) -> None:
    match = match_of(wrap(built["alexnet"]))
    assert (
        match is not None and match.names == ("alexnet",) and match.weights.keys() == built["alexnet"].keys()
    )


def test_a_part_of_a_larger_network_is_not_taken_for_the_whole(built: dict[str, dict[str, Any]]) -> None:
    inner = {f"model.{k}": v for k, v in built["alexnet"].items()}
    assert match_of({**inner, "head.weight": torch.ones(2, 1000)}) is None
    assert (
        match_of({f"1.{k}": v for k, v in built["alexnet"].items()}) is None
    )  # beside a layer without weights


def test_names_of_old_releases(built: dict[str, dict[str, Any]]) -> None:
    dense = {
        k.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): v
        for k, v in built["densenet121"].items()
    }
    assert dense.keys() != built["densenet121"].keys()
    vit = {
        k.replace("mlp.0.", "mlp.linear_1.").replace("mlp.3.", "mlp.linear_2."): v
        for k, v in built["vit_b_16"].items()
    }
    assert vit.keys() != built["vit_b_16"].keys()
    for weights, name in ((dense, "densenet121"), (vit, "vit_b_16")):
        match = match_of(weights)
        assert match is not None and match.names == (name,)


def test_the_nearest_are_named_with_what_differs(built: dict[str, dict[str, Any]]) -> None:
    weights = dict(built["resnet34"])
    del weights["layer1.0.conv1.weight"]
    assert match_of(weights) is None
    near = nearest(weights, [torchvision_zoo()])
    assert near[0].entry.name == "resnet34" and near[0].differences == ("no layer1.0.conv1.weight",)
    assert near[0].share > 0.98 > near[1].share
    assert nearest({"a.weight": torch.ones(3)}, [torchvision_zoo()]) == []


def test_the_cause_of_a_mismatch_is_guessed(built: dict[str, dict[str, Any]]) -> None:
    told = explain(built["resnet50"], built["resnet34"])
    assert (
        "missing" not in told.partition(";")[0]
        and "the weights of another architecture: --arch resnet50" in told
    )
    ten = weights_of(torchvision_zoo(), "resnet50", num_classes=10)
    assert explain(ten, built["resnet50"]).endswith("trained for 10 classes: --arch-arg num_classes=10")
    cut = {k: v for k, v in built["resnet50"].items() if not k.startswith("layer4.2")}
    assert "The nearest architecture by name is resnet50 (" in explain(cut, built["resnet34"])

    def own(width: int, depth: int, prefix: str = "") -> dict[str, Any]:
        return {f"{prefix}blocks.{i}.weight": torch.ones(width, 3) for i in range(depth)}

    assert "another width" in explain(own(4, 3), own(5, 3))
    assert "another depth" in explain(own(4, 3), own(4, 4))
    assert "Only what stands before the names differs" in explain(own(4, 3), own(4, 3, "net."))
    assert "averaged (EMA) copy" in explain({**own(4, 3), **own(4, 3, "ema.")}, own(4, 2))
    assert "4 missing: blocks.10.weight" in explain(own(4, 10), own(4, 14))
