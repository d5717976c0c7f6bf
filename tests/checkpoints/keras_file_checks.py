"""What opening Keras files must do; `test_keras_files.py` runs this on one engine, with Keras 2's files."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import keras1_files
import numpy as np
import pytest
from keras import layers as kl

import cnnlens
from cnnlens.errors import CannotOpen, Mismatch, Refused, UsageError

OLD = Path(os.environ["CNNLENS_TEST_KERAS2"])
PREDICTED = np.load(OLD / "predictions.npz")

OWN = """
import keras

class Scale(keras.layers.Layer):
    def __init__(self, times=2.0, **told):
        super().__init__(**told)
        self.times = times
    def build(self, shape):
        self.slope = self.add_weight(name="slope", shape=(shape[-1],))
        self.shift = self.add_weight(name="shift", shape=(shape[-1],))
    def call(self, x):
        return self.times * x * self.slope + self.shift
    def get_config(self):
        return {**super().get_config(), "times": self.times}

class Shift(Scale):
    pass

def twice(x):
    return 2.0 * x

def net(classes=3, depth=1):
    x = keras.Input((8, 8, 3))
    y = x
    for _ in range(depth):
        y = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(y)
    y = keras.layers.Dropout(0.1)(keras.layers.GlobalAveragePooling2D()(y))
    return keras.Model(x, keras.layers.Dense(classes)(y))

def renamed(classes=3):
    x = keras.Input((8, 8, 3), name="other")
    y = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="one")(x)
    y = keras.layers.Dropout(0.1)(keras.layers.GlobalAveragePooling2D()(y))
    return keras.Model(x, keras.layers.Dense(classes, name="two")(y))

def number():
    return 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return file


def net_of(own: Path, name: str = "net", **told: Any) -> Any:
    scope: dict[str, Any] = {}
    exec(own.read_text(), scope)
    model, rng = scope[name](**told), np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.3, weight.shape))
    return model


def predicted(model: cnnlens.Model, x: Any) -> Any:
    """What the opened Keras model itself says."""
    return keras.ops.convert_to_numpy(model.native(x, training=False))


def difference(model: cnnlens.Model, name: str) -> float:
    return float(np.abs(predicted(model, PREDICTED["x"]) - PREDICTED[name]).max())


# -- whole models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("name", ["sequential", "graph", "adapted", "half"])
def test_keras_2(name: str, suffix: str) -> None:
    model = cnnlens.load(OLD / f"{name}{suffix}")
    assert difference(model, name) <= (5e-3 if name == "half" else 1e-5)
    assert model.facts["written_by"].startswith("Keras 2.")
    assert any("read into Keras 3" in note for note in model.facts["opening_notes"])
    x = model.native.inputs[0]
    assert model.input.height == x.shape[1] and not model.cannot


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_scores_of_keras_2_are_before_its_softmax(suffix: str) -> None:
    model = cnnlens.load(OLD / f"graph{suffix}")
    x = PREDICTED["x"]
    assert np.abs(model.probabilities(model.trace(x).scores) - PREDICTED["graph"]).max() <= 1e-5


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_keras_2_with_channels_first(suffix: str) -> None:
    model = cnnlens.load(OLD / f"first{suffix}")
    assert model.native.input_shape == (None, 3, 12, 12) and model.outputs == (3,)
    with h5py.File(OLD / "first.h5") as file:
        kernels = [v[:] for g in file["model_weights"].values() for v in _arrays(g) if v.ndim == 4]
    (layer,) = [one for one in model.layers if one.kind == "convolution"]
    assert np.array_equal(model.weights(layer.name)["kernel"], kernels[0])


def _arrays(group: Any) -> list[Any]:
    found: list[Any] = []
    group.visititems(lambda _, one: found.append(one) if hasattr(one, "shape") else None)
    return found


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".hdf5"])
def test_keras_3(tmp_path: Path, own: Path, suffix: str) -> None:
    net = net_of(own)
    net.save(tmp_path / f"net{suffix}")
    model = cnnlens.load(tmp_path / f"net{suffix}")
    x = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    assert np.abs(predicted(model, x) - keras.ops.convert_to_numpy(net(x))).max() <= 1e-5
    assert keras.__version__ in model.facts["written_by"] or suffix == ".keras"
    assert model.facts["engine"].startswith(keras.config.backend())
    assert not model.native.compiled


