"""The page while its model is still being opened: there at once, patient, and honest when nothing comes of it."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from browser import until, watch
from click.testing import CliRunner
from needs import need
from PIL import Image
from viewer_help import png_of
from viewer_loaders import Flag, Slow

from cnnlens.cli import main
from cnnlens.errors import CannotOpen
from cnnlens.viewer import Viewer, Worker, create_app, serve
from cnnlens.viewer.desks.desk import Loading, read_request
from cnnlens.viewer.process.crossing import Unforeseen

#: A viewer in a process of its own, whose model comes when there is a file `go` in the folder.
WAITS = """
import sys
from functools import partial
from pathlib import Path
sys.path.insert(0, {tests!r})
from viewer_loaders import comes_when_told
from cnnlens.viewer import Loader, serve
loader = Loader("tiny.pt", partial(comes_when_told, Path({folder!r})), 2_500_000)
serve(loader, [], port=0, token=False, open_browser=False)
"""
FRAMEWORKS = ("torch", "keras", "jax", "tensorflow")


def waits(folder: Path) -> str:
    """The code of such a viewer."""
    return WAITS.format(tests=str(Path(__file__).parent), folder=str(folder))


@pytest.fixture
def opening() -> Iterator[Callable[[Slow], Viewer]]:
    """A viewer whose model is being opened in a thread; what its opening raises is left to the page."""
    running: list[tuple[Slow, threading.Thread, Viewer]] = []

    def start(slow: Slow) -> Viewer:
        viewer = Viewer(slow.loader, [png_of(1), png_of(2)], token=False)

        def open_it() -> None:
            try:
                viewer.open()
            except (CannotOpen, Unforeseen):
                viewer.leave()

        running.append((slow, threading.Thread(target=open_it), viewer))
        running[-1][1].start()
        assert slow.begun.wait()
        return viewer

    yield start
    for slow, thread, viewer in running:
        slow.go.set()
        thread.join()
        viewer.close()


def get(url: str) -> Any:
    """The answer, JSON or text."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
        return json.loads(text) if "json" in answer.headers["Content-Type"] else text


def test_the_page_is_there_before_the_model(opening: Callable[[Slow], Viewer], tmp_path: Path) -> None:
    slow = Slow(tmp_path)
    viewer = opening(slow)
    page = get(viewer.url)
    assert not slow.done.is_set(), "the loader has not returned"
    assert "Opening slow &lt;b&gt;.pt" in page and "slow <b>" not in page and "11.7 MiB" in page
    told = get(viewer.url + "api/v1/state")
    assert told["opening"]["state"] == "loading" and told["opening"]["bytes"] == 12_300_000
    assert told["model"] is None and told["plugins"] is None and len(told["images"]) == 2
    drawn = f"{viewer.url}api/v1/images/{told['images'][0]['id']}/original.png"
    with urllib.request.urlopen(drawn, timeout=10) as answer:
        assert Image.open(io.BytesIO(answer.read())).size == (10, 12)
    assert not slow.done.is_set()
    threading.Timer(0.2, slow.go.set).start()
    while (told := get(viewer.url + "api/v1/state?wait=2"))["opening"]["state"] == "loading":
        pass
    assert told["opening"]["state"] == "ready" and told["model"]["name"] == "tiny"
    assert told["opening"]["elapsed"] == get(viewer.url + "api/v1/state")["opening"]["elapsed"]
    assert 'id="start"' in get(viewer.url)


