"""The page for those who come from Picasso is true: its blocks run, and what it moves keeps its numbers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from engines import run_on
from needs import need, need_installed
from test_docs import DOCS, blocks

import cnnlens
from cnnlens.testing import picture, tiny_model

PAGE = DOCS / "from-picasso.md"


def test_it_runs_as_it_stands(tmp_path: Path) -> None:
    """In a process of its own, for it opens a Keras file."""
    for package in ("keras", "skimage", "flask"):
        need_installed(package)
    run = "import os, sys; from pathlib import Path; sys.path[:0] = sys.argv[3:]; from test_docs import run_page; "
    run += "os.chdir(sys.argv[2]); run_page(Path(sys.argv[1]), Path(sys.argv[2]))"
    roads = [str(Path(__file__).parent), *(path for path in sys.path if path)]
    ran = run_on("torch", "-c", run, str(PAGE), str(tmp_path), *roads)
    assert ran.returncode == 0, ran.stderr[-4000:]
    made = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert {"occlusion.html", "saliency.png", "look.png", "dimming.png"} <= made.keys()
    assert all(made.values())


# -- the visualisation that is moved ------------------------------------------------------------
# Picasso cannot be installed beside a TensorFlow of today. What its 0.2.0 promised a visualisation, and no more, stands
# here over our own small network, so that the old class and the new function can be asked the same question.


class BaseVisualization:
    """Picasso's: settings are texts from a list, the first of which is the default, and land on `_name`."""

    ALLOWED_SETTINGS: Mapping[str, Sequence[str]] = {}

    def __init__(self, model: Any) -> None:
        self.model = model
        self.update_settings({name: choices[0] for name, choices in self.ALLOWED_SETTINGS.items()})

    def update_settings(self, settings: Mapping[str, str]) -> None:
        """Take the settings, or raise ValueError for one that is not on its list."""
        for name, value in settings.items():
            if value not in self.ALLOWED_SETTINGS[name]:
                raise ValueError(value)
            setattr(self, f"_{name.lower()}", value)


class Session:
    """What Picasso's model was asked by: `sess.run(prediction, {input: batch})`, in the words of TensorFlow 1."""

    tf_predict_var, tf_input_var = "probabilities", "pictures"

    def __init__(self, model: cnnlens.Model) -> None:
        self.model, self.sess = model, self

    def preprocess(self, pictures: Sequence[Any]) -> np.ndarray:
        """Pillow images → what is fed."""
        return np.stack([np.asarray(one, np.float32) / 255 for one in pictures])

    def run(self, prediction: str, feed_dict: Mapping[str, np.ndarray]) -> np.ndarray:
        """The probabilities of a batch."""
        assert prediction == self.tf_predict_var
        scores = self.model.trace(feed_dict[self.tf_input_var]).scores
        return self.model.probabilities(scores)

    def decode_prob(self, said: np.ndarray) -> list[list[dict[str, Any]]]:
        """The classes of each picture, the likeliest first."""
        return [
            [
                {"index": int(i), "name": self.model.class_name(int(i)), "prob": f"{one[i]:.3f}"}
                for i in np.argsort(-one)
            ]
            for one in said
        ]


