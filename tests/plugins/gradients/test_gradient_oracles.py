"""Our gradient visualisers against Captum's, on a trained network and on three small ones: the same noise for both.

Captum works in the numbers that a network is fed, we in pixels of [0, 1]; between the two lies the factor of each
channel, `model.input.scale`. Attributions in units of score are the same in both.

Gradients of ReLU networks jump: a picture that differs in its last bit can lie on the other side of a kink, and one
gradient in a thousand is then another one. What takes gradients at many pictures is therefore held to Captum's own
classes on networks that are fed the pixels as they are (`plainly`), so that both read the same bits; and on the
trained network as it is meant to be fed, to the formula over Captum's gradients at the very same pictures.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import need
from nets import NETS, SPEC, photo, wrapped

import cnnlens
from cnnlens import Model, Probe, look

pytestmark = pytest.mark.filterwarnings(
    "ignore:Setting backward hooks", "ignore:Input Tensor 0 did not already require gradients"
)
CAT, TOLERANCE, SEED = 285, 1e-4, 5
SMALL = tuple(NETS)


@pytest.fixture(scope="module")
def probes(lite0: Model, cat: Path) -> dict[str, Probe]:
    small = {name: Probe(wrapped(name), photo(3), 2) for name in SMALL}
    return {"lite0": Probe(lite0, cat, CAT), **small}


@pytest.fixture(scope="module")
def plainly(lite0: Model, cat: Path) -> dict[str, Probe]:
    """The same networks, fed pixels in [0, 1]."""
    spec = {"size": 224, "mean": (0.0,) * 3, "std": (1.0,) * 3}
    real = Probe(cnnlens.wrap(lite0.native, preprocess=spec), cat, CAT)
    return {
        "lite0": real,
        **{n: Probe(cnnlens.wrap(NETS[n](), preprocess=spec | {"size": 32}), photo(3), 2) for n in SMALL},
    }


ALL = pytest.mark.parametrize("name", ["lite0", *SMALL])


def fed(probe: Probe, pixels: Any = None) -> Any:
    """Pictures (n, h, w, c) as the network is fed them, laid out as torch has them; by default the probe's own."""
    pixels = probe.pixels[None] if pixels is None else pixels
    return need("torch").from_numpy(probe.model.input.encode(pixels)).permute(0, 3, 1, 2).contiguous()


def there(found: Any) -> Any:
    """Captum's (1, c, h, w) → (h, w, c)."""
    return found[0].detach().permute(1, 2, 0).numpy().astype(np.float64)


def relative(ours: Any, theirs: Any) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def asked(probe: Probe) -> int:
    assert probe.target.index is not None
    return probe.target.index


@ALL
def test_saliency(probes: dict[str, Probe], name: str) -> None:
    probe, captum = probes[name], need("captum.attr")
    theirs = captum.Saliency(probe.model.native).attribute(
        fed(probe).requires_grad_(), target=asked(probe), abs=False
    )
    per_pixel = there(theirs) * probe.model.input.scale
    ours = look(probe.model, probe, "saliency", join="sum", sign="signed").array
    assert relative(ours, per_pixel.sum(-1)) <= TOLERANCE
    assert relative(look(probe.model, probe, "saliency").array, np.abs(per_pixel).max(-1)) <= TOLERANCE


@ALL
def test_input_x_gradient_counts_from_zero_as_it_is_fed(probes: dict[str, Probe], name: str) -> None:
    probe, captum = probes[name], need("captum.attr")
    module = captum.InputXGradient(probe.model.native)
    theirs = there(module.attribute(fed(probe).requires_grad_(), target=asked(probe)))
    assert relative(look(probe.model, probe, "input-x-gradient").array, theirs.sum(-1)) <= TOLERANCE
    # from black: Captum has no such setting, its gradient and our pixels do
    gradient = captum.Saliency(probe.model.native).attribute(
        fed(probe).requires_grad_(), target=asked(probe), abs=False
    )
    black = there(gradient) * (probe.fed - fed(probe, np.zeros((1, *probe.pixels.shape), np.float32))[0, :, :1, :1]
                               .permute(1, 2, 0).numpy())  # fmt: skip
    assert (
        relative(look(probe.model, probe, "input-x-gradient", zero="black").array, black.sum(-1)) <= TOLERANCE
    )


def test_input_x_gradient_of_a_network_that_reads_bgr() -> None:
    module, captum = NETS["plain"](), need("captum.attr")
    model = cnnlens.wrap(module, preprocess={**SPEC, "order": "BGR"})
    probe = Probe(model, photo(3), 2)
    theirs = there(captum.InputXGradient(module).attribute(fed(probe).requires_grad_(), target=2))
    assert relative(look(model, probe, "input-x-gradient").array, theirs.sum(-1)) <= TOLERANCE


def noises(probe: Probe, samples: int, spread: float) -> Any:
    """The noise on the samples in pixels, (n, h, w, c), as the seed gives it."""
    shape = probe.pixels.shape
    drawn = [np.random.default_rng([SEED, i, 1]).standard_normal(shape, np.float32) for i in range(samples)]
    return np.stack(drawn) * np.float32(spread)