def test_many_who_wait_at_once_say_nothing_in_the_terminal(
    opening: Callable[[Slow], Viewer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slow = Slow(tmp_path)
    viewer = opening(slow)
    with ThreadPoolExecutor(20) as pages:
        told = list(pages.map(get, [viewer.url + "api/v1/state?wait=0.5"] * 20))
    assert {one["opening"]["state"] for one in told} == {"loading"}
    assert [one.getMessage() for one in caplog.records] == []


def test_what_needs_the_model_says_when_to_come_again(tmp_path: Path) -> None:
    slow = Slow(tmp_path)
    desk = Worker(slow.loader, [png_of(1)])
    client = create_app(desk).test_client()
    image = desk.images()[0]["id"]
    asked = {"visualisers": [{"name": "saliency"}], "images": [image]}
    form = {"image": (io.BytesIO(png_of(3)), "a.png"), "visualiser": "saliency"}
    answers = [
        client.get("/api/v1/layers"), client.get("/api/v1/visualisers"),
        client.get("/api/v1/visualisers/grad-cam"), client.get(f"/api/v1/images/{image}/input.png"),
        client.post("/api/v1/jobs", json=asked), client.post("/api/v1/look", data=form),
    ]  # fmt: skip
    for answer in answers:
        assert (answer.status_code, answer.json["error"]["type"]) == (503, "Loading"), answer.request.path
        assert answer.headers["Retry-After"] == "1"
    for call in (desk.model, desk.layers, desk.visualisers, desk.plugins):
        with pytest.raises(Loading, match="still being opened"):
            call()
    slow.go.set()
    desk.open()
    desk.open()  # a second time does nothing
    told = desk.submit(read_request(asked))
    assert desk.job(told["id"], 10)["results"][0]["error"] is None
    desk.close()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CannotOpen("slow.pt is cut off: load it anew"), "slow.pt is cut off: load it anew"),
        (RuntimeError("/secret/path"), "something unforeseen (RuntimeError)"),
    ],
)
def test_a_failure_is_told_to_all_who_wait(error: Exception, words: str, tmp_path: Path) -> None:
    slow = Slow(tmp_path, error)
    desk = Worker(slow.loader)
    client = create_app(desk).test_client()
    slow.go.set()
    with pytest.raises(Exception, match=str(error)) as raised:
        desk.open()
    assert type(raised.value).__name__ == type(error).__name__
    told = client.get("/api/v1/state?wait=2").json["opening"]
    assert told["state"] == "failed" and words in told["error"]["message"]
    page = client.get("/").text
    assert words in page and "could not be opened" in page and "loading.js" not in page
    answer = client.get("/api/v1/layers")
    assert answer.status_code == 422 and words in answer.json["error"]["message"]
    assert "secret" not in page + answer.text
    desk.close()


def test_the_page_in_a_browser_becomes_the_viewer(
    chromium: Any, opening: Callable[[Slow], Viewer], tmp_path: Path
) -> None:
    slow, wrong = Slow(tmp_path), []
    viewer = opening(slow)
    page = chromium.new_page()
    watch(page, viewer.url, wrong)
    page.goto(viewer.url + "?layer=relu")
    assert page.locator("#waiting h2").inner_text() == "Opening slow <b>.pt"
    until(page, "document.querySelector('.photo img').naturalWidth > 1")
    until(page, "document.querySelector('#elapsed').textContent !== '0 s'")
    assert not slow.done.is_set()
    slow.go.set()
    page.wait_for_selector("#maps .sheet.ready", timeout=30_000)
    assert page.locator("#maps h2").inner_text() == "relu", "the address was kept"
    page.close()
    assert wrong == []


def test_the_page_in_a_browser_says_why_there_is_none(
    chromium: Any, opening: Callable[[Slow], Viewer], tmp_path: Path
) -> None:
    slow, wrong = Slow(tmp_path, CannotOpen("slow.pt holds <b>no</b> model")), []
    viewer = opening(slow)
    page = chromium.new_page(viewport={"width": 320, "height": 640})
    watch(page, viewer.url, wrong)
    page.goto(viewer.url)
    slow.go.set()
    page.wait_for_selector("#waiting .said", timeout=10_000)
    assert page.locator("#waiting .said").inner_text() == "slow.pt holds <b>no</b> model"
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.wait_for_timeout(500)
    page.close()
    assert wrong == []