@pytest.fixture
def picasso(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`picasso.visualizations.base`, as the old class imports it."""
    pyplot = need("matplotlib.pyplot")
    for name in ("picasso", "picasso.visualizations", "picasso.visualizations.base"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    base = importlib.import_module("picasso.visualizations.base")
    base.BaseVisualization = BaseVisualization  # type: ignore[attr-defined]
    yield
    pyplot.close("all")


def the_old_and_the_new() -> tuple[str, str, str]:
    """The class, its template, and the function that both became."""
    found = blocks(PAGE.read_text())
    (old,) = [one.text for one in found if one.mark == "picasso" and one.language == "python"]
    (template,) = [one.text for one in found if one.mark == "picasso" and one.language == "html"]
    (new,) = [one.text.partition("curves =")[0] for one in found if "def dimming" in one.text]
    return old, template, new


def test_the_moved_visualisation_has_the_numbers_of_the_old_one(
    picasso: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib.axes
    from PIL import Image

    old, template, new = the_old_and_the_new()
    drawn: list[tuple[str, np.ndarray, np.ndarray]] = []
    plot = matplotlib.axes.Axes.plot

    def noted(axes: Any, x: Any, y: Any, *, label: str) -> Any:
        drawn.append((label, np.asarray(x), np.asarray(y)))
        return plot(axes, x, y, label=label)

    monkeypatch.setattr(matplotlib.axes.Axes, "plot", noted)
    names: dict[str, Any] = {"__name__": "__page__"}
    exec(old, names)
    exec(new, names)
    model = tiny_model()
    eight = (255 * np.random.default_rng(3).random((8, 8, 3))).astype(np.uint8)  # two classes change places
    visualization = names["Dimming"](Session(model))
    visualization.update_settings({"Steps": "9"})
    (told,) = visualization.make_visualization(
        [{"filename": "noise.png", "data": Image.fromarray(eight)}], str(tmp_path)
    )
    curves = cnnlens.look(model, eight / np.float32(255), names["dimming"], steps=9).panels[0]
    assert [label for label, _, _ in drawn] == list(curves.names)
    for (_, x, y), values in zip(drawn, curves.values, strict=True):
        np.testing.assert_allclose(x, curves.x, atol=1e-6)
        np.testing.assert_allclose(y, values, atol=0.02)  # Pillow rounds what it blends to 256 steps
    assert np.ptp(curves.values, axis=1).max() > 0.5, "a flat curve says nothing"
    (file,) = told["output_file_names"]
    assert (tmp_path / file).stat().st_size > 1000
    page = shown_by(template, [told])
    assert f'<img src="outputs/{file}">' in page and "noise.png" in page


def shown_by(template: str, results: list[dict[str, Any]]) -> str:
    """What the old template makes of results, within the page that it extends."""
    jinja2 = need("jinja2")
    around = "<html>{% block vis %}{% endblock %}</html>"
    loader = jinja2.DictLoader({"result.html": around, "Dimming.html": template})
    return str(jinja2.Environment(loader=loader).get_template("Dimming.html").render(results=results))


def test_its_settings_are_those_of_the_old_one(picasso: None) -> None:
    old, _, new = the_old_and_the_new()
    names: dict[str, Any] = {"__name__": "__page__"}
    exec(old, names)
    exec(new, names)
    choices = names["Dimming"].ALLOWED_SETTINGS
    settings = names["dimming"].settings
    assert [name.lower() for name in choices] == list(settings.names)
    for name, values in choices.items():
        assert settings.defaults[name.lower()] == float(values[0])
        for value in values:
            assert settings.parse({name.lower(): value})
    with pytest.raises(ValueError):
        names["Dimming"](Session(tiny_model())).update_settings({"Steps": "7"})


# -- what the page claims of settings -----------------------------------------------------------


def test_every_choice_that_picasso_had_is_allowed_here() -> None:
    """The rows of PartialOcclusion: its windows, its colours, and strides by the rule of the page."""
    from cnnlens_plugins.masks.occlusion import occlusion, squares

    for window in (0.5, 0.4, 0.3, 0.2, 0.1, 0.05):
        for fill in ("grey", "black", "white"):
            occlusion.settings.parse({"window": window, "fill": fill, "of": "probability"})
        for along in (2, 5, 10, 20, 30):
            stride = (1 - window) / (along - 1)
            if stride <= window:
                count = len(squares(244, 244, window, stride)) ** 0.5
                assert abs(count - along) <= max(1, along / 10), (window, along)
            else:
                with pytest.raises(cnnlens.errors.BadSetting, match="never hidden"):
                    squares(244, 244, window, stride)


def test_a_pixel_of_three_negative_gradients_counts_as_the_page_says() -> None:
    model = tiny_model()
    gradients = np.zeros((8, 8, 3), np.float32)
    gradients[2, 3] = -3, -2, -1
    assert np.abs(gradients.max(-1))[2, 3] == 1  # Picasso's order
    from cnnlens_plugins.gradients import saliency as ours

    class Steep(cnnlens.Probe):
        def gradients(self, layer: str = "input") -> cnnlens.Array:
            return gradients

    assert cnnlens.look(model, Steep(model, picture(model)), ours).array[2, 3] == 3
