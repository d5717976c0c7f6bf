"""Keras files that hold code, reach outside of themselves, or declare what they do not store."""

from __future__ import annotations

import functools
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile import hostile


@functools.cache
def model_bytes(suffix: str) -> bytes:
    """A small honest model as Keras writes it."""
    import keras

    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="conv"),
              keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, name="dense")]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"m{suffix}"
        keras.Sequential(layers, name="net").save(file)
        return file.read_bytes()


def with_config(change: Callable[[dict[str, Any]], None], weights: bytes | None = None) -> bytes:
    """A `.keras` file whose configuration has been changed, or its weights."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(model_bytes(".keras"))) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                change(config)
                data = json.dumps(config).encode()
            elif name.endswith(".h5") and weights is not None:
                data = weights
            new.writestr(name, data)
    return file.getvalue()


def layer(name: str, **config: Any) -> Callable[[dict[str, Any]], None]:
    """Put a layer behind the others."""

    def change(config_of_model: dict[str, Any]) -> None:
        told = {"module": "keras.layers", "class_name": name, "registered_name": None,
                "config": {"name": "odd", **config}}  # fmt: skip
        config_of_model["config"]["layers"].append(told)

    return change


def lambda_config(canary: Path) -> dict[str, Any]:
    import base64
    import marshal

    source = f"lambda x: (__import__('os').system('touch {canary}'), x)[1]"
    code = base64.b64encode(marshal.dumps(eval(source).__code__)).decode()
    return {
        "function": {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}
    }


@hostile(".keras")
def lambda_in_keras(path: Path, canary: Path) -> None:
    path.write_bytes(with_config(layer("Lambda", **lambda_config(canary))))


@hostile(".h5")
def lambda_in_h5(path: Path, canary: Path) -> None:
    def change(file: Any) -> None:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"].append(
            {"class_name": "Lambda", "config": {"name": "odd", **lambda_config(canary)}}
        )
        file.attrs["model_config"] = json.dumps(config)

    changed_h5(path, change)


@hostile(".h5")
def lambda_of_keras_2(path: Path, canary: Path) -> None:
    def change(file: Any) -> None:
        config = json.loads(file.attrs["model_config"])
        code = lambda_config(canary)["function"]["config"]["code"]
        old = {"name": "odd", "function": [code, None, None], "function_type": "lambda", "arguments": {}}
        config["config"]["layers"].append({"class_name": "Lambda", "config": old})
        file.attrs["model_config"] = json.dumps(config)

    changed_h5(path, change)


@hostile(".keras")
def tensorflow_program(path: Path, canary: Path) -> None:
    path.write_bytes(with_config(layer("TFSMLayer", filepath=str(canary.parent), call_endpoint="serve")))


@hostile(".keras", "CannotOpen")
def class_of_another_module(path: Path, canary: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][0] |= {"module": "os", "class_name": "system", "registered_name": "system"}
        config["config"]["layers"][0]["config"] = {"command": f"touch {canary}"}

    path.write_bytes(with_config(change))


@hostile(".keras", "CannotOpen")
def function_of_another_module(path: Path, canary: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1]["config"]["activation"] = {
            "module": "os", "class_name": "function", "config": "system", "registered_name": "system"
        }  # fmt: skip

    path.write_bytes(with_config(change))


@hostile(".keras", "CannotOpen")
def module_that_is_not_there(path: Path, canary: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config |= {"module": "keras_cnnlens_evil.models", "class_name": "Net", "registered_name": "Net"}

    path.write_bytes(with_config(change))


@hostile(".keras")
def config_turns_safe_mode_off(path: Path, canary: Path) -> None:
    """As CVE-2025-9906: a configuration that calls the switch before the Lambda."""

    def change(config: dict[str, Any]) -> None:
        name = "enable_unsafe_deserialization"
        switch = {"module": "keras.config", "class_name": "function", "registered_name": name, "config": name}
        config["config"]["layers"].insert(0, switch)
        layer("Lambda", **lambda_config(canary))(config)

    path.write_bytes(with_config(change))


@hostile(".keras")
def layer_of_a_trillion_units(path: Path, canary: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1]["config"]["units"] = 10**9

    path.write_bytes(with_config(change))


@hostile(".keras", "CannotOpen")
def config_that_is_no_json(path: Path, canary: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", '{"a":' * 100_000)
    path.write_bytes(file.getvalue())


def changed_h5(path: Path, change: Callable[[Any], None], suffix: str = ".h5") -> None:
    """An honest file with something put into it."""
    import h5py

    path.write_bytes(model_bytes(suffix))
    with h5py.File(path, "r+") as file:
        change(file)


def replaced_kernel(path: Path, put: Callable[[Any], None]) -> None:
    def change(file: Any) -> None:
        group = file["model_weights/dense/net/dense"]
        del group["kernel"]
        put(group)

    changed_h5(path, change)


@hostile(".h5")
def link_to_another_file(path: Path, canary: Path) -> None:
    import h5py

    replaced_kernel(path, lambda group: group.__setitem__("kernel", h5py.ExternalLink("/etc/passwd", "/x")))


@hostile(".h5")
def soft_link(path: Path, canary: Path) -> None:
    import h5py

    replaced_kernel(path, lambda group: group.__setitem__("kernel", h5py.SoftLink("/model_weights")))


@hostile(".h5")
def dataset_of_another_file(path: Path, canary: Path) -> None:
    """CVE-2026-1669: the raw bytes of any file become weights."""
    replaced_kernel(
        path, lambda group: group.create_dataset("kernel", (4, 3), "f4", external=[("/etc/passwd", 0, 48)])
    )


@hostile(".h5")
def virtual_dataset(path: Path, canary: Path) -> None:
    import h5py

    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (4, 3))
    replaced_kernel(path, lambda group: group.create_virtual_dataset("kernel", layout))


@hostile(".h5")
def h5_bomb(path: Path, canary: Path) -> None:
    """256 GiB declared, of which nothing is stored."""
    side = 1 << 18
    replaced_kernel(path, lambda group: group.create_dataset("kernel", (side, side), "f4", chunks=(64, 64)))


@hostile(".h5")
def h5_bomb_of_zeros(path: Path, canary: Path) -> None:
    import numpy as np

    def put(group: Any) -> None:
        group.create_dataset("kernel", data=np.zeros(48 << 20, "f4"), compression="gzip", compression_opts=1)

    replaced_kernel(path, put)


@hostile(".h5")
def h5_chunk_that_unpacks_to_more(path: Path, canary: Path) -> None:
    """The chunk declares 256 KiB and unpacks to 200 MB: HDF5 unpacks it all before it looks."""
    import zlib

    def put(group: Any) -> None:
        data = group.create_dataset("kernel", (256, 256), "f4", chunks=(256, 256), compression="gzip")
        data.id.write_direct_chunk((0, 0), zlib.compress(bytes(200_000_000), 1))

    replaced_kernel(path, put)


@hostile(".h5")
def h5_of_a_huge_chunk(path: Path, canary: Path) -> None:
    def put(group: Any) -> None:
        data = group.create_dataset("kernel", (4, 3), "f4", chunks=(1 << 15, 1 << 14), maxshape=(None, None))
        data.id.write_direct_chunk((0, 0), bytes(48))

    replaced_kernel(path, put)


@hostile(".h5")
def groups_in_groups(path: Path, canary: Path) -> None:
    def change(file: Any) -> None:
        group = file["model_weights"]
        for _ in range(300):
            group = group.create_group("g")

    changed_h5(path, change)


@hostile(".h5")
def h5_and_zip_at_once(path: Path, canary: Path) -> None:
    path.write_bytes(model_bytes(".h5") + model_bytes(".keras"))


@hostile(".keras")
def link_within_the_weights(path: Path, canary: Path) -> None:
    import h5py

    def change(file: Any) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/x")

    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / "w.h5"
        with zipfile.ZipFile(io.BytesIO(model_bytes(".keras"))) as archive:
            inner.write_bytes(archive.read("model.weights.h5"))
        with h5py.File(inner, "r+") as file:
            change(file)
        path.write_bytes(with_config(lambda _: None, inner.read_bytes()))


@hostile(".keras")
def keras_zip_bomb(path: Path, canary: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", bytes(128 << 20))
        archive.writestr("model.weights.h5", b"")
    path.write_bytes(file.getvalue())
