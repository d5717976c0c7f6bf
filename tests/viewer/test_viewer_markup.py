"""Names, words and errors of strangers in a real browser: they are shown as text, and none of them runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import pytest
import viewer_loaders
from browser import until, watch
from viewer_help import BEARER, TOKEN, png_of

from cnnlens import Diagram, Edge, Heatmap, Link, Node, Note, Panel, Probe, Table, registry, visualiser
from cnnlens.errors import CannotOpen, Unmet
from cnnlens.images import open_image
from cnnlens.layer import Layer
from cnnlens.tiny import TinyModel
from cnnlens.viewer import Loader, Viewer

#: What people put into fields to run code in another's page.
PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "\"><script>alert(1)</script>",
    "'><img src=x onerror='alert(1)'>",
    "\" onmouseover=\"alert(1)\" autofocus onfocus=\"alert(1)",
    "' onfocus='alert(1)' autofocus='",
    "</script><script>alert(1)</script>",
    "</title></style></textarea></noscript><script>alert(1)</script>",
    "<!--<script>alert(1)//-->",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<a href=javascript:alert(1)>x</a>",
    "javascript:alert(1)",
    "<details open ontoggle=alert(1)>",
    "<math><mtext></table></math><img src=x onerror=alert(1)>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}`-alert(1)-`",
    "\\u003cimg src=x onerror=alert(1)\\u003e",
    "&lt;img src=x onerror=alert(1)&gt;",
    "<base href=//evil.example><link rel=stylesheet href=//evil.example/x>",
    "alert(1)//<style>@import'//evil.example'</style>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
]  # fmt: skip


def guests(payload: str) -> registry.Registry:
    """Two visualisers whose every word is the payload: one shows it, one fails with it."""

    def shows(probe: Probe, *, mode: Literal["a", "b"] = "a") -> tuple[Panel, ...]:
        return (
            Heatmap(np.ones((2, 2), np.float32), title=f"map {payload}", means=payload),
            Note(f"note {payload}"),
            Table((f"column {payload}", "b"), [(f"cell {payload}", payload)]),
            Diagram(
                (
                    Node(payload, payload, payload, f"words {payload}", 1.0, Link("shows", {}, payload)),
                    Node("end"),
                ),
                (Edge(0, 1, f"line {payload}"),),
                f"diagram {payload}",
                payload,
            ),
        )

    def fails(probe: Probe) -> Heatmap:
        raise Unmet(f"error {payload}")

    shows.__doc__ = fails.__doc__ = f"words {payload}"
    paper = {"paper": f"paper {payload}", "link": "javascript:alert(1)", "family": f"family {payload}"}
    made = [
        visualiser(name="shows", title=f"title {payload}", **paper)(shows),
        visualiser(name="fails", title=f"fails {payload}", **paper)(fails),
    ]
    plugin = registry.Plugin(f"plugin {payload}", f"version {payload}", ("shows", "fails"))
    problem = registry.Problem(f"broken {payload}", f"reason {payload}")
    ours = registry.installed()
    all_of_them = {**ours.visualisers, **{one.name: one for one in made}}
    return registry.Registry(all_of_them, (*ours.plugins, plugin), (problem,))


class Named(TinyModel):
    """The small network, its name, layers and classes made of the payload."""

    def __init__(self, payload: str) -> None:
        super().__init__(name=f"model {payload}", classes=tuple(f"label{n} {payload}" for n in range(3)))
        self._called = {name: f"{name} {payload}" for name in self._steps}
        self._steps = {self._called[name]: step for name, step in self._steps.items()}
        self._weights = {self._called[name]: held for name, held in self._weights.items()}

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The four layers."""
        return tuple(
            dataclasses.replace(
                one, name=self._called[one.name], inputs=tuple(map(self._called.get, one.inputs))
            )  # type: ignore[arg-type]
            for one in super().layers
        )


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[[str, str], Any]]:
    """Open an address; afterwards no dialog has come up, nothing has complained, and no markup has come to be."""
    context, wrong = chromium.new_context(), []

    def open_page(home: str, url: str) -> Any:
        page = context.new_page()
        watch(page, home, wrong)
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.goto(url)
        return page

    yield open_page
    for page in context.pages:
        wrong += page.evaluate(STRAY)
    context.close()
    assert wrong == []


