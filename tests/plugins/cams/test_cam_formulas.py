"""The formulas in float64 against loops over places and channels, as the papers write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from needs import need

from cnnlens import enlarged
from cnnlens_plugins.cams import formulas
from cnnlens_plugins.cams.score import masks, strongest
from cnnlens_plugins.cams.showing import fuse
from cnnlens_plugins.cams.smooth import standard_error

H, W, C = 5, 4, 6
PLACES = [(y, x) for y in range(H) for x in range(W)]


@pytest.fixture(params=range(4))
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Activations behind a ReLU, one channel of them dead, and gradients of both signs."""
    rng = np.random.default_rng(request.param)
    a, g = np.maximum(rng.standard_normal((H, W, C)), 0), rng.standard_normal((H, W, C))
    a[..., 2] = 0
    return a, g


def by_weights(a: Any, weight: Callable[[int], float]) -> Any:
    cam = np.zeros((H, W))
    for y, x in PLACES:
        cam[y, x] = sum(weight(k) * a[y, x, k] for k in range(C))
    return cam


def slow_grad_cam(a: Any, g: Any) -> Any:
    return by_weights(a, lambda k: sum(g[y, x, k] for y, x in PLACES) / (H * W))


def slow_hires_cam(a: Any, g: Any) -> Any:
    return np.array([[sum(a[y, x, k] * g[y, x, k] for k in range(C)) for x in range(W)] for y in range(H)])


def slow_layer_cam(a: Any, g: Any) -> Any:
    return slow_hires_cam(a, np.where(g > 0, g, 0))


def slow_xgrad_cam(a: Any, g: Any) -> Any:
    def weight(k: int) -> float:
        whole = sum(a[y, x, k] for y, x in PLACES)
        return sum(a[y, x, k] / whole * g[y, x, k] for y, x in PLACES) if whole else 0.0

    return by_weights(a, weight)


def slow_grad_cam_plus_plus(a: Any, g: Any) -> Any:
    def weight(k: int) -> float:
        whole, total = sum(a[y, x, k] for y, x in PLACES), 0.0
        for y, x in PLACES:
            below = 2 * g[y, x, k] ** 2 + whole * g[y, x, k] ** 3
            total += (g[y, x, k] ** 2 / below if below else 0.0) * max(g[y, x, k], 0.0)
        return total

    return by_weights(a, weight)


def slow_eigen(rows: Any) -> Any:
    """By numpy's own decomposition, the sign so that it goes with the sum over channels."""
    flat = rows.reshape(-1, C)
    along = flat @ np.linalg.svd(flat)[2][0]
    return (along * np.sign((along * flat.sum(1)).sum())).reshape(H, W)


FORMULAS = {
    "grad-cam": (formulas.grad_cam, slow_grad_cam),
    "grad-cam++": (formulas.grad_cam_plus_plus, slow_grad_cam_plus_plus),
    "xgrad-cam": (formulas.xgrad_cam, slow_xgrad_cam),
    "hires-cam": (formulas.hires_cam, slow_hires_cam),
    "layer-cam": (formulas.layer_cam, slow_layer_cam),
    "eigen-cam": (lambda a, _: formulas.eigen_cam(a), lambda a, _: slow_eigen(a)),
    "eigen-cam, centred": (
        lambda a, _: formulas.eigen_cam(a + 1, centred=True), lambda a, _: slow_eigen(a - a.mean((0, 1))),
    ),
    "eigen-grad-cam": (formulas.eigen_grad_cam, lambda a, g: slow_eigen(a * g)),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_is_what_its_paper_says(name: str, pair: tuple[Any, Any]) -> None:
    quick, slow = FORMULAS[name]
    got, wanted = quick(*pair), slow(*pair)
    if name == "eigen-cam, centred":  # its rows add up to nothing, so the sign hangs on rounding
        wanted = wanted * np.sign((got * wanted).sum())
    assert got.dtype == np.float64 and got.shape == (H, W)
    assert np.abs(got - wanted).max() <= 1e-9 * np.abs(wanted).max()
    assert quick(*(part.astype(np.float32) for part in pair)).dtype == np.float32


def test_eigen_cam_with_more_channels_than_places_and_with_fewer() -> None:
    rng = np.random.default_rng(0)
    for shape in ((2, 3, 40), (9, 9, 3)):
        a = rng.random(shape)
        flat = a.reshape(-1, shape[-1])
        wanted = np.abs(flat @ np.linalg.svd(flat, full_matrices=False)[2][0]).reshape(shape[:2])
        assert np.abs(formulas.eigen_cam(a) - wanted).max() <= 1e-9 * wanted.max()
    assert not formulas.eigen_cam(np.zeros((3, 3, 2))).any()


def test_nothing_is_divided_by_zero() -> None:
    a, g = np.zeros((3, 3, 2)), np.ones((3, 3, 2))
    for name, (quick, _) in FORMULAS.items():
        for activations, gradients in ((a, g), (g, a), (a, a)):
            with np.errstate(all="raise"):
                assert np.isfinite(quick(activations, gradients)).all(), name


@pytest.mark.parametrize(
    ("here", "there"), [((7, 7), (224, 224)), ((3, 5), (10, 7)), ((1, 2), (4, 4)), ((8, 8), (8, 8))]
)
def test_enlarging_is_torchs(here: tuple[int, int], there: tuple[int, int]) -> None:
    torch = need("torch")
    maps = np.random.default_rng(0).standard_normal((3, *here))
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(maps)[None], there, mode="bilinear", align_corners=False
    )[0].numpy()
    assert np.abs(enlarged(maps, there) - theirs).max() <= 1e-12


def test_masks_reach_from_zero_to_one_and_flat_maps_make_none() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4, 4, 5)).astype(np.float32)
    a[..., 1], a[..., 3] = 2.0, a[..., 3] * 9
    assert strongest(a, None).tolist() == [0, 2, 3, 4] and 3 in strongest(a, 2) and len(strongest(a, 2)) == 2
    made = masks(a[..., [0, 2]], (16, 16))
    assert (
        made.shape == (2, 16, 16)
        and made.min((1, 2)).tolist() == [0, 0]
        and made.max((1, 2)).tolist() == [1, 1]
    )


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).standard_normal((10, 2, 2))
    without = [(values.sum(0) - one) / 9 for one in values]
    assert np.allclose(standard_error(without), values.std(0, ddof=1) / np.sqrt(10))


def test_fused_maps_are_the_mean_of_their_shares() -> None:
    low, high = np.array([[-4.0]]), np.array([[1.0, 2.0], [0.0, -1.0]])
    assert np.allclose(fuse([low, high]), (np.array([[0.5, 1], [0, -0.5]]) - 1) / 2)
    assert np.array_equal(fuse([np.zeros((2, 2)), high]), high / 4)