@pytest.mark.parametrize("name", ["graph.h5", "graph.keras"])
def test_the_suffix_does_not_decide(tmp_path: Path, name: str) -> None:
    for wrong in ("x.bin", "x", "x.h5" if name.endswith("keras") else "x.keras"):
        shutil.copy(OLD / name, tmp_path / wrong)
        assert difference(cnnlens.load(tmp_path / wrong), "graph") <= 1e-5
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({"x.bin", "x", wrong})


def test_keras_3_files_under_other_names(tmp_path: Path, own: Path) -> None:
    net = net_of(own)
    x = np.ones((1, 8, 8, 3), np.float32)
    for name in ("a.keras", "a.h5"):
        net.save(tmp_path / name)
        (tmp_path / name).rename(tmp_path / "model.bin")
        assert np.allclose(
            predicted(cnnlens.load(tmp_path / "model.bin"), x), keras.ops.convert_to_numpy(net(x))
        )


# -- somebody's own layers, and code --------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_own_layers(own: Path, suffix: str) -> None:
    file = OLD / f"own{suffix}"
    with pytest.raises(
        CannotOpen, match=r"layer 'scale' needs the class Scale.*written by Keras 2\..*--custom"
    ):
        cnnlens.load(file)
    scope: dict[str, Any] = {}
    exec(OWN, scope)
    with pytest.raises(CannotOpen, match=r"the class Shift of the package guest"):
        cnnlens.load(file, custom={"Scale": scope["Scale"]})
    with pytest.raises(CannotOpen, match=r"needs the function twice"):
        cnnlens.load(file, custom={"Scale": scope["Scale"], "Shift": scope["Shift"]})
    model = cnnlens.load(file, custom=own)
    assert difference(model, "own") <= 1e-5 and "--custom" in model.facts["opening_notes"][-1]
    assert (
        difference(cnnlens.load(file, custom={k: scope[k] for k in ("Scale", "Shift", "twice")}), "own")
        <= 1e-5
    )


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_own_layers_of_keras_3(tmp_path: Path, own: Path, suffix: str) -> None:
    scope: dict[str, Any] = {"__name__": "somewhere.else"}
    exec(OWN, scope)
    net = keras.Sequential([keras.Input((8, 8, 3)), scope["Scale"](2.0), kl.Flatten(), kl.Dense(2)])
    net.save(tmp_path / f"net{suffix}")
    with pytest.raises(CannotOpen, match="needs the class Scale") as told:
        cnnlens.load(tmp_path / f"net{suffix}")
    assert suffix == ".h5" or "of the module somewhere.else" in str(told.value)
    model = cnnlens.load(tmp_path / f"net{suffix}", custom=own)
    x = np.ones((1, 8, 8, 3), np.float32)
    assert np.allclose(predicted(model, x), keras.ops.convert_to_numpy(net(x)), atol=1e-5)


def test_wrong_customs(tmp_path: Path, own: Path) -> None:
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1")
    for custom, told in (
        (empty, "defines no keras.Layer"),
        ("net.txt", "is a Python file"),
        ({"a": 3}, "maps names to classes"),
        (tmp_path / "no.py", "no such file"),
    ):
        with pytest.raises((UsageError, CannotOpen), match=told):
            cnnlens.load(OLD / "own.h5", custom=custom)


