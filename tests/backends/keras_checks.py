"""What a Keras model on one engine must do; `test_keras.py` runs this file once for each engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import keras
import keras_nets as nets
import numpy as np
import pytest
from keras import layers as kl

from cnnlens.backends._engines import array
from cnnlens.backends.keras import KerasModel
from cnnlens.errors import BadInput, UnknownName, Unmet
from cnnlens.targets import read_target
from cnnlens.testing import check_model, picture

ENGINE = keras.config.backend()
slow_on_jax = pytest.mark.skipif(ENGINE == "jax", reason="jax compiles each operation; this needs no engine")


@pytest.fixture(scope="module")
def net() -> KerasModel:
    return KerasModel(nets.functional())


@pytest.fixture(scope="module")
def whole() -> KerasModel:
    return KerasModel(nets.nested())


def pictures(model: KerasModel, count: int = 2) -> Any:
    return np.stack([picture(model, seed) for seed in range(count)])


def numpy(tensor: Any) -> Any:
    return array(tensor)


def error(got: Any, wanted: Any) -> float:
    return float(np.abs(got - wanted).max()) / max(float(np.abs(wanted).max()), 1e-12)


def reference_gradient(function: Any, at: Any) -> Any:
    """The gradient of a function of one array to a scalar, straight from the engine."""
    if ENGINE == "torch":
        import torch

        x = torch.tensor(at, requires_grad=True)
        return torch.autograd.grad(function(x), x)[0].numpy()
    if ENGINE == "jax":
        import jax

        return np.asarray(jax.grad(function)(at))
    import tensorflow as tf

    with tf.GradientTape() as tape:
        x = tf.constant(at)
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x).numpy()


def state(native: Any) -> dict[str, Any]:
    """Everything of a Keras model that a look must leave."""
    parts = native._flatten_layers()
    found: dict[str, Any] = {
        "values": [numpy(v.value) for v in native.variables],
        "objects": [id(v) for v in native.variables],
        "trainable": [part.trainable for part in parts],
        "nodes": [(len(part._inbound_nodes), len(part._outbound_nodes)) for part in parts],
        "attributes": [{k: id(v) for k, v in vars(part).items() if k != "_called"} for part in parts],
        "losses": len(native.losses),
    }
    if ENGINE == "torch":
        import torch

        found["flags"] = [v.value.requires_grad for v in native.variables]
        found["grads"] = [v.value.grad is None for v in native.variables]
        found["train"] = [module.training for module in native.modules()]
        found["random"] = torch.get_rng_state().numpy()
        found["mode"] = torch.is_grad_enabled()
    return found


def same(before: Any, after: Any) -> bool:
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(same(v, after[k]) for k, v in before.items())
    if isinstance(before, list):
        return len(before) == len(after) and all(same(a, b) for a, b in zip(before, after, strict=True))
    return bool(np.array_equal(before, after))


# -- layers --------------------------------------------------------------------------------------


def test_layers_of_a_functional_model(net: KerasModel) -> None:
    assert net.framework == f"keras/{ENGINE}" and net.device == "cpu"
    kinds = {layer.name: layer.kind for layer in net.layers}
    plus, times, tanh = (n for n in kinds if n.split("_")[0] in ("add", "multiply", "tanh"))
    assert list(kinds) == [
        "conv", "relu", "depthwise", "point", "norm", plus, "relu#2", "pool", times, tanh,
        "dropout", "average", "predictions",
    ]  # fmt: skip
    assert list(kinds.values()) == [
        "convolution", "activation", "convolution", "convolution", "normalisation", "add", "activation",
        "pooling", "multiply", "activation", "dropout", "pooling", "dense",
    ]  # fmt: skip
    depthwise = net.layer("depthwise")
    assert (
        depthwise.shape == (12, 12, 8)
        and depthwise.inputs == ("relu",)
        and depthwise.parameters == 3 * 3 * 8 + 8
    )
    assert depthwise.hyper == {
        "kernel": (3, 3), "stride": (1, 1), "padding": "same", "dilation": (1, 1), "groups": 4,
    }  # fmt: skip
    assert net.layer(plus).inputs == ("relu", "norm") and net.layer("relu#2").inputs == (plus,)
    assert net.layer("conv").inputs == () and net.layer("pool").hyper["kernel"] == (2, 2)
    assert net.layer("predictions").type == "Dense" and net.layer("predictions").shape == (5,)


def test_layers_of_nested_models(whole: KerasModel) -> None:
    names = [layer.name for layer in whole.layers]
    assert names == [
        "body", "body/stem", "body/block", "body/block/conv", "body/block#2", "body/block/conv#2", "body/add",
        "top", "top/max", "top/dense",
    ]  # fmt: skip
    layer = whole.layer("body/block")
    assert layer.kind == "block" and layer.type == "Functional" and layer.shape == (12, 12, 4)
    assert layer.inputs == ("body/stem",) and whole.layer("body/block/conv").inputs == ("body/stem",)
    assert whole.layer("body/block#2").inputs == ("body/block/conv",)
    assert whole.layer("body/add").inputs == ("body/block/conv#2", "body/stem")
    assert whole.layer("top").inputs == whole.layer("top/max").inputs == ("body/add",)
    assert whole.weights("body/block") == {} and whole.weights("body/block/conv#2")["kernel"].shape == (
        3,
        3,
        4,
        4,
    )


# -- scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [nets.functional, nets.sequential, nets.nested, nets.subclassed, nets.channels_first]
)
def test_scores_are_before_the_activation(make: Any) -> None:
    native = make()
    model = KerasModel(native)
    x = pictures(model)
    fed = model.input.encode(x)
    fed = np.moveaxis(fed, -1, 1) if make is nets.channels_first else fed
    scores = model.trace(x).scores
    assert model.activation == ("sigmoid" if make is nets.channels_first else "softmax")
    assert np.abs(scores.sum(1) - 1).min() > 1e-3
    assert error(model.probabilities(scores), numpy(native(fed, training=False))) < 1e-5


@pytest.mark.parametrize(
    "make", [nets.functional, nets.sequential, nets.nested, nets.subclassed, nets.channels_first]
)
def test_contract(make: Any) -> None:
    check_model(KerasModel(make()))


def test_activation_of_a_linear_head() -> None:
    x = keras.Input((6, 6, 1))
    one = keras.Model(x, kl.Dense(1)(kl.Flatten()(x)))
    assert KerasModel(one).activation == "sigmoid"
    assert KerasModel(nets.functional(head=None)).activation == "softmax"


def test_operation_as_a_head() -> None:
    x = keras.Input((6, 6, 1))
    y = kl.Dense(3, name="dense")(kl.Flatten()(x))
    model = KerasModel(nets.shaken(keras.Model(x, keras.ops.softmax(y))))
    at = pictures(model)
    seen = model.trace(at, watch=("dense",))
    assert model.activation == "softmax" and np.array_equal(seen.scores, seen.activations["dense"])


def test_an_attribute_called_activation_is_not_trusted() -> None:
    class Odd(kl.Dense):
        def call(self, x: Any, training: bool | None = None) -> Any:
            return 2 * super().call(x)

    x = keras.Input((6, 6, 1))
    native = nets.shaken(keras.Model(x, Odd(3, activation="softmax")(kl.Flatten()(x))))
    model = KerasModel(native)
    at = pictures(model)
    assert error(model.trace(at).scores, numpy(native(at))) < 1e-6


def test_the_head_shows_what_it_hands_on(net: KerasModel) -> None:
    x = pictures(net)
    trace = net.trace(x, watch=("predictions",), target=1)
    assert error(trace.activations["predictions"], net.probabilities(trace.scores)) < 1e-5
    assert not trace.gradients["predictions"].any()


# -- activations, gradients, replacement ---------------------------------------------------------


def test_activations_are_those_of_a_submodel(net: KerasModel) -> None:
    x = pictures(net)
    names = ("conv", "depthwise", "norm", "pool", "average")
    native = net.native
    outputs = keras.Function(native.inputs, [native.get_layer(name).output for name in names])([x])
    seen = net.trace(x, watch=names).activations
    for name, output in zip(names, outputs, strict=True):
        assert seen[name].dtype == np.float32 and error(seen[name], numpy(output)) < 1e-6
        seen[name][:] = 0  # a copy: writing to it changes nothing
    assert error(net.trace(x, watch=names).activations["conv"], numpy(outputs[0])) < 1e-6


def test_gradients_against_the_engines_own(net: KerasModel) -> None:
    x = pictures(net)
    logits = nets.functional(head=None)
    wanted = reference_gradient(lambda at: keras.ops.sum(logits(at, training=False)[:, 2]), x)
    got = net.trace(x, watch=("input",), target=2).gradients["input"]
    assert error(got, wanted) < 1e-5

    tail_in = keras.Input((6, 6, 4))
    y = keras.ops.tanh(tail_in * 0.5)
    y = logits.get_layer("predictions")(logits.get_layer("average")(y))
    tail = keras.Model(tail_in, y)
    trace = net.trace(x, watch=("pool",), target=2)
    wanted = reference_gradient(
        lambda at: keras.ops.sum(tail(at, training=False)[:, 2]), trace.activations["pool"]
    )
    assert error(trace.gradients["pool"], wanted) < 1e-5


def test_gradients_of_many_layers_are_those_of_each(whole: KerasModel) -> None:
    x = pictures(whole)
    names = ("input", *(layer.name for layer in whole.layers))
    together = whole.trace(x, watch=names, target=read_target("3 - 0", whole)).gradients
    for name in ("input", "body", "body/block", "body/block/conv#2", "body/stem", "top/max"):
        alone = whole.trace(x, watch=(name,), target=read_target("3 - 0", whole)).gradients[name]
        assert alone.any() and error(alone, together[name]) < 1e-6
    assert np.array_equal(together["body"], together["body/add"])
    assert np.array_equal(together["top/dense"], np.zeros((2, 4)))


def test_gradient_of_a_unit(whole: KerasModel) -> None:
    x = pictures(whole)
    target = read_target("body/block/conv[1,4,5]", whole)
    trace = whole.trace(x, watch=("input", "body/block/conv", "body/add"), target=target)
    unit = np.zeros((2, 12, 12, 4), np.float32)
    unit[:, 4, 5, 1] = 1
    assert np.array_equal(trace.gradients["body/block/conv"], unit)
    assert not trace.gradients["body/add"].any(), "a layer above the unit has no part in it"
    step, there = 1e-2, np.zeros_like(x)
    there[:, 4, 5, 0] = step
    up, down = (
        whole.trace(x + s * there, watch=("body/block/conv",)).activations["body/block/conv"] for s in (1, -1)
    )
    slope = (up - down)[:, 4, 5, 1] / (2 * step)
    assert np.allclose(
        trace.gradients["input"][:, 4, 5, 0], slope, atol=1e-2 * np.abs(trace.gradients["input"]).max()
    )


def test_replacing_runs_the_rest(whole: KerasModel) -> None:
    x = pictures(whole)
    stem, changed = "body/stem", np.random.default_rng(5).random((2, 12, 12, 4), np.float32)
    body = whole.native.get_layer("body")
    block, top = body.get_layer("block"), whole.native.get_layer("top")
    wanted = numpy(top(keras.ops.add(block(block(changed)), changed)))
    got = whole.trace(x, replace={stem: changed}, watch=(stem, "body"), target=0)
    assert error(whole.probabilities(got.scores), wanted) < 1e-5
    assert np.array_equal(got.activations[stem], changed) and got.gradients[stem].any()
    assert (
        not whole.trace(x, replace={"body": changed}, watch=("input", stem), target=0)
        .gradients["input"]
        .any()
    )


def test_every_layer_replaced_by_itself_changes_nothing(net: KerasModel, whole: KerasModel) -> None:
    for model in (net, whole):
        x = pictures(model)
        names = [layer.name for layer in model.layers]
        plain = model.trace(x, watch=names)
        for name in names:
            again = model.trace(x, replace={name: plain.activations[name]}).scores
            if ENGINE == "torch":
                assert np.array_equal(again, plain.scores), name
            else:  # a compiler fuses other operations where one of them is cut out: the last bit may differ
                assert error(again, plain.scores) < 1e-6, name


def test_only_the_rest_is_computed() -> None:
    x = keras.Input((6, 6, 1))
    failing = nets.Failing(name="failing")
    y = kl.Conv2D(2, 3, name="conv")(failing(x))
    model = KerasModel(keras.Model(x, kl.Dense(2, activation="softmax")(kl.Flatten()(y))))
    conv = model.trace(pictures(model), watch=("conv",)).activations["conv"]
    failing.fails = True
    assert model.trace(pictures(model), replace={"conv": conv}).scores.shape == (2, 2)
    with pytest.raises(RuntimeError, match="told to fail"):
        model.trace(pictures(model))


def test_one_picture_many_replacements(net: KerasModel) -> None:
    maps = np.random.default_rng(1).random((3, 6, 6, 4), np.float32)
    assert net.trace(pictures(net, 1), replace={"pool": maps}).scores.shape == (3, 5)


# -- nothing changes -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [nets.functional, nets.sequential, nets.nested, nets.subclassed])
def test_everything_is_left_as_it_was(make: Any) -> None:
    native = make()
    native.layers[0].trainable = False
    before = state(native)
    model = KerasModel(native)
    inner = [layer.name for layer in model.layers if layer.shape][:3]
    for _ in range(2):
        model.trace(pictures(model), watch=("input", *inner), target=0)
    model.hide(picture(model), [(0, 0, 3, 3)], 0.5)
    assert same(before, state(native))


def test_everything_is_left_as_it_was_after_an_error() -> None:
    x = keras.Input((6, 6, 1))
    failing = nets.Failing(name="failing")
    y = kl.Dense(2, activation="softmax")(failing(kl.Dropout(0.5, seed=1)(kl.Flatten()(x))))
    native = keras.Model(x, y)
    model = KerasModel(native)
    failing.fails = True
    before = state(native)
    for target in (None, 0):
        with pytest.raises(RuntimeError, match="told to fail"):
            model.trace(pictures(model), watch=("input",), target=target)
    assert same(before, state(native))


def test_a_forced_dropout_is_silent() -> None:
    x = keras.Input((6, 6, 1))
    y = kl.Flatten()(kl.Dropout(0.5, seed=4)(x, training=True))
    model = KerasModel(nets.shaken(keras.Model(x, kl.Dense(2)(y))))
    at = pictures(model, 1)
    assert np.array_equal(model.trace(at).scores, model.trace(at).scores)


@pytest.mark.skipif(ENGINE != "torch", reason="PyTorch's own modes")
def test_modes_of_torch_that_the_caller_is_in(net: KerasModel) -> None:
    import torch

    x = pictures(net)
    wanted = net.trace(x, watch=("input", "conv"), target=1).gradients
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            got = net.trace(x, watch=("input", "conv"), target=1).gradients
        assert all(np.array_equal(got[name], wanted[name]) for name in wanted)


@pytest.mark.skipif(ENGINE != "torch", reason="only Keras on PyTorch can wrap a module")
def test_a_wrapped_module_goes_on_training() -> None:
    import torch

    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(36, 4))
    x = keras.Input((6, 6, 1))
    native = keras.Model(x, kl.TorchModuleWrapper(module, output_shape=(None, 4))(x))
    module.train()
    model = KerasModel(native)
    at = pictures(model)
    trace = model.trace(at, watch=("input",), target=1)
    assert np.array_equal(trace.scores, model.trace(at).scores), "dropout is off while we look"
    assert trace.gradients["input"].any()
    assert all(part.training for part in module.modules())
    assert all(p.requires_grad and p.grad is None for p in module.parameters())


def test_two_threads(net: KerasModel) -> None:
    x = pictures(net)
    wanted = net.trace(x, watch=("conv",), target=1).gradients["conv"]
    found: list[Any] = []
    work = lambda: found.append(net.trace(x, watch=("conv",), target=1).gradients["conv"])  # noqa: E731
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(np.array_equal(f, wanted) for f in found)


# -- weights -------------------------------------------------------------------------------------


@slow_on_jax
def test_weights_are_laid_out_alike() -> None:
    x = keras.Input((8, 8, 3))
    y = kl.Conv2D(6, (3, 2), groups=3, use_bias=False, name="grouped")(x)
    y = kl.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(y)
    y = kl.Conv2DTranspose(5, 2, name="transposed")(y)
    y = kl.SeparableConv2D(7, 2, depth_multiplier=2, name="separable")(y)
    y = kl.LayerNormalization(name="layer_norm")(kl.BatchNormalization(name="norm")(y))
    y = kl.PReLU(shared_axes=(1, 2), name="prelu")(y)
    native = nets.shaken(keras.Model(x, kl.Dense(4, name="dense")(kl.GlobalMaxPooling2D()(y))))
    model = KerasModel(native)
    shapes = {
        layer.name: {name: a.shape for name, a in model.weights(layer.name).items()} for layer in model.layers
    }
    assert shapes["grouped"] == {"kernel": (3, 2, 1, 6)}
    assert shapes["depthwise"] == {"kernel": (3, 3, 1, 12), "bias": (12,)}
    assert shapes["transposed"] == {"kernel": (2, 2, 12, 5), "bias": (5,)}
    assert shapes["separable"] == {
        "depthwise_kernel": (2, 2, 5, 2), "pointwise_kernel": (1, 1, 10, 7), "bias": (7,),
    }  # fmt: skip
    assert shapes["norm"] == {n: (7,) for n in ("scale", "bias", "mean", "variance")}
    assert shapes["layer_norm"] == {"scale": (7,), "bias": (7,)} and shapes["prelu"] == {"alpha": (1, 1, 7)}
    assert shapes["dense"] == {"kernel": (7, 4), "bias": (4,)}
    own = numpy(native.get_layer("depthwise").kernel)
    assert np.array_equal(model.weights("depthwise")["kernel"][:, :, 0, 2 * 3 + 1], own[:, :, 3, 1])
    assert np.array_equal(
        model.weights("transposed")["kernel"][0, 1, 3, 2],
        numpy(native.get_layer("transposed").kernel)[0, 1, 2, 3],
    )
    model.weights("dense")["kernel"][:] = 0
    assert model.weights("dense")["kernel"].any(), "weights are copies"
    assert model.layer("depthwise").hyper["groups"] == 6


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
@slow_on_jax
def test_quantised_weights_keep_their_names() -> None:
    native = nets.functional()
    native.quantize("int8")
    model = KerasModel(native)
    assert {"kernel", "kernel_scale", "bias"} <= model.weights("predictions").keys()
    assert model.activation == "softmax"


# -- inputs --------------------------------------------------------------------------------------


@slow_on_jax
def test_preprocessing_that_is_assumed(net: KerasModel) -> None:
    assert net.input.range == (0, 1) and net.input.source == "assumed unit"
    tutorial = KerasModel(nets.sequential())
    assert tutorial.input.range == (0, 255) and tutorial.input.source == "Rescaling inside the model"
    x = keras.Input((6, 6, 3))
    y = kl.Normalization(mean=[120.0, 110, 100], variance=[60.0, 60, 60])(x)
    assert KerasModel(keras.Model(x, kl.Dense(2)(kl.Flatten()(y)))).input.range == (0, 255)
    stretched = keras.Model(x, kl.Dense(2)(kl.Flatten()(kl.Rescaling(2.0, -1.0)(x))))
    assert KerasModel(stretched).input.range == (0, 1)
    given = KerasModel(nets.functional(), preprocess="-1..1")
    assert given.input.range == (-1, 1) and given.input.source == "preset -1..1"


def test_gradients_are_per_pixel() -> None:
    native = nets.functional()
    spec = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4), "order": "BGR"}
    check_model(KerasModel(native, preprocess=spec))


@slow_on_jax
def test_any_size() -> None:
    x = keras.Input((None, None, 3))
    native = keras.Model(x, kl.Dense(2)(kl.GlobalMaxPooling2D()(kl.Conv2D(2, 3, strides=4)(x))))
    assert KerasModel(native).input.height == 224
    model = KerasModel(native, preprocess={"size": (20, 30)})
    assert (model.input.height, model.input.width) == (20, 30) and model.layers[0].shape == (5, 7, 2)


@slow_on_jax
def test_grey_pictures_without_channels() -> None:
    x = keras.Input((8, 8))
    y = kl.Reshape((8, 8, 1), name="reshape")(x)
    y = kl.Flatten()(kl.Conv2D(2, 3, activation="relu", name="conv")(y))
    model = KerasModel(nets.shaken(keras.Model(x, kl.Dense(2, activation="softmax")(y))))
    assert model.input.channels == 1 and model.layer("conv").shape == (6, 6, 2)
    check_model(model)


@slow_on_jax
def test_inputs_that_cannot_be() -> None:
    with pytest.raises(BadInput, match="reads pictures of 12 rows and the preprocessing says 20"):
        KerasModel(nets.functional(), preprocess={"size": 20})
    with pytest.raises(BadInput, match="is not built"):
        KerasModel(keras.Sequential([kl.Conv2D(2, 3), kl.Flatten(), kl.Dense(2)]))
    with pytest.raises(BadInput, match="is not built"):
        KerasModel(nets.Subclassed())
    one, two = keras.Input((4, 4, 1), name="left"), keras.Input((4, 4, 1), name="right")
    with pytest.raises(Unmet, match=r"reads 2 inputs \(left, right\)"):
        KerasModel(keras.Model([one, two], kl.Dense(2)(kl.Flatten()(one + two))))
    flat = keras.Input((10,))
    with pytest.raises(Unmet, match=r"reads \(10,\) each"):
        KerasModel(keras.Model(flat, kl.Dense(2)(flat)))
    x = keras.Input((None, None, 3))
    with pytest.raises(BadInput, match="cannot run a picture of 2 by 2"):
        KerasModel(keras.Model(x, kl.GlobalMaxPooling2D()(kl.Conv2D(2, 5)(x))), preprocess={"size": 2})
    with pytest.raises(UnknownName, match="did you mean 'conv'"):
        KerasModel(nets.functional()).layer("cnov")


def test_several_outputs() -> None:
    x = keras.Input((6, 6, 1))
    y = kl.Flatten()(x)
    first, second = kl.Dense(3, activation="softmax", name="first")(y), kl.Dense(2, name="second")(y)
    listed = KerasModel(keras.Model(x, [first, second]))
    assert listed.outputs == (3,) and listed.activation == "softmax"
    assert {"first", "second"} <= {layer.name for layer in listed.layers}
    named = KerasModel(keras.Model(x, {"aux": first, "logits": second}))
    assert named.outputs == (2,)


def test_maps_as_scores_are_channels_last() -> None:
    x = keras.Input((3, 8, 10))
    y = kl.Conv2D(5, 3, padding="same", data_format="channels_first", name="conv")(x)
    model = KerasModel(keras.Model(x, y))
    assert model.outputs == (8, 10, 5) and model.layer("conv").shape == (8, 10, 5)


# -- channels first, subclassed, mixed precision -------------------------------------------------


def test_channels_first() -> None:
    native = nets.channels_first()
    model = KerasModel(native)
    assert model.input.height == 12 and model.input.channels == 3
    shapes = {layer.name: layer.shape for layer in model.layers}
    assert shapes["conv"] == shapes["norm"] == shapes["relu"] == (12, 12, 5)
    assert shapes["pool"] == shapes["permute"] == (6, 6, 5)
    x = pictures(model)
    seen = model.trace(x, watch=("norm", "permute", "pool"), target=1)
    inner = keras.Function(native.inputs, [native.get_layer("norm").output])([np.moveaxis(x, -1, 1)])[0]
    assert error(seen.activations["norm"], np.moveaxis(numpy(inner), 1, -1)) < 1e-5
    assert np.array_equal(seen.activations["pool"], seen.activations["permute"])
    assert np.array_equal(seen.gradients["pool"], seen.gradients["permute"])
    replaced = model.trace(x, replace={"norm": seen.activations["norm"]}).scores
    assert np.array_equal(replaced, seen.scores)


def test_subclassed() -> None:
    native = nets.subclassed()
    model = KerasModel(native)
    assert model.can == {"gradients", "weights", "classes"} and model.input.height == 12
    assert [(layer.name, layer.kind, layer.shape) for layer in model.layers] == [
        ("conv", "convolution", ()), ("drop", "dropout", ()), ("pool", "pooling", ()), ("dense", "dense", ()),
    ]  # fmt: skip
    assert model.weights("conv")["kernel"].shape == (3, 3, 3, 4)
    x = pictures(model)
    for asked in ({"watch": ("conv",)}, {"replace": {"conv": np.zeros((1, 10, 10, 4), np.float32)}}):
        with pytest.raises(Unmet, match="functional API"):
            model.trace(x, **asked)
    real = native.dense.activation
    native.dense.activation = None
    wanted = reference_gradient(lambda at: keras.ops.sum(native(at, training=False)[:, 1]), x)
    native.dense.activation = real
    assert error(model.trace(x, watch=("input",), target=1).gradients["input"], wanted) < 1e-5


def test_a_softmax_that_cannot_be_undone_is_said() -> None:
    class Ends(keras.Model):
        def call(self, x: Any) -> Any:
            return keras.ops.softmax(keras.ops.mean(x, axis=(1, 2)) * 3.0)

    native = Ends(name="ends")
    native(np.zeros((1, 12, 12, 3), np.float32))
    model = KerasModel(native, preprocess={"size": 12})
    assert model.activation is None
    assert "cannot be undone" in model.facts["scores"] and "subclassed" in model.facts["scores"]
    x = pictures(model)
    assert error(model.probabilities(model.trace(x).scores), numpy(native(x, training=False))) < 1e-6
    assert KerasModel(nets.subclassed()).activation == "softmax"
    assert "scores" not in KerasModel(nets.functional()).facts


def test_subclassed_without_a_size() -> None:
    class Any4(keras.Model):
        def build(self, *_: Any) -> None:
            self.built = True

        def call(self, x: Any) -> Any:
            return keras.ops.mean(x, axis=(1, 2))

    native = Any4(name="any")
    native.build()
    with pytest.raises(BadInput, match="does not say what size"):
        KerasModel(native)
    assert KerasModel(native, preprocess={"size": 10}).outputs == (3,)


@slow_on_jax
def test_half_precision() -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = KerasModel(nets.functional())
    finally:
        keras.config.set_dtype_policy("float32")
    x = pictures(model)
    trace = model.trace(x, watch=("input", "pool"), target=2)
    plain = KerasModel(nets.functional()).trace(x, watch=("input", "pool"), target=2)
    assert trace.scores.dtype == trace.gradients["pool"].dtype == np.float32
    assert (
        error(trace.scores, plain.scores) < 0.05
        and error(trace.gradients["pool"], plain.gradients["pool"]) < 0.05
    )
    again = model.trace(x, replace={"pool": trace.activations["pool"]}).scores
    assert np.array_equal(again, trace.scores)


# -- a network that people have ------------------------------------------------------------------


@pytest.fixture
def mobilenet() -> Iterator[Any]:
    yield keras.applications.MobileNetV2(weights=None, classes=10, input_shape=(96, 96, 3))


@slow_on_jax
def test_mobilenet(mobilenet: Any) -> None:
    model = KerasModel(nets.shaken(mobilenet))
    assert len(model.layers) == 155 and model.activation == "softmax"
    x = pictures(model, 1)
    trace = model.trace(x, watch=("input", "block_5_add"), target=3)
    assert error(model.probabilities(trace.scores), numpy(mobilenet(x, training=False))) < 1e-4
    assert trace.gradients["input"].any() and trace.gradients["block_5_add"].shape == (1, 12, 12, 32)


@pytest.mark.skipif(ENGINE != "tensorflow", reason="one engine is enough; the fastest")
def test_mobilenet_as_a_backbone() -> None:
    backbone = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(96, 96, 3))
    backbone.trainable = False
    x = keras.Input((96, 96, 3))
    y = backbone(kl.Rescaling(1 / 127.5, -1.0)(x), training=False)
    y = kl.Dense(4, activation="softmax", name="new")(kl.GlobalAveragePooling2D()(y))
    native = keras.Model(x, y)
    model = KerasModel(native)
    name = f"{backbone.name}/block_5_add"
    trace = model.trace(pictures(model, 1), watch=(name, backbone.name), target=0)
    assert model.input.source == "Rescaling inside the model"
    assert trace.gradients[name].shape == (1, 12, 12, 32) and trace.gradients[name].any()
    fed = model.input.encode(pictures(model, 1))
    assert error(model.probabilities(trace.scores), numpy(native(fed, training=False))) < 1e-4
