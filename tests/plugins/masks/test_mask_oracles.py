"""Our numbers on a trained network against Captum's, with the same regions and covers."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import need

from cnnlens import Model, Probe, look
from cnnlens_plugins.masks.coalitions import values_of
from cnnlens_plugins.masks.covers import cover_of
from cnnlens_plugins.masks.kernel_shap import coalitions, kernel_shap
from cnnlens_plugins.masks.lime import drawn, lime, nearness
from cnnlens_plugins.masks.regions import regions_of

CAT = 285  # Egyptian cat
BLACK = (0 - 0.498) / 0.502


@pytest.fixture(scope="module")
def probe(lite0: Model, cat: Path) -> Probe:
    return Probe(lite0, cat, CAT)


def fed(probe: Probe) -> Any:
    torch = need("torch")
    return torch.from_numpy(probe.model.input.encode(probe.pixels[None])).permute(0, 3, 1, 2).contiguous()


def mask(labels: Any) -> Any:
    return need("torch").from_numpy(labels)[None, None].expand(1, 3, -1, -1).contiguous()


def relative(ours: Any, theirs: Any) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def test_one_region_hidden_is_captums_feature_ablation(probe: Probe) -> None:
    attr = need("captum.attr")
    labels = regions_of(probe.pixels, "slic", 12)
    count = int(labels.max()) + 1
    theirs = attr.FeatureAblation(probe.model.native).attribute(
        fed(probe), target=CAT, feature_mask=mask(labels), baselines=BLACK
    )[0, 0]
    seen = values_of(probe, ~np.eye(count, dtype=bool), labels, cover_of(probe.pixels, "black"), "score")
    assert relative((probe.score - seen)[labels], theirs.numpy()) <= 1e-4


def test_kernel_shap_is_captums_on_the_same_samples(probe: Probe) -> None:
    """Captum holds the sum by weights of a million, we exactly; nothing else differs."""
    attr, torch = need("captum.attr"), need("torch")
    labels = regions_of(probe.pixels, "grid", 9)
    rows, _ = coalitions(9, 40, 3)

    class Same(attr.KernelShap):  # type: ignore[misc, name-defined]
        def kernel_shap_perturb_generator(self, *_: Any, **__: Any) -> Any:
            for row in [np.ones(9), np.zeros(9), *rows]:
                yield torch.from_numpy(np.asarray(row, np.int64))[None]

    theirs = Same(probe.model.native).attribute(
        fed(probe), target=CAT, feature_mask=mask(labels), baselines=BLACK, n_samples=2 + len(rows)
    )[0, 0]
    ours = look(
        probe.model, probe, kernel_shap, cut="grid", regions=9, samples=40, fill="black", seed=3
    ).array
    assert relative(ours, theirs.numpy()) <= 1e-3


def test_kernel_shap_of_all_sets_is_captums_shapley_values(probe: Probe) -> None:
    """Captum adds up the gains over all 24 orders of four regions."""
    attr = need("captum.attr")
    labels = regions_of(probe.pixels, "grid", 4)
    orders = itertools.permutations(range(4))
    sampling = attr.ShapleyValueSampling(probe.model.native)
    sampling.permutation_generator = lambda *_: orders
    theirs = sampling.attribute(
        fed(probe),
        target=CAT,
        feature_mask=mask(labels),
        baselines=BLACK,
        n_samples=24,
        perturbations_per_eval=4,
    )[0, 0]
    ours = look(probe.model, probe, kernel_shap, cut="grid", regions=4, samples=16, fill="black").array
    assert relative(ours, theirs.numpy()) <= 1e-4


def test_lime_is_captums_on_the_same_samples(probe: Probe) -> None:
    attr, torch = need("captum.attr"), need("torch")
    linear = need("captum._utils.models.linear_model")
    labels = regions_of(probe.pixels, "grid", 9)
    rows = drawn(40, 9, 3)
    weights = iter(nearness(rows, 0.25).tolist())
    samples = iter(rows)

    def similarity(*_: Any, **__: Any) -> Any:
        return torch.tensor(next(weights))

    def sample(*_: Any, **__: Any) -> Any:
        return torch.from_numpy(next(samples)[None].astype(np.int64))

    theirs = attr.LimeBase(
        probe.model.native,
        linear.SkLearnRidge(alpha=1.0),
        similarity,
        sample,
        perturb_interpretable_space=True,
        from_interp_rep_transform=lambda kept, original, **_: torch.where(
            kept[0][torch.from_numpy(labels)].bool(), original, torch.tensor(BLACK, dtype=torch.float32)
        ),
        to_interp_rep_transform=None,
    ).attribute(fed(probe), target=CAT, n_samples=40)  # fmt: skip
    ours = look(probe.model, probe, lime, cut="grid", regions=9, samples=40, fill="black", seed=3).array
    assert relative(ours, theirs.numpy().ravel()[labels]) <= 1e-3