@ALL
@pytest.mark.parametrize(
    ("of", "nt_type"), [("mean", "smoothgrad"), ("variance", "vargrad"), ("square", "smoothgrad_sq")]
)
def test_smoothgrad(
    plainly: dict[str, Probe], name: str, of: str, nt_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captum draws with torch, we a sample at a time with NumPy: it is handed our noise, in its own units."""
    probe, captum, torch = plainly[name], need("captum.attr"), need("torch")
    samples, share = (4 if name == "lite0" else 13), 0.1
    noise = noises(probe, samples, share * float(np.ptp(probe.pixels))) * probe.model.input.scale
    monkeypatch.setattr(torch, "normal", lambda *_: torch.from_numpy(noise).permute(0, 3, 1, 2))
    tunnel = captum.NoiseTunnel(captum.Saliency(probe.model.native))
    theirs = there(
        tunnel.attribute(fed(probe), nt_type=nt_type, nt_samples=samples, target=asked(probe), abs=False)
    )
    theirs = theirs * probe.model.input.scale ** (1 if of == "mean" else 2)
    ours = look(
        probe.model, probe, "smoothgrad", samples=samples, noise=share, of=of, sign="signed", join="sum", seed=SEED
    )  # fmt: skip
    assert relative(ours.array, theirs.sum(-1)) <= TOLERANCE


RULES = {"gauss-legendre": "gausslegendre", "trapezoid": "riemann_trapezoid", "right": "riemann_right"}
PATHS = [(name, start, rule) for name in SMALL for start in ("black", "blur") for rule in RULES]
PATHS += [("lite0", "black", "gauss-legendre"), ("lite0", "blur", "trapezoid")]


@pytest.mark.parametrize(("name", "baseline", "rule"), PATHS)
def test_integrated_gradients(plainly: dict[str, Probe], name: str, baseline: str, rule: str) -> None:
    """Captum's trapezoid weighs n places by 1/n, its ends by half of that: together (n-1)/n, ours are one."""
    from cnnlens_plugins.gradients.baselines import baseline_of

    probe, captum, steps = plainly[name], need("captum.attr"), 5 if name == "lite0" else 20
    start = baseline_of(probe.pixels, baseline, np.random.default_rng(0))  # type: ignore[arg-type]
    theirs = captum.IntegratedGradients(probe.model.native).attribute(
        fed(probe), fed(probe, start[None]), target=asked(probe), n_steps=steps, method=RULES[rule],
        internal_batch_size=10,
    )  # fmt: skip
    factor = steps / (steps - 1) if rule == "trapezoid" else 1
    ours = look(probe.model, probe, "integrated-gradients", baseline=baseline, steps=steps, rule=rule).array
    assert relative(ours, there(theirs).sum(-1) * factor) <= TOLERANCE


@ALL
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_gradient_shap(
    plainly: dict[str, Probe], name: str, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same places, noise and baselines: Captum draws them all at once, we sample by sample."""
    probe, captum, torch = plainly[name], need("captum.attr"), need("torch")
    samples, shape = (4 if name == "lite0" else 12), probe.pixels.shape
    shares, starts, shaken = [], [], []
    for i in range(samples):
        rng = np.random.default_rng([SEED, i, 1])
        shares.append(np.float32(rng.random()))
        starts.append(rng.random(shape, np.float32))
        shaken.append(noise * rng.standard_normal(shape, np.float32) * probe.model.input.scale)
    drawn = torch.from_numpy(np.stack(shaken).astype(np.float32)).permute(0, 3, 1, 2)
    monkeypatch.setattr(torch, "normal", lambda *_: drawn)
    monkeypatch.setattr(np.random, "uniform", lambda *_: np.asarray(shares))
    monkeypatch.setattr(np.random, "choice", lambda *_: np.arange(samples))
    theirs = captum.GradientShap(probe.model.native).attribute(
        fed(probe), fed(probe, np.stack(starts)), n_samples=samples, target=asked(probe)
    )
    ours = look(
        probe.model, probe, "gradient-shap", samples=samples, baseline="noise", noise=noise, seed=SEED
    )
    assert relative(ours.array, there(theirs).sum(-1)) <= TOLERANCE


def captums(probe: Probe, pictures: Any) -> Any:
    """Captum's gradients by pixels at pictures (n, h, w, c)."""
    saliency = need("captum.attr").Saliency(probe.model.native)
    found = saliency.attribute(fed(probe, pictures).requires_grad_(), target=asked(probe), abs=False)
    return found.permute(0, 2, 3, 1).numpy().astype(np.float64) * probe.model.input.scale


def test_the_trained_network_as_it_is_fed(probes: dict[str, Probe]) -> None:
    """Each formula over Captum's gradients at the very pictures that ours reads."""
    probe = probes["lite0"]
    x, model = probe.pixels, probe.model
    noisy = x + noises(probe, 3, np.float32(0.15 * (x.max() - x.min())))
    ours = look(model, probe, "smoothgrad", samples=3, sign="signed", join="sum", seed=SEED).array
    assert relative(ours, captums(probe, noisy).mean(0).sum(-1)) <= TOLERANCE

    at, weights = np.polynomial.legendre.leggauss(4)
    way = ((at + 1) / 2).astype(np.float32)[:, None, None, None] * x
    wanted = (x * np.tensordot(weights / 2, captums(probe, way), 1)).sum(-1)
    assert relative(look(model, probe, "integrated-gradients", steps=4).array, wanted) <= TOLERANCE

    draws = [np.random.default_rng([SEED, i, 1]) for i in range(3)]
    shares = np.asarray([rng.random() for rng in draws], np.float32)[:, None, None, None]
    starts = np.stack([rng.random(x.shape, np.float32) for rng in draws])
    wanted = ((x - starts) * captums(probe, shares * x + (1 - shares) * starts)).mean(0).sum(-1)
    ours = look(model, probe, "gradient-shap", samples=3, baseline="noise", seed=SEED).array
    assert relative(ours, wanted) <= TOLERANCE


def guided_twin(module: Any, dtype: Any) -> Any:
    """A copy in which every rectifier is a ReLU of its own class that Captum knows, and writes to new memory.

    Captum guides `nn.ReLU` and nothing else: ReLU6 is a Hardtanh to it, and goes by without a word. A hook on a
    module that writes in place, or is called twice, is refused by torch or counted once.
    """
    torch = need("torch")

    class Ceiling(torch.nn.ReLU):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            return torch.clamp(x, 0, 6)

    twin = copy.deepcopy(module).to(dtype)
    for parent in list(twin.modules()):
        for child, part in list(parent.named_children()):
            if isinstance(part, torch.nn.ReLU6):
                setattr(parent, child, Ceiling())
            elif isinstance(part, torch.nn.ReLU):
                setattr(parent, child, torch.nn.ReLU())
    return twin.eval()


LAYERS = {"lite0": "_conv_head", "plain": "6", "residual": "layer3.conv2", "depthwise": "head.0"}


@ALL
def test_guided_grad_cam(probes: dict[str, Probe], name: str) -> None:
    """Captum enlarges by the nearest place and multiplies by the gradient by what is fed."""
    probe, captum, torch = probes[name], need("captum.attr"), need("torch")
    twin = guided_twin(probe.model.native, torch.float32)
    theirs = captum.GuidedGradCam(twin, twin.get_submodule(LAYERS[name])).attribute(
        fed(probe).requires_grad_(), target=asked(probe)
    )
    settings = {"layer": LAYERS[name], "enlarge": "nearest", "join": "sum"}
    ours = look(probe.model, probe, "guided-grad-cam", **settings).array
    assert np.abs(ours).max() > 0
    assert relative(ours, (there(theirs) * probe.model.input.scale).sum(-1)) <= TOLERANCE


@pytest.mark.parametrize("name", SMALL)
def test_the_guided_walk_in_double_precision(name: str) -> None:
    """The rule alone: what arrives at what was fed, before any of our float32."""
    from cnnlens_plugins.rules.clipping import guided
    from cnnlens_plugins.rules.structure import RECTIFIERS

    torch, captum = need("torch"), need("captum.attr")
    module = NETS[name]().double()
    model = cnnlens.wrap(module, preprocess=SPEC)
    probe = Probe(model, photo(3), 2)
    twin = guided_twin(module, torch.float64)
    theirs = captum.GuidedBackprop(twin).attribute(fed(probe).double().requires_grad_(), target=2)
    ours = probe.pull_altered(RECTIFIERS, guided)
    assert ours.dtype == np.float64 and relative(ours, there(theirs)) <= 1e-9


def test_enlarging_is_torchs(probes: dict[str, Probe]) -> None:
    from cnnlens_plugins.rules.guided_grad_cam import enlarged

    functional, torch = need("torch.nn.functional"), need("torch")
    cam = np.random.default_rng(0).random((7, 5), np.float32)
    for how in ("bilinear", "nearest"):
        ends = {"align_corners": False} if how == "bilinear" else {}
        theirs = functional.interpolate(torch.from_numpy(cam)[None, None], size=(63, 40), mode=how, **ends)
        ours = enlarged(cam, (63, 40), how)  # type: ignore[arg-type]
        assert relative(ours, theirs[0, 0].numpy()) <= 1e-5


def test_the_rules_of_integration_are_captums_in_double_precision() -> None:
    from cnnlens_plugins.gradients.paths import quadrature

    methods = need("captum.attr._utils.approximation_methods")
    for rule, method in RULES.items():
        sizes, places = methods.approximation_parameters(method)
        for steps in (2, 7, 50):
            at, weights = quadrature(rule, steps)  # type: ignore[arg-type]
            # theirs are torch.linspace's, in single precision, but for Gauss and Legendre's
            close = 1e-9 if rule == "gauss-legendre" else 1e-6
            assert np.abs(at - places(steps)).max() <= close and abs(weights.sum() - 1) <= 1e-12
            factor = steps / (steps - 1) if rule == "trapezoid" else 1
            assert np.abs(weights - np.multiply(sizes(steps), factor)).max() <= 1e-9
