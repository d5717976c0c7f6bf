"""The wheel: what is built and put elsewhere serves every page, script and style, and asks for its token."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from needs import need_installed
from viewer_help import API, BEARER, TOKEN, check_headers

ROOT = Path(__file__).parents[2]
#: Serves from what is on its path alone, and says where the package lies.
SERVE = """
import sys
import cnnlens, cnnlens.viewer
from cnnlens.testing import tiny_model
print(cnnlens.__file__, flush=True)
cnnlens.viewer.serve(tiny_model(), [], port=0, token=sys.argv[1], root_path=sys.argv[2], open_browser=False)
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, unpacked."""
    need_installed("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_holds_what_the_checkout_holds(unpacked: Path) -> None:
    for folder in ("cnnlens/viewer/static", "cnnlens/viewer/templates"):
        ours = {
            file.relative_to(ROOT): file.read_bytes() for file in (ROOT / folder).rglob("*") if file.is_file()
        }
        assert ours and all((unpacked / file).read_bytes() == data for file, data in ours.items())


def test_the_wheel_brings_the_demo_of_cats_and_dogs(unpacked: Path, tmp_path: Path) -> None:
    """Its weights open from what is installed alone, in a process that knows nothing of the checkout."""
    need_installed("torch")
    folder = ROOT / "examples" / "cats_and_dogs"
    kept = [file for file in folder.iterdir() if file.is_file()]
    installed = unpacked / "cnnlens_examples" / "cats_and_dogs"
    assert len(kept) >= 7
    assert all((installed / file.name).read_bytes() == file.read_bytes() for file in kept)
    script = "from cnnlens.demo import *; print(demo_weights('cats-and-dogs')); demo_model('cats-and-dogs')"
    run = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(unpacked)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).parent == installed


@pytest.fixture(params=["", "/lab/cnnlens"])
def address(unpacked: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A viewer of the wheel, in a process that knows nothing of the checkout."""
    env = os.environ | {"PYTHONPATH": str(unpacked)}
    command = [sys.executable, "-P", "-c", SERVE, TOKEN, request.param]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        where = process.stdout.readline().strip()
        assert Path(where).is_relative_to(unpacked), where or process.communicate(timeout=10)
        url = process.stdout.readline().split()[-1]
        assert url.endswith(f"{request.param}/?token={TOKEN}")
        yield url.partition("?")[0]
    finally:
        process.kill()
        process.communicate(timeout=10)


def fetched(url: str) -> bytes:
    """What is answered to who brings the token, its headers checked."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=BEARER), timeout=10) as answer:
        check_headers(answer.headers.items(), url)
        return bytes(answer.read())


def test_every_file_of_the_page_is_served(unpacked: Path, address: str) -> None:
    page = fetched(address).decode()
    wanted = {urljoin(address, one) for one in re.findall(r'(?:src|href)="([^"#]+)"', page) if ":" not in one}
    seen: set[str] = set()
    while todo := wanted - seen:
        for url in todo:
            text = fetched(url).decode()
            wanted |= {
                urljoin(url, one) for one in re.findall(r'from "(\./[^"]+)"', text) if url.endswith(".js")
            }
            seen.add(url)
    static = address + "static/"
    known = {file.name for file in (unpacked / "cnnlens/viewer/static").glob("*")}
    loading = {"loading.js"}  # of the other page
    assert {url.rpartition("/")[2] for url in seen if url.startswith(static)} >= known - loading
    assert fetched(static + "loading.js")
    assert b'"openapi"' in fetched(f"{address.rstrip('/')}{API}/openapi.json")
    assert b'"tiny"' in fetched(f"{address.rstrip('/')}{API}/state")


def test_the_door_is_closed_there_too(address: str) -> None:
    for path in ("", "static/main.js", "api/v1/state", "nothing"):
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            urllib.request.urlopen(
                urllib.request.Request(address + path, headers={"Accept": "text/html"}), timeout=10
            )
        check_headers(refused.value.headers.items(), path)
        assert "terminal" in refused.value.read().decode()
