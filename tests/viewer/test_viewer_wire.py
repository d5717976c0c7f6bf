"""What crosses between the viewer and the model's process: exactly what was sent, or a typed error."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnnlens.diagram import Diagram, Edge, Node
from cnnlens.errors import BadSetting, CnnlensError, MissingPackage, PluginFailed, UnknownName
from cnnlens.panels import Bars, Curve, Heatmap, Note, Picture, Table, Tiles
from cnnlens.pointing import Link, Outline
from cnnlens.preprocess import InputSpec
from cnnlens.result import Result
from cnnlens.viewer.desks.desk import NotThere, error_of, read_request
from cnnlens.viewer.process.answers import input_of, read_facts, read_parts
from cnnlens.viewer.process.crossing import (
    Unforeseen,
    packed,
    read_error,
    send_error,
    unpacked,
)
from cnnlens.viewer.process.results import read_result, send_result
from cnnlens.viewer.process.wire import MOST_BODY, MOST_HEAD, Garbled, frame, read_frame

ODD = np.asarray([[np.nan, -0.0, np.inf], [1e-45, -np.inf, 3.0]], np.float32)
ODD.view(np.uint32)[0, 0] = 0x7FC12345  # a NaN with a payload of its own
PANELS = (
    Heatmap(ODD, signed=True, title="<b>", unit="score", means="high", limits=(-1.0, np.inf)),
    Tiles(np.ones((2, 3, 4)), ("a", "b"), limits=np.asarray([[0, 1], [np.nan, 2]]), marks={1: "dead"}),
    Tiles(np.zeros((1, 2, 2, 3)), ("kernel",), signed=True),
    Picture(np.full((2, 2, 1), 0.25), title="\ud800 alone"),
    Bars(np.asarray([1.0, np.nan]), ("x", "y"), limits=(0.0, 1.0)),
    Curve(np.arange(3.0), np.ones((2, 3)), ("one", "two"), x_unit="step"),
    Table(("name", "value"), [("a", 1), ("b", 0.5), ("c", True)], title="t"),
    Diagram(
        (Node("<b>", "1×1", "convolution", "all", 0.25, Link("unit", {"layer": "x"}, "its map")), Node("b")),
        (Edge(0, 1, "</svg>"),),
        "net",
        "of all",
    ),
    Note("a sentence"),
    Heatmap(ODD, outlines=(Outline((-1, 0.5, 2, 2), "window"),), opens=Link("unit", {"layer": "a", "n": 3})),
    Tiles(
        np.ones((2, 3, 4)),
        ("a", "b"),
        outlines=(Outline((0, 0, 1, 1), tile=1),),
        opens=Link("x", words="it", place="place", tile="unit", start=(-1, -1), step=(2, 2), within=(9, 9)),
    ),
    Bars(np.ones(2), ("x", "y"), opens=(Link("a"), Link("b", place="p"))),
)
FACTS = {
    "title": "T", "settings": {"layer": None, "size": (1, 2)}, "seconds": 0.1, "score": float("nan"),
    "big": 2**70, "list": [1, (2.5, "x")], "numbers": {3: "three"}, "t": {"t": [1]}, "d": {"d": [[1, 2]]},
}  # fmt: skip


def filled(data: bytes) -> Callable[[memoryview], None]:
    """Reads from bytes as from a pipe."""
    source = io.BytesIO(data)

    def fill(room: memoryview) -> None:
        if source.readinto(room) < len(room):
            raise EOFError

    return fill


def over(head: dict[str, Any], arrays: Any = ()) -> tuple[dict[str, Any], list[Any]]:
    """What arrives of a frame."""
    return read_frame(filled(b"".join(bytes(piece) for piece in frame(head, arrays))))


def test_every_panel_arrives_bit_by_bit() -> None:
    sent = Result(PANELS, FACTS, np.random.default_rng(0).random((4, 5, 3)).astype(np.float32))
    told, arrays = send_result(sent)
    head, arrived = over({"result": told}, arrays)
    got = read_result(head["result"], arrived)
    assert got.pixels.tobytes() == sent.pixels.tobytes() and got.pixels.dtype == np.float32
    assert repr(got.facts) == repr(sent.facts)
    assert [type(panel) for panel in got.panels] == [type(panel) for panel in PANELS]
    for mine, theirs in zip(PANELS, got.panels, strict=True):
        for name, value in vars(mine).items():
            other = getattr(theirs, name)
            assert type(other) is type(value), name
            if isinstance(value, np.ndarray):
                assert (other.dtype, other.shape) == (value.dtype, value.shape)
                assert other.tobytes() == value.tobytes() and not other.flags.writeable
            else:
                assert repr(other) == repr(value)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "?", "i4", "i8", ">f4"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_arrays_of_each_type_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    values = (np.random.default_rng(1).random(shape) * 3).astype(dtype)
    _, (arrived,) = over({}, [np.asarray(values, order="F")])
    assert arrived.shape == shape and arrived.dtype == values.dtype.newbyteorder("<")
    assert (arrived == values).all()


def raw(head: object, body: bytes = b"", size: int | None = None, length: int | None = None) -> bytes:
    """A frame of anything."""
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    sizes = (len(text) if length is None else length), (len(body) if size is None else size)
    return struct.pack("<IQ", *sizes) + text + body


@pytest.mark.parametrize(
    "data",
    [
        raw({"arrays": []}, length=MOST_HEAD + 1),
        raw({"arrays": []}, size=MOST_BODY + 1),
        raw({"arrays": []}, size=2**63),
        raw(b"cos\nsystem\n"),
        raw(b"[" * 100_000),
        raw(b"\xff\xfe"),
        raw(b"9" * 10_000),
        raw([1]),
        raw({}),
        raw({"arrays": {}}),
        raw({"arrays": [["<f4", [2]]]}, b"1234"),
        raw({"arrays": [["<f4", [2**62, 2**62]]]}, b"1234"),
        raw({"arrays": [["<f4", [-1, -1]]]}, b"1234"),
        raw({"arrays": [["|O", [1]]]}, b"12345678"),
        raw({"arrays": [["<f4", [True]]]}, b"1234"),
        raw({"arrays": [["<f4", [1.0]]]}, b"1234"),
        raw({"arrays": [["<f4", [1] * 9]]}, b"1234"),
        raw({"arrays": [[["<f4"], [1]]]}, b"1234"),
        raw({"arrays": [["<f4", [0]]] * 5000}),
    ],
)
def test_frames_that_may_not_come(data: bytes) -> None:
    with pytest.raises(Garbled):
        read_frame(filled(data))


def test_a_frame_that_is_cut_off_is_an_end() -> None:
    whole = b"".join(bytes(piece) for piece in frame({"say": "x"}, [ODD]))
    for length in (0, 5, 12, 20, len(whole) - 1):
        with pytest.raises(EOFError):
            read_frame(filled(whole[:length]))


def test_nothing_is_sent_that_would_not_be_taken() -> None:
    with pytest.raises(Garbled, match="MiB are more than one answer may have"):
        frame({}, [np.broadcast_to(np.float32(0), (MOST_BODY // 4,)), np.zeros(1)])
    with pytest.raises(Garbled, match="object"):
        frame({}, [np.asarray([None])])


def nested(depth: int) -> Any:
    """A list in a list in a list …"""
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["panels"][0].update(kind="Model"),
        lambda told: told["panels"][0].pop("kind"),
        lambda told: told["panels"][0]["fields"].pop("title"),
        lambda told: told["panels"][0]["fields"].update(more=1),
        lambda told: told["panels"][0]["fields"].update(title=3),
        lambda told: told["panels"][0]["fields"].update(values={"array": 99}),
        lambda told: told["panels"][0]["fields"].update(values={"array": -1}),
        lambda told: told["panels"][0]["fields"].update(values={"array": 1}),  # another's: three axes
        lambda told: told["panels"][0]["fields"].update(values="text"),
        lambda told: told["panels"][0]["fields"].update(limits=[1]),
        lambda told: told["panels"][0]["fields"].update(limits=["a", "b"]),
        lambda told: told["panels"][0]["fields"].update(signed="no"),
        lambda told: told["panels"][1]["fields"].update(names=["a"]),
        lambda told: told["panels"][1]["fields"].update(names=[["a"], {"d": []}]),
        lambda told: told["panels"][1]["fields"].update(marks={"d": [[7, "dead"]]}),
        lambda told: told["panels"][1]["fields"].update(marks={"d": [["0", "dead"]]}),
        lambda told: told["panels"][6]["fields"].update(rows=[[1]]),
        lambda told: told["panels"][6]["fields"].update(rows=7),
        lambda told: told["panels"][7]["fields"].update(nodes=[]),
        lambda told: told["panels"][7]["fields"].update(edges=3),
        lambda told: told["panels"][7]["fields"]["nodes"].append("b"),
        lambda told: told["panels"][7]["fields"]["nodes"][0]["d"][0].__setitem__(1, 7),
        lambda told: told["panels"][7]["fields"]["nodes"][0]["d"][4].__setitem__(1, 7),
        lambda told: told["panels"][7]["fields"]["nodes"][0]["d"][5].__setitem__(1, "unit"),
        lambda told: told["panels"][7]["fields"]["nodes"][0]["d"].pop(),
        lambda told: told["panels"][7]["fields"]["edges"][0]["d"][1].__setitem__(1, 9),
        lambda told: told["panels"][7]["fields"]["edges"][0]["d"][1].__setitem__(1, 0),
        lambda told: told["panels"][7]["fields"]["edges"][0]["d"][0].__setitem__(1, [0, 0]),
        lambda told: told["panels"][-3]["fields"].update(opens=3),
        lambda told: told["panels"][-3]["fields"].update(opens={"d": [["visualiser", "unit"]]}),
        lambda told: told["panels"][-3]["fields"].update(opens=[]),
        lambda told: told["panels"][-3]["fields"]["opens"]["d"][0].__setitem__(1, 7),
        lambda told: told["panels"][-3]["fields"]["opens"]["d"][1].__setitem__(1, {"d": [["a", [1]]]}),
        lambda told: told["panels"][-3]["fields"].update(outlines=None),
        lambda told: told["panels"][-3]["fields"]["outlines"][0]["d"][0].__setitem__(1, [1, 2, 3]),
        lambda told: told["panels"][-2]["fields"]["outlines"][0]["d"][2].__setitem__(1, 9),
        lambda told: told["panels"][-1]["fields"]["opens"].pop(),
        lambda told: told.update(panels={}),
        lambda told: told.update(facts=[1]),
        lambda told: told.update(facts={"x": 1}),
        lambda told: told.update(facts={"d": [[1, 2, 3]]}),
        lambda told: told.update(facts={"d": [[{"d": []}, 2]]}),
        lambda told: told.update(facts={"d": [["x", nested(100)]]}),
        lambda told: told.update(pixels={"array": 0}),
        lambda told: told.update(pixels="<img>"),
        lambda told: told.pop("pixels"),
    ],
)
def test_results_that_are_none(change: Callable[[Any], object]) -> None:
    told, arrays = send_result(Result(PANELS, FACTS, np.zeros((2, 2, 3), np.float32)))
    told = json.loads(json.dumps(told))
    change(told)
    with pytest.raises(Garbled):
        read_result(told, arrays)


def test_values_that_json_has_not() -> None:
    given = {"a": np.float32(0.5), "b": np.arange(2), "c": {1}, ("d", 1): np.str_("e"), "f": np.bool_(1)}
    told = json.loads(json.dumps(packed(given)))
    assert unpacked(told) == {"a": 0.5, "b": [0, 1], "c": "{1}", ("d", 1): "e", "f": True}


def test_our_errors_arrive_as_what_they_are() -> None:
    class Narrower(BadSetting):
        """One that the other side need not know."""

    for error in (
        NotThere("picture", "x", ("y",)), UnknownName("layer", "x", ("conv",)), PluginFailed("it broke"),
        MissingPackage("torch", "torch", "this"), Garbled("odd"),
    ):  # fmt: skip
        arrived = read_error(json.loads(json.dumps(send_error(error))))
        assert type(arrived) is type(error) and str(arrived) == str(error)
        assert arrived.exit_code == error.exit_code and error_of(arrived) == error_of(error)
    told = send_error(Narrower("no"))
    told["kinds"][0] = "NobodyKnowsThis"
    assert type(read_error(told)) is BadSetting


def test_other_errors_arrive_without_what_is_nobodys_business() -> None:
    try:
        raise KeyError("/secret/path")
    except KeyError as error:
        arrived = read_error(send_error(error))
    assert isinstance(arrived, Unforeseen) and not isinstance(arrived, (KeyError, CnnlensError))
    assert error_of(arrived) == error_of(KeyError("/secret/path")) and "/secret" not in str(error_of(arrived))
    assert "raise KeyError" in arrived.__notes__[0], "the terminal is told where"
    posing = send_error(ValueError("x")) | {"kinds": ["Refused", "CnnlensError"]}
    assert not isinstance(read_error(posing), CnnlensError)
    for odd in (
        {},
        None,
        send_error(ValueError()) | {"kinds": []},
        send_error(ValueError()) | {"message": 1},
    ):
        with pytest.raises(Garbled):
            read_error(odd)


def test_facts_are_held_to_what_the_page_can_be_told() -> None:
    spec = InputSpec(8, 9, mean=(0.1, 0.2, 0.3), std=(1.0,))
    good = {"model": {"input": spec.facts()}, "plugins": {}, "layers": [{}], "visualisers": []}
    assert input_of(read_facts(packed(good))["model"]) == spec
    huge = {"input": spec.facts() | {"height": 10**6, "width": 10**6}}
    for change in (
        {"model": huge}, {"model": {}}, {"model": None}, {"model": {"input": {"height": "x"}}}, {"plugins": []},
        {"layers": {}}, {"visualisers": [1]},
    ):  # fmt: skip
        with pytest.raises(Garbled):
            read_facts(packed(good | change))


def test_a_request_is_answered_with_its_own_parts() -> None:
    request = read_request({"visualisers": [{"name": "saliency"}], "images": ["i"], "targets": ["top1"]})
    good = {"id": "x", "visualiser": "saliency", "settings": {}, "image": "i", "target": "top1"}
    assert read_parts(packed([good]), request)[0].image == "i"
    for change in (
        {"id": 1}, {"visualiser": "other"}, {"settings": []}, {"image": "another"}, {"target": "like(/etc)"},
        {"image": ["i"]},
    ):  # fmt: skip
        with pytest.raises(Garbled):
            read_parts(packed([good | change]), request)
    with pytest.raises(Garbled):
        read_parts(packed([good] * 300), request)
    request = read_request({"visualisers": [{"name": "saliency"}], "images": ["i", "j"]})
    of_both = good | {"image": None, "images": ["i", "j"]}
    assert read_parts(packed([of_both]), request)[0].images == ("i", "j")
    for images in (["i"], ["j", "i"], ["i", "j", "k"], "ij", 3, {"i": "j"}, [["i", "j"]]):
        with pytest.raises(Garbled):
            read_parts(packed([of_both | {"images": images}]), request)
    with pytest.raises(Garbled):
        read_parts(packed([of_both | {"image": "i"}]), request)