def test_a_layer_of_tensorflow_hub(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "hub.h5", "w") as file:
        shape = {"name": "hub", "batch_input_shape": [None, 8, 8, 3], "handle": "https://tfhub.dev/x"}
        layers = [{"class_name": "KerasLayer", "config": shape}]
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), "2.4.0"
        file.create_group("model_weights").attrs["layer_names"] = np.array([], "S1")
    with pytest.raises(CannotOpen, match=r"'hub' needs the class KerasLayer.*Keras 2\.4\.0.*TensorFlow Hub"):
        cnnlens.load(tmp_path / "hub.h5")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_lambda_layers_are_refused_and_opened_only_with_trust(suffix: str) -> None:
    with pytest.raises(Refused, match=r"layer 'lambda' is a Lambda.*--trust") as refusal:
        cnnlens.load(OLD / f"code{suffix}")
    assert refusal.value.exit_code == 3
    assert difference(cnnlens.load(OLD / f"code{suffix}", trust=True), "code") <= 1e-5


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_lambda_layers_of_keras_3(tmp_path: Path, suffix: str) -> None:
    net = keras.Sequential([keras.Input((8, 8, 3)), kl.Lambda(lambda t: t + 1.0, name="plus"), kl.Flatten()])
    net.save(tmp_path / f"net{suffix}")
    with pytest.raises(Refused, match="layer 'plus' is a Lambda"):
        cnnlens.load(tmp_path / f"net{suffix}")
    model = cnnlens.load(tmp_path / f"net{suffix}", trust=True)
    assert float(predicted(model, np.zeros((1, 8, 8, 3), np.float32)).min()) == 1.0


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_calls_of_tensorflow_are_named(suffix: str) -> None:
    with pytest.raises(CannotOpen, match=r"'tf\.math\.multiply' is a TFOpLambda"):
        cnnlens.load(OLD / f"calls{suffix}")


def test_another_architecture_in_place_of_the_files_own(tmp_path: Path, own: Path) -> None:
    code = tmp_path / "calls.py"
    code.write_text(
        "import keras\nfrom keras import layers as kl\ndef net():\n    x = keras.Input((12, 12, 3))\n"
        "    y = kl.Rescaling(2.0, 1.0)(kl.Conv2D(4, 3)(x))\n"
        "    y = kl.GlobalAveragePooling2D()(kl.Cropping2D(((1, 0), (0, 0)))(y))\n"
        "    return keras.Model(x, y)\n"
    )
    for suffix in (".h5", ".keras"):
        model = cnnlens.load(OLD / f"calls{suffix}", arch=f"{code}:net")
        assert difference(model, "calls") <= 1e-5
        assert "the architecture is the one given" in model.facts["opening_notes"][0]


# -- weights and architectures ----------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["legacy", "places"])
@pytest.mark.parametrize("name", ["sequential", "graph"])
def test_keras_2_weights_with_their_json_beside_them(folder: str, name: str) -> None:
    file = next((OLD / folder).glob(f"{name}*.h5"))
    model = cnnlens.load(file)
    assert difference(model, name) <= 1e-5
    assert model.facts["opening_notes"][0].startswith(f"architecture from {name}.json (20")


def test_weights_without_an_architecture(tmp_path: Path) -> None:
    shutil.copy(OLD / "legacy" / "graph.h5", tmp_path / "w.h5")
    with pytest.raises(UsageError, match=r"no architecture: say --arch .*or put what model\.to_json\(\)"):
        cnnlens.load(tmp_path / "w.h5")


@pytest.mark.parametrize("name", ["w.weights.h5", "w.bin"])
def test_keras_3_weights_and_code(tmp_path: Path, own: Path, name: str) -> None:
    net = net_of(own)
    net.save_weights(tmp_path / "w.weights.h5")
    (tmp_path / "w.weights.h5").rename(tmp_path / name)
    model = cnnlens.load(tmp_path / name, arch=f"{own}:net")
    x = np.ones((1, 8, 8, 3), np.float32)
    assert np.allclose(predicted(model, x), keras.ops.convert_to_numpy(net(x)), atol=1e-6)


@pytest.mark.parametrize("whole", [False, True])
def test_keras_3_weights_that_do_not_fit(tmp_path: Path, own: Path, whole: bool) -> None:
    net, arch, file = net_of(own, depth=2), f"{own}:net", tmp_path / ("w.h5" if whole else "w.weights.h5")
    (net.save if whole else net.save_weights)(file)
    with pytest.raises(Mismatch, match=r"do not fit .*own\.py:net: .*3 classes: build the architecture with"):
        cnnlens.load(file, arch=arch, arch_args={"depth": 2, "classes": 7})
    with pytest.raises(Mismatch, match=r"unexpected: .*conv2d_\d.*another depth"):
        cnnlens.load(file, arch=arch)
    with pytest.raises(Mismatch, match=r"missing in the file: .*conv2d_\d"):
        cnnlens.load(file, arch=arch, arch_args={"depth": 3})
    with pytest.raises(UsageError, match="returned a int"):
        cnnlens.load(file, arch=f"{own}:number")