def test_the_web_side_brings_in_no_framework_whatever_it_serves() -> None:
    """The demo, as the command line serves it: a picture, its maps in all shapes, and the end."""
    need("torch")
    need("efficientnet_lite_pytorch")
    code = f"""
import sys
from cnnlens.cli import main
main(["demo", "--port", "0", "--no-open", "--no-token"], standalone_mode=False)
print("held:", [name for name in {FRAMEWORKS} if name in sys.modules])
"""
    with started(code, "EfficientNet-Lite0") as (process, url):
        while get(url + "api/v1/state?wait=2")["opening"]["state"] == "loading":
            pass
        get(url)
        image = get(url + "api/v1/images")["images"][0]["id"]
        asked = {"visualisers": [{"name": "feature-maps"}, {"name": "grad-cam"}], "images": [image]}
        told = post(url + "api/v1/jobs", asked)
        while told["state"] in ("queued", "running"):
            told = get(f"{url}api/v1/jobs/{told['id']}?wait=2")
        for answer in told["results"]:
            assert answer["error"] is None
            for shape in ("", "/panels/0.png", *(f"/download.{one}" for one in ("npz", "html", "svg"))):
                assert fetch(f"{url}api/v1/results/{answer['id']}{shape}")
        assert fetch(f"{url}api/v1/images/{image}/input.png")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0 and "stopped" in out and err == ""
    assert out.splitlines()[-1] == "held: []"


def test_it_can_be_stopped_while_it_waits(tmp_path: Path) -> None:
    code = waits(tmp_path).replace("import sys\n", "import sys\nfrom cnnlens.cli import main\n")
    code = code.replace("serve(loader", "main.commands['view'].callback = lambda **_: serve(loader").rstrip()
    with started(f"{code}\nmain(['view', 'tiny.pt'])", "tiny.pt") as (process, url):
        assert "Opening tiny.pt" in get(url)
        assert Flag(tmp_path / "begun").wait()
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert time.monotonic() - begun < 10
    assert process.returncode == 1 and "Aborted!" in err and "Traceback" not in err


def fetch(url: str) -> bytes:
    """The answer's bytes."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())


def post(url: str, body: Any) -> Any:
    """The answer to a POST, JSON."""
    given = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), given)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


class started:
    """A viewer in a process of its own, and its address."""

    def __init__(self, code: str, name: str) -> None:
        self._name = name
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._process: Any = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)

    def __enter__(self) -> tuple[Any, str]:
        said = self._process.stdout.readline()
        assert said.startswith(f"cnnlens opens {self._name} at http://127.0.0.1:"), said
        return self._process, said.split()[-1]

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def tabs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was opened at."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    return opened


def test_a_command_that_fails_says_so_at_once(tmp_path: Path, tabs: list[str]) -> None:
    file = tmp_path / "words.pt"
    file.write_text("no checkpoint")
    ran = CliRunner().invoke(main, ["view", str(file), "--port", "0"])
    assert ran.exit_code == 1 and "Error: " in ran.stderr and "words.pt" in ran.stderr
    assert tabs == [], "what fails at once opens no browser"
    assert gone()


def gone() -> bool:
    """Whether the server of a command that failed leaves by itself."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if not [t for t in threading.enumerate() if t.name == "cnnlens-leave"]:
            return True
        time.sleep(0.05)
    return False


def test_a_page_that_waits_is_told_before_the_server_goes(
    tabs: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    slow, heard = Slow(tmp_path, CannotOpen("slow.pt is no model")), []

    def visitor() -> None:
        while not tabs:
            time.sleep(0.01)
        heard.append(get(tabs[0] + "api/v1/state")["opening"]["state"])
        slow.go.set()  # not by a clock: on a busy machine the process may take longer to start than any
        while (told := get(tabs[0] + "api/v1/state?wait=2")["opening"])["state"] == "loading":
            pass
        heard.append(told["error"]["message"])

    page = threading.Thread(target=visitor, daemon=True)
    page.start()
    with pytest.raises(CannotOpen):
        serve(slow.loader, port=0, token=False)
    page.join(10)
    assert heard == ["loading", "slow.pt is no model"] and len(tabs) == 1 and gone()
    with pytest.raises(urllib.error.URLError):
        get(tabs[0])
    assert "cnnlens opens slow <b>.pt at" in capsys.readouterr().out