#: Elements and attributes that our own pages never have.
STRAY = """() => [...document.querySelectorAll('*')].filter((e) =>
  e.matches('iframe, base, math, style, object, embed, meta[http-equiv], a[href^="javascript:" i], img[src="x"]')
  || e.matches('script:not([src]):not([type="application/json"]), link:not([href^="static/"]):not([rel="icon"])')
  || e.getAttributeNames().some((name) => name.startsWith('on'))).map((e) => e.outerHTML.slice(0, 200))"""


def reads(page: Any, *words: str) -> None:
    """Wait until the page has these words as text."""
    for one in words:
        until(page, f"document.body.textContent.includes({json.dumps(one)})")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_words_of_strangers_are_text(
    open_page: Callable[[str, str], Any], monkeypatch: pytest.MonkeyPatch, payload: str
) -> None:
    found = guests(payload)
    monkeypatch.setattr(registry, "installed", lambda: found)
    image = open_image(png_of(1), f"file {payload}")
    with Viewer(Named(payload), [image], token=TOKEN) as viewer:
        page = open_page(viewer.address, viewer.url)
        reads(page, f"model {payload}", f"conv {payload}", f"file {payload}", f"label0 {payload}")
        reads(page, f"plugin {payload}", f"broken {payload}", f"reason {payload}")
        target = quote(f"label1 {payload}")
        explained = f"{viewer.address}?view=explain&vis=shows&run=1&target="
        page = open_page(viewer.address, explained + target)
        reads(
            page,
            f"title {payload}",
            f"words {payload}",
            f"paper {payload}",
            f"map {payload}",
            f"note {payload}",
        )
        reads(page, f"column {payload}", f"cell {payload}", f"label1 {payload}")
        hostile = "&".join(f"{name}={quote(payload)}" for name in ("img", "layer", "unit", quote(payload)))
        page = open_page(viewer.address, f"{explained}{quote(f'nothing {payload}')}&{hostile}")
        reads(page, "nothing ")
        page = open_page(viewer.address, f"{viewer.address}?view=explain&vis=fails&run=1")
        reads(page, f"error {payload}")


@pytest.mark.parametrize("payload", PAYLOADS[::4])
def test_a_model_that_does_not_open_is_told_as_text(
    open_page: Callable[[str, str], Any], payload: str
) -> None:
    fails = partial(viewer_loaders.refuses, f"error {payload}")
    with Viewer(Loader(f"file {payload}", fails), [png_of(1)], token=TOKEN) as viewer:
        page = open_page(viewer.address, viewer.url)
        reads(page, f"file {payload}")
        with pytest.raises(CannotOpen):
            viewer.open()
        reads(page, f"error {payload}")
        page = open_page(viewer.address, viewer.address)
        reads(page, f"file {payload}", f"error {payload}")
        page = open_page(viewer.address, f"{viewer.address}nothing/{quote(payload, safe='')}")
        reads(page, "there is nothing at this address")
        page = open_page(viewer.address, f"{viewer.address}?token={quote(payload, safe='')}")
        reads(page, "terminal")


def test_downloads_are_no_pages_of_ours(chromium: Any) -> None:
    """An exported page and drawing hold strangers' words too: they are files to save, and run nothing if opened."""
    payload = "</script><svg onload=alert(1)><script>alert(1)</script>"
    with Viewer(Named(payload), [open_image(png_of(1), payload)], token=TOKEN) as viewer:
        context = chromium.new_context(extra_http_headers=BEARER)
        ask = {"visualisers": [{"name": "saliency"}], "images": [_first(context, viewer)]}
        told = context.request.post(f"{viewer.address}api/v1/jobs?wait=2", data=ask).json()
        for suffix in ("html", "svg", "json", "png", "npz"):
            url = f"{viewer.address}api/v1/results/{told['results'][0]['id']}/download.{suffix}"
            headers = context.request.get(url).headers
            assert headers["content-disposition"].startswith("attachment; "), suffix
            assert "default-src 'none'" in headers["content-security-policy"]
        context.close()


def _first(context: Any, viewer: Viewer) -> str:
    return str(context.request.get(f"{viewer.address}api/v1/images").json()["images"][0]["id"])