def test_layers_of_other_names_are_taken_in_order_and_said(tmp_path: Path, own: Path) -> None:
    net = net_of(own)
    net.save(tmp_path / "w.h5")
    model = cnnlens.load(tmp_path / "w.h5", arch=f"{own}:renamed")
    x = np.ones((1, 8, 8, 3), np.float32)
    assert np.allclose(predicted(model, x), keras.ops.convert_to_numpy(net(x)), atol=1e-6)
    assert any("in the order of the layers" in note for note in model.facts["opening_notes"])


def test_keras_applications_fetch_nothing(tmp_path: Path) -> None:
    small = {"input_shape": [32, 32, 3], "classes": 4, "alpha": 0.25, "weights": None}
    net = keras.applications.MobileNet(**small)
    net.save_weights(tmp_path / "w.weights.h5")
    del small["weights"]
    model = cnnlens.load(tmp_path / "w.weights.h5", arch="keras.applications:MobileNet", arch_args=small)
    assert np.array_equal(model.native.get_weights()[0], net.get_weights()[0])


# -- Picasso's folders ------------------------------------------------------------------------------------


def test_the_newest_of_a_folder(tmp_path: Path) -> None:
    shutil.copy(OLD / "legacy" / "graph.h5", tmp_path / "epoch9.hdf5")
    shutil.copy(OLD / "legacy" / "sequential.h5", tmp_path / "epoch10.h5")
    shutil.copy(OLD / "legacy" / "graph.json", tmp_path / "model.json")
    shutil.copy(OLD / "legacy" / "sequential.json", tmp_path / "older.json")
    (tmp_path / "labels.json").write_text('["a", "b"]')
    for name, when in (
        ("epoch9.hdf5", 1.5e9),
        ("epoch10.h5", 1.4e9),
        ("model.json", 1.5e9),
        ("older.json", 1.4e9),
    ):
        os.utime(tmp_path / name, (when, when))
    model = cnnlens.load(tmp_path)
    assert difference(model, "graph") <= 1e-5 and model.facts["checkpoint"] == "epoch9.hdf5"
    assert model.facts["opening_notes"][0].startswith("weights from epoch9.hdf5 (2017-07-1")
    assert model.facts["opening_notes"][0].endswith("the newest of 2")
    assert model.facts["opening_notes"][1].startswith("architecture from model.json (2017-07-1")


def test_folders_without_an_architecture_of_their_own(tmp_path: Path) -> None:
    shutil.copy(OLD / "graph.h5", tmp_path / "whole.h5")
    assert difference(cnnlens.load(tmp_path), "graph") <= 1e-5
    (tmp_path / "whole.h5").unlink()
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(CannotOpen, match="a SavedModel of TensorFlow"):
        cnnlens.load(tmp_path)


@pytest.mark.parametrize("end", ["", ":0"])
def test_keras_1_with_channels_first(tmp_path: Path, end: str) -> None:
    folder, x, wanted = keras1_files.theano_like(tmp_path / "m", end)
    model = cnnlens.load(folder)
    assert np.abs(model.probabilities(model.trace(x[None]).scores)[0] - wanted).max() <= 1e-5
    told = " ".join(model.facts["opening_notes"])
    assert ("kernels turned round" in told) == (not end)
    assert "Convolution2D is Conv2D" in told and "hard_sigmoid" in told
    assert "Keras 1" in model.facts["written_by"]


def test_keras_1_with_a_graph(tmp_path: Path) -> None:
    folder, x, wanted = keras1_files.graph(tmp_path / "m")
    model = cnnlens.load(folder)
    assert np.abs(model.probabilities(model.trace(x[None]).scores)[0] - wanted).max() <= 1e-5
    assert "nested/in" in [layer.name for layer in model.layers]


