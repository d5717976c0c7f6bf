"""Ours, tf-keras-vis, xplique and bare compiled passes in turn; run by `keras_speed.py`, in a process of its own.

Each tool draws noise of its own, so that maps of SmoothGrad cannot be held to one another: ours is held to the
mean of plain gradients of the very same noisy pictures, and the peers' plain gradients are held to ours.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import cnnlens
from cnnlens_plugins.gradients.baselines import drawer
from cnnlens_plugins.gradients.saliency import saliency
from cnnlens_plugins.gradients.smoothgrad import smoothgrad

from .measure import Row, cost, faster, same

CLASS, SAMPLES, BATCH, NOISE = 3, 50, 10, 0.15
TOLERANCE = 1e-3  # of the largest value
#: What is asked: network, saliency and SmoothGrad against tf-keras-vis.
NETS = {"MobileNetV2": (4.0, 9.0), "VGG16": (1.5, 2.0)}


def network(name: str) -> Any:
    """The network with random weights and batch statistics that keep its values of normal size."""
    keras.utils.set_random_seed(0)
    net = getattr(keras.applications, name)(weights=None, classifier_activation=None)
    rng = np.random.default_rng(0)
    for weight in net.weights:
        if "gamma" in weight.name:
            weight.assign(rng.uniform(0.8, 1.6, weight.shape))
        elif "variance" in weight.name:
            weight.assign(rng.uniform(0.15, 0.45, weight.shape))
        elif "mean" in weight.name or "beta" in weight.name:
            weight.assign(rng.standard_normal(weight.shape) * 0.1)
    return net


def bare(net: Any, compiled: bool = True) -> Callable[[Any], Any]:
    """One forward and backward pass of the class's score to what is fed, by TensorFlow alone."""

    def gradient(x: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            score = net(x, training=False)[:, CLASS]
        return tape.gradient(score, x)

    run = (
        tf.function(gradient, input_signature=[tf.TensorSpec((None, 224, 224, 3))]) if compiled else gradient
    )
    return lambda x: run(tf.constant(x)).numpy()


def joined(gradients: Any) -> Any:
    """The largest magnitude of the channels."""
    return np.abs(gradients).max(-1)


def compared(name: str, turns: int) -> Iterator[Row]:
    """The rows of one network."""
    from tf_keras_vis.saliency import Saliency as Theirs
    from tf_keras_vis.utils.scores import CategoricalScore
    from xplique.attributions import Saliency, SmoothGrad

    net = network(name)
    picture = np.random.default_rng(1).random((224, 224, 3), np.float32)
    one, label = picture[None], tf.one_hot([CLASS], net.output_shape[-1])
    model = cnnlens.wrap(net, preprocess="unit")
    floor, vis, score = bare(net), Theirs(net), CategoricalScore(CLASS)
    plain, smooth = Saliency(net), SmoothGrad(net, batch_size=BATCH, nb_samples=SAMPLES, noise=NOISE)
    drawn = [drawer(0, n).standard_normal(picture.shape, np.float32) for n in range(SAMPLES)]
    noisy = picture + np.float32(NOISE * (picture.max() - picture.min())) * np.stack(drawn)

    def ours() -> Any:
        return cnnlens.look(model, picture, saliency, target=CLASS)

    def ours_smooth() -> Any:
        return cnnlens.look(model, picture, smoothgrad, target=CLASS, samples=SAMPLES, noise=NOISE)

    def theirs(samples: int = 0) -> Any:
        return vis(score, one, smooth_samples=samples, smooth_noise=NOISE, normalize_map=False)

    def floors(one_batch: Callable[[Any], Any] = floor) -> Any:
        return np.concatenate([one_batch(noisy[at : at + BATCH]) for at in range(0, SAMPLES, BATCH)])

    # not held to the compiled floor: a kink of ReLU6 that its rounding crosses is half a percent of a map
    mean = floors(bare(net, compiled=False)).astype(np.float64).mean(0)
    found = ours().panels[0].values
    equal = {
        "floor": same(found, joined(floor(one))[0], TOLERANCE, "saliency, floor"),
        "tf-keras-vis": same(found, np.asarray(theirs())[0], TOLERANCE, "saliency, tf-keras-vis"),
        "xplique": same(found, np.asarray(plain(one, label))[0, ..., 0], TOLERANCE, "saliency, xplique"),
    }
    held = same(ours_smooth().panels[0].values, joined(mean), TOLERANCE, "SmoothGrad, of equal pictures")
    shown = f"{held} of the mean over equal noisy pictures"
    print(f"{name}: first passes took {model.compiling:.1f} s to compile", file=sys.stderr)
    asked, asked_smooth = NETS[name]
    what, many = f"Keras/TensorFlow {name}: saliency", f"Keras/TensorFlow {name}: SmoothGrad-{SAMPLES}"
    other = lambda: plain(one, label)  # noqa: E731
    others = lambda: smooth(one, label)  # noqa: E731
    yield faster(what, "tf-keras-vis", ours, theirs, asked=asked, equal=equal["tf-keras-vis"], turns=turns)
    yield faster(what, "xplique", ours, other, asked=1 / 1.05, equal=equal["xplique"], turns=turns)
    bare_one = lambda: floor(one)  # noqa: E731
    yield cost(what, "one compiled FB", ours, bare_one, asked=None, equal=equal["floor"], turns=turns)
    yield faster(many, "xplique", ours_smooth, others, asked=1 / 1.05, equal=shown, turns=turns)
    yield cost(many, f"{SAMPLES} FB by {BATCH}", ours_smooth, floors, asked=None, equal=shown, turns=turns)
    slow = lambda: theirs(SAMPLES)  # noqa: E731
    yield faster(
        many, "tf-keras-vis", ours_smooth, slow, asked=asked_smooth, equal=shown, turns=max(1, turns // 2)
    )


def main(turns: int) -> None:
    """A row a line, as JSON."""
    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    for name in NETS:
        for row in compared(name, turns):
            print(json.dumps(row.facts()), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
