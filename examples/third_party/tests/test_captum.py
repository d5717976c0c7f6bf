"""What a guest tests of itself: the rules of cnnlens, its formula against the library, its refusals."""

from __future__ import annotations

import numpy as np
import pytest
from cnnlens_captum import integrated_gradients_captum as visualiser

from cnnlens import errors, look, wrap
from cnnlens.testing import check_visualiser, picture, tiny_model, tiny_torch

torch = pytest.importorskip("torch")
captum = pytest.importorskip("captum.attr")
PREPROCESS = {"size": 8, "mean": [0.5] * 3, "std": [0.25] * 3}


def test_it_keeps_the_rules() -> None:
    check_visualiser(visualiser, [wrap(tiny_torch(), preprocess=PREPROCESS)])


def test_it_is_what_captum_says() -> None:
    net = tiny_torch()
    model = wrap(net, preprocess=PREPROCESS)
    image = picture(model)
    result = look(model, image, visualiser, target=1, steps=20, baseline="grey")
    fed = torch.from_numpy((image - 0.5) / 0.25).movedim(-1, 0)[None]
    direct = captum.IntegratedGradients(net.eval()).attribute(fed, fed * 0, target=1, n_steps=20)
    np.testing.assert_allclose(result.array, direct[0].sum(0).numpy(), rtol=1e-4, atol=1e-5)


def test_the_shares_add_up_to_the_rise() -> None:
    model = wrap(tiny_torch(), preprocess=PREPROCESS)
    image = picture(model)
    shares = look(model, image, visualiser, target=0, steps=500).array
    both = model.trace(np.stack([image, image * 0])).scores[:, 0]
    assert shares.sum() == pytest.approx(both[0] - both[1], rel=1e-2)


def test_it_says_why_it_cannot_read_other_frameworks() -> None:
    model = tiny_model()
    with pytest.raises(errors.Unmet, match="reads models of torch; this is numpy"):
        look(model, picture(model), visualiser)


def test_it_says_why_it_cannot_explain_a_unit() -> None:
    model = wrap(tiny_torch(), preprocess=PREPROCESS)
    with pytest.raises(errors.Unmet, match="a single class"):
        look(model, picture(model), visualiser, target="conv[1]")