def test_keras_1_whole_models(tmp_path: Path) -> None:
    folder, x, wanted = keras1_files.graph(tmp_path / "m")
    with h5py.File(tmp_path / "whole.h5", "w") as whole, h5py.File(folder / "weights.hdf5") as weights:
        whole.attrs["keras_version"] = b"1.2.2"
        whole.attrs["model_config"] = (folder / "model.json").read_bytes()
        weights.copy(weights, whole, "model_weights")
    model = cnnlens.load(tmp_path / "whole.h5")
    assert np.abs(model.probabilities(model.trace(x[None]).scores)[0] - wanted).max() <= 1e-5


def test_what_theano_padded_otherwise_is_said(tmp_path: Path) -> None:
    folder, _, _ = keras1_files.theano_like(tmp_path / "m", border_mode="same", subsample=[2, 2])
    with pytest.raises(CannotOpen, match="'conv' is a Conv2D trained on Theano with the padding 'same'"):
        cnnlens.load(folder)


def test_the_command_line(tmp_path: Path, own: Path) -> None:
    from click.testing import CliRunner

    from cnnlens.cli import main

    def run(*words: object) -> Any:
        return CliRunner().invoke(main, [str(word) for word in words])

    shutil.copy(OLD / "legacy" / "graph.h5", tmp_path / "weights.h5")
    shutil.copy(OLD / "legacy" / "graph.json", tmp_path / "model.json")
    done = run("layers", tmp_path)
    assert done.exit_code == 0 and "inner/" in done.output
    assert run("layers", OLD / "own.keras", "--custom", own).exit_code == 0
    refused = run("layers", OLD / "code.h5")
    assert refused.exit_code == 3 and "--trust" in refused.output
    assert run("layers", OLD / "code.h5", "--trust").exit_code == 0
    assert run("layers", OLD / "own.keras").exit_code == 1


# -- broken files -----------------------------------------------------------------------------------------


def test_files_of_something_else(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["table"] = np.zeros(3)
    with pytest.raises(CannotOpen, match="not one of Keras: it holds table"):
        cnnlens.load(tmp_path / "x.h5")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file.attrs["nb_layers"] = 3
    with pytest.raises(CannotOpen, match=r"Keras before 1\.0"):
        cnnlens.load(tmp_path / "y.h5")
    with zipfile.ZipFile(tmp_path / "z.keras", "w") as archive:
        archive.writestr("config.json", "{")
        archive.writestr("metadata.json", "{}")
    with pytest.raises(CannotOpen, match="that is no JSON"):
        cnnlens.load(tmp_path / "z.keras")


@pytest.mark.parametrize("name", ["graph.h5", "graph.keras", "legacy/graph.h5"])
def test_damaged_files_are_told_as_such(tmp_path: Path, name: str) -> None:
    whole, rng = (OLD / name).read_bytes(), np.random.default_rng(7)
    shutil.copy(OLD / "legacy" / "graph.json", tmp_path / "model.json")
    told = 0
    for turn in range(12):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole) // 4, 8):
            damaged[place] = int(rng.integers(256))
        file = tmp_path / Path(name).name
        file.write_bytes(damaged if turn % 2 else whole[: int(rng.integers(8, len(whole)))])
        try:
            cnnlens.load(file)
        except cnnlens.errors.CnnlensError:
            told += 1
    assert told >= 9  # the others had a weight changed, which nothing could know


def test_weights_kept_in_another_file(tmp_path: Path) -> None:
    folder, _, _ = keras1_files.theano_like(tmp_path / "m", ":0")
    (folder / "weights.hdf5").rename(tmp_path / "other.hdf5")
    with h5py.File(folder / "weights.hdf5", "w") as file, h5py.File(tmp_path / "other.hdf5") as other:
        for key, value in other.attrs.items():
            file.attrs[key] = value
        for name in other:
            file[name] = h5py.ExternalLink(str(tmp_path / "other.hdf5"), name)
    with pytest.raises(Refused, match="in another file"):
        cnnlens.load(folder)


def test_the_device_is_keras_own_affair() -> None:
    assert cnnlens.load(OLD / "graph.h5", device="cpu").device == "cpu"
    with pytest.raises(UsageError, match="Keras places its models itself"):
        cnnlens.load(OLD / "graph.h5", device="cuda")
