"""The page's modules by themselves: on a page with nothing on it, each function against literal answers."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from browser import until
from PIL import Image

from cnnlens.render.trees import markup, paper_tree

Open = Callable[..., Any]
Do = Callable[..., Any]

#: What every script has: the modules by name, a list of what was asked for, and a server that answers in turn.
PRELUDE = """
  const names = ['dom', 'api', 'state', 'palette', 'colours', 'sheet', 'panels', 'layers', 'screen', 'pointing'];
  const [dom, api, state, palette, colours, sheets, panels, layers, screens, pointing] =
    await Promise.all(names.map((name) => import(`/static/${name}.js`)));
  const { h } = dom;
  document.body.replaceChildren();
  const asked = [];
  const serve = (...answers) => {
    window.fetch = async (url, { method = 'GET', body = null } = {}) => {
      asked.push(`${method} ${url}`);
      const next = answers.length > 1 ? answers.shift() : answers[0];
      if (next instanceof Error) throw next;
      const { status = 200, ...told } = next;
      if (status === 204) return new Response(null, { status });
      return next.png ? new Response(new Uint8Array(next.png)) : new Response(next.text ?? JSON.stringify(told),
        { status });
    };
  };
  const failing = (type, status = 503) => ({ status, error: { type, message: `${type}!` } });
  const caught = async (made) => { try { await made; return null; } catch (e) { return [e.name, e.kind ?? null,
    e.message]; } };
  const turn = () => new Promise((done) => setTimeout(done, 20));
"""


@pytest.fixture
def do(visit: Open) -> Do:
    """Run a script's lines among the modules; its `return` comes back."""
    page = visit("static/theme.js")  # any address of the viewer: its policy lets its own modules in

    def do(lines: str, given: Any = None) -> Any:
        return page.evaluate(f"async (given) => {{ {PRELUDE} {lines} }}", given)

    return do


# -- dom ------------------------------------------------------------------------------------------

ELEMENTS = {
    "h('p.facts.num')": '<p class="facts num"></p>',
    "h('p', { title: 'a', hidden: true, lang: null, id: false })": '<p title="a" hidden=""></p>',
    "h('p', 'x', ['y', [null, undefined, false, '', 0]], h('b', 'z'))": "<p>xy0<b>z</b></p>",
    "h('p', '<b>x</b>')": "<p>&lt;b&gt;x&lt;/b&gt;</p>",
    "h('button')": '<button type="button"></button>',
    "h('img', { class: 'map' })": '<img class="map">',
    "dom.fact('a ', h('b', 'c'))": '<p class="facts">a <b>c</b></p>',
    "dom.fold('more', 'x')": "<details><summary>more</summary>x</details>",
    "dom.num(-2)": '<span class="num">\N{MINUS SIGN}2</span>',
    "dom.said('no', h('i'))": '<div class="said" role="alert"><p>no</p><i></i></div>',
    "dom.hint('so')": '<div class="said hint"><p>so</p></div>',
}


@pytest.mark.parametrize("made", ELEMENTS)
def test_elements_hold_text_and_attributes(do: Do, made: str) -> None:
    assert do(f"return ({made}).outerHTML") == ELEMENTS[made]


def test_an_on_attribute_listens_and_is_no_attribute(do: Do) -> None:
    told = do(
        "let n = 0; const b = h('button', { onclick: () => { n += 1; } }); b.click(); b.click();"
        "return [n, b.hasAttribute('onclick')]"
    )
    assert told == [2, False]


NUMBERS = [
    (None, "not finite"), (0, "0"), (-0.5, "−0.5"), (1234.5, "1230"), (999999, "1000000"), (1e6, "1.00e+6"),
    (1e-4, "0.0001"), (9.9e-5, "9.90e−5"), (-9.9e-5, "−9.90e−5"), (0.123456, "0.123"), (-15.74, "−15.7"),
]  # fmt: skip


def test_numbers_have_three_figures_and_a_real_minus(do: Do) -> None:
    values = [value for value, _ in NUMBERS]
    assert do("return given.map(dom.number)", values) == [text for _, text in NUMBERS]
    assert do("return [dom.times([3, 4, 5]), dom.times([7]), dom.times([])]") == ["3×4×5", "7", ""]


def test_progress_knows_its_share_or_none(do: Do) -> None:
    script = "return [0.25, 0].map((share) => dom.progress({ share, words: 'w' })[0].getAttribute('value'))"
    assert do(script) == ["0.25", None]


def test_menus_and_rows_of_buttons_choose(do: Do) -> None:
    told = do("""
      const chosen = [];
      state.when(['w', 'm'], () => chosen.push(state.get('w') ?? state.get('m')));
      const row = state.choice('Which', 'w', [['a', 'A'], ['b', 'B', 'why']], { row: true, otherwise: 'b' });
      row.children[0].click();
      row.children[1].click();
      const menu = state.choice('Menu', 'm', [['x', 'X'], ['y', 'Y']], { otherwise: 'y' }).querySelector('select');
      const before = menu.value;
      menu.value = 'x';
      menu.dispatchEvent(new Event('change'));
      const again = dom.retry(new Error('gone'), () => chosen.push('again'));
      again.querySelector('button').click();
      return [chosen, before, [...row.children].map((b) => [b.ariaPressed, b.title]), again.textContent];
    """)
    assert told[:2] == [["a", None, "x", "again"], "y"]
    assert told[2:] == [[["false", ""], ["true", "why"]], "goneTry again"]


#: From the button that has the focus, by that key, to which; seven stand in rows of three, 2 is disabled, 3 hidden.
WALKS = [
    (0, "ArrowRight", 1), (1, "ArrowRight", 4), (4, "ArrowLeft", 1), (0, "ArrowDown", 5), (6, "ArrowUp", 1),
    (4, "Home", 0), (1, "End", 6), (6, "ArrowRight", 6), (0, "ArrowLeft", 0), (5, "x", 5), (0, "ArrowUp", 0),
]  # fmt: skip


@pytest.mark.parametrize(("start", "key", "to"), WALKS)
def test_arrows_walk_what_can_be_pressed(do: Do, start: int, key: str, to: int) -> None:
    told = do(
        """
      const some = Array.from({ length: 7 }, (_, i) => h('button', { tabindex: i === given.start ? 0 : -1,
        disabled: i === 2, hidden: i === 3 }, `${i}`));
      const host = h('div', some);
      document.body.append(host);
      dom.roving(host, 'button', () => 3);
      some[given.start].focus();
      const event = new KeyboardEvent('keydown', { key: given.key, bubbles: true, cancelable: true });
      let out = 0;
      document.body.onkeydown = () => { out += 1; };
      some[given.start].dispatchEvent(event);
      return [some.indexOf(document.activeElement), some.findIndex((b) => b.tabIndex === 0),
        event.defaultPrevented, out];
    """,
        {"start": start, "key": key},
    )
    moved = start != to or key in ("Home", "End")
    assert told == [to, to, moved, 0 if moved else 1]


# -- state ----------------------------------------------------------------------------------------


def test_state_lives_in_the_address(do: Do) -> None:
    told = do("""
      const heard = [];
      state.when(['a', 'c'], () => heard.push('a or c'));
      state.when(['s.'], () => heard.push('settings'));
      state.when(['im', 's'], () => heard.push('part of a name'));
      let written = 0;
      const { replaceState } = history;
      history.replaceState = (...to) => { written += 1; replaceState.apply(history, to); };
      const seen = [];
      const note = () => seen.push([location.search, history.length]);
      const base = history.length;
      state.set({ a: 1 }); note();
      state.set({ a: 1 }); note();
      state.set({ 's.window': 3, 's.fill': 'mean', other: 'x' }); note();
      state.set({ img: 'p' }); note();
      state.set({ a: null, other: undefined, 's.fill': '' }); note();
      return [seen.map(([s, n]) => [s, n - base]), heard, state.get('a'), state.get('a', 7), state.get('img'),
        state.settings(), written];
    """)
    assert told[0] == [
        ["?a=1", 0], ["?a=1", 0], ["?a=1&s.window=3&s.fill=mean&other=x", 0],
        ["?a=1&s.window=3&s.fill=mean&other=x&img=p", 1], ["?s.window=3&img=p", 1],
    ]  # fmt: skip
    assert told[1] == ["a or c", "settings", "a or c", "settings"]
    assert told[2:] == [None, 7, "p", {"window": "3"}, 3]


def test_back_tells_who_listens_and_nobody_else(do: Do) -> None:
    told = do("""
      state.set({ layer: 'one', quiet: 'q' });
      state.set({ layer: 'two' });
      const heard = [];
      state.when(['layer'], () => heard.push(state.get('layer')));
      state.when(['quiet'], () => heard.push('quiet'));
      const back = () => new Promise((done) => { addEventListener('popstate', done, { once: true });
        history.back(); });
      await back();
      await back();
      return [heard, location.search];
    """)
    assert told == [["one", None, "quiet"], ""]


def test_a_choice_is_kept_unless_it_is_the_usual(do: Do) -> None:
    told = do("""
      const seen = [];
      state.set({ page: 3 });
      const options = [['', 'usual'], ['b', 'B']];
      const choose = (value) => {
        const field = state.choice('Which', 'k', options, { more: { page: null } });
        const menu = field.querySelector('select');
        seen.push(menu.value);
        menu.value = value;
        menu.dispatchEvent(new Event('change'));
        seen.push(location.search);
      };
      choose('b');
      choose('');
      const row = state.choice('Row', 'r', [['x', 'X'], ['y', 'Y']], { row: true, otherwise: 'x' });
      seen.push([...row.children].map((one) => one.ariaPressed).join());
      row.children[1].click();
      seen.push(location.search);
      row.children[0].click();
      return [...seen, location.search];
    """)
    assert told == ["", "?k=b", "b", "", "true,false", "?r=y", ""]


def test_controls_of_the_page_are_bound_to_the_address(do: Do) -> None:
    told = do("""
      state.set({ menu: 'nonsense', flag: 1, slide: '0.4' });
      const menu = h('select', { 'data-state': 'menu' }, h('option', { value: '' }, 'none'), h('option',
        { value: 'm' }, 'M'));
      const flag = h('input', { type: 'checkbox', 'data-state': 'flag' });
      const slide = h('input', { type: 'range', min: 0, max: 1, step: 0.1, 'data-state': 'slide',
        'data-otherwise': '0.5' });
      const text = h('input', { 'data-state': 'text' });
      document.body.append(menu, flag, slide, text);
      state.bind();
      const seen = [[menu.selectedIndex, flag.checked, slide.value]];
      flag.click();
      const say = (one, value, type) => { one.value = value; one.dispatchEvent(new Event(type));
        seen.push(location.search); };
      say(slide, '0.7', 'change');
      say(slide, '0.5', 'input');
      say(text, '  cat ', 'change');
      say(menu, 'm', 'change');
      state.set({ text: 'dog', flag: 1 });
      return [...seen, text.value, flag.checked];
    """)
    assert told[0] == [0, False, "0.4"]
    assert told[1:5] == [
        "?menu=nonsense&slide=0.4",
        "?menu=nonsense",
        "?menu=nonsense&text=cat",
        "?menu=m&text=cat",
    ]
    assert told[5:] == ["dog", False]


# -- palette --------------------------------------------------------------------------------------


def indexed(colours: int = 256) -> bytes:
    """A PNG of 2×3 levels with that many colours; with few, of more levels, so that it is as long."""
    noise = np.random.default_rng(1).integers(0, colours, (64, 64), np.uint8)
    image = Image.fromarray(np.array([[0, 1, 2], [3, 4, 5]], np.uint8) if colours == 256 else noise, "P")
    image.putpalette(bytes(range(256))[: colours * 3] * (3 if colours == 256 else 1))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def plain() -> bytes:
    """A PNG of true colours."""
    out = io.BytesIO()
    Image.new("RGB", (300, 3), (1, 2, 3)).save(out, "PNG")
    return out.getvalue()


RECOLOURED = """
  const paint = Uint8Array.from({ length: 768 }, (_, i) => 255 - (i % 256));
  const blob = palette.recoloured(new Uint8Array(given).buffer, paint);
  return [blob.type, [...new Uint8Array(await blob.arrayBuffer())]];
"""


def test_another_palette_is_put_in_with_its_checksum(do: Do) -> None:
    png = indexed()
    kind, data = do(RECOLOURED, list(png))
    at = png.index(b"PLTE")
    chunk = bytes(data[at : at + 772])
    assert kind == "image/png" and chunk == b"PLTE" + bytes(255 - i % 256 for i in range(768))
    assert struct.unpack(">I", bytes(data[at + 772 : at + 776]))[0] == zlib.crc32(chunk)
    assert bytes(data[:at]) == png[:at] and bytes(data[at + 776 :]) == png[at + 776 :]
    drawn = np.asarray(Image.open(io.BytesIO(bytes(data))).convert("RGB"))
    assert drawn[0].tolist() == [[255, 254, 253], [252, 251, 250], [249, 248, 247]]


@pytest.mark.parametrize("png", [plain(), indexed(8), indexed()[:100]], ids=["none", "short", "cut"])
def test_a_png_without_such_a_palette_stays(do: Do, png: bytes) -> None:
    assert bytes(do(RECOLOURED, list(png))[1]) == png


# -- sheets ---------------------------------------------------------------------------------------


def atlas() -> bytes:
    """Three tiles of 1×2 in two columns, a gap of one between them: red, green, blue."""
    pixels = np.zeros((3, 5, 3), np.uint8)
    pixels[0, 0:2, 0], pixels[0, 3:5, 1], pixels[2, 0:2, 2] = 255, 255, 255
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_cells_stand_before_the_picture_and_are_filled_from_it(do: Do) -> None:
    told = do(
        """
      serve({ png: given });
      const opened = [];
      const made = sheets.sheet(['4', '5', '6'], [1, 2], { first: 4, open: (name) => opened.push(name) });
      document.body.append(made.element);
      const cells = [...made.element.children];
      cells[1].click();
      const before = [made.element.ariaLabel, made.element.classList.contains('ready'), cells.map((c) => c.tabIndex)];
      const ranges = Array.from({ length: 8 }, (_, i) => [-i, i]);
      made.fill('r', 2, { title: 'conv', ranges, marks: ['', '', '', '', '', 'dead'], signed: false }, '&low=1');
      for (let n = 0; n < 100 && !made.element.classList.contains('ready'); n += 1) await turn();
      const colour = (cell) => [...cell.querySelector('canvas').getContext('2d').getImageData(0, 0, 1,
        1).data.slice(0, 3)];
      made.point({ i: 6, y: 0, x: 1 });
      const mark = made.element.querySelector('.at');
      return [before, opened, asked, cells.map(colour), cells.map((c) => c.ariaLabel), cells.map((c) => c.className),
        cells[1].textContent, cells[0].title, cells[2].contains(mark), mark.style.inset];
    """.replace("made.fill(", COLOURS + "made.fill("),
        list(atlas()),
    )
    assert told[0] == ["3 maps of 1×2", False, [0, -1, -1]] and told[1] == ["5"]
    assert told[2] == ["GET api/v1/results/r/panels/2.png?first=4&count=3&columns=2&low=1"]
    assert told[3] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert told[4] == ["conv 4, −4 to 4", "conv 5, −5 to 5, dead", "conv 6, −6 to 6"]
    assert told[5] == ["cell", "cell marked", "cell"]
    assert told[6:] == ["5dead", "4: −4 … 4", True, "0% 0% 0% 50%"]


#: A viewer's colours of four levels, the rest for what is odd.
COLOURS = """
  document.body.append(h('button', { id: 'theme' }));
  colours.begin({ sequential: ['grey'], diverging: ['rb'], tables: { grey: btoa('\\0\\0\\0aaa'),
    rb: btoa('\\0\\0\\0aaa') },
    themes: { light: { plain: 'grey', signed: 'rb', gap: [1, 2, 3] }, dark: { plain: 'grey', signed: 'rb', gap: [1,
      2, 3] } }, odd: [255, 0, 255] });
"""

INSETS = [
    ([0, 0, 1, 1], "0% 75% 50% 0%"),
    ([1, 3, 2, 4], "50% 0% 0% 75%"),
    ([0, 1, 2, 3], "0% 25%"),
    ([-1, 0, 2, 4], "-50% 0% 0%"),
]


def test_a_mark_lies_over_rows_and_columns(do: Do) -> None:
    put = "const m = h('i'); pointing.put(m, given, [2, 4]); return [m.style.inset, m.hidden]"
    assert [do(put, box) for box, _ in INSETS] == [[inset, False] for _, inset in INSETS]
    assert do(put, None) == ["", True]


#: The cursor over a box of 100×50 at (10, 20) that shows an array of (2, 4): where in the array it is.
PLACES = [
    ((10, 20), (0, 0)), ((110, 70), (1, 3)), ((34.9, 44.9), (0, 0)), ((35.1, 45.1), (1, 1)), ((60, 20), (0, 2)),
    ((10, 70), (1, 0)), ((110, 20), (0, 3)), ((0, 0), (0, 0)), ((500, 500), (1, 3)), ((85.1, 30), (0, 3)),
]  # fmt: skip


def test_the_cursor_is_at_a_place_of_the_array(do: Do) -> None:
    told = do(
        """
      const box = h('div');
      Object.assign(box.style, { position: 'fixed', left: '10px', top: '20px', width: '100px', height: '50px' });
      document.body.append(box);
      const heard = [];
      pointing.follow(box, [2, 4], (at) => heard.push(at && [at.y, at.x]));
      for (const [clientX, clientY] of given) box.dispatchEvent(new PointerEvent('pointermove', { clientX,
        clientY }));
      box.dispatchEvent(new PointerEvent('pointerleave'));
      return heard;
    """,
        [place for place, _ in PLACES],
    )
    assert told == [*(list(at) for _, at in PLACES), None]


@pytest.mark.parametrize(
    ("first", "total", "words", "ends", "turned"),
    [
        (0, 65, "0–63 of 65", [True, False], [64]),
        (64, 65, "64–64 of 65", [False, True], [0]),
        (64, 192, "64–127 of 192", [False, False], [0, 128]),
        (128, 192, "128–191 of 192", [False, True], [64]),
    ],
)
def test_pages_have_ends(
    do: Do, first: int, total: int, words: str, ends: list[bool], turned: list[int]
) -> None:
    told = do(
        """
      document.body.append(document.createElementNS('http://www.w3.org/2000/svg', 'svg'));
      const drawn = document.querySelector('svg');
      drawn.setAttribute('class', 'i');
      drawn.append(document.createElementNS('http://www.w3.org/2000/svg', 'use'));
      const to = [];
      const pager = sheets.pager(given.first, given.total, (at) => to.push(at));
      const buttons = [...pager.querySelectorAll('button')];
      for (const one of buttons) one.click();
      return [pager.textContent, buttons.map((one) => one.disabled), to, sheets.pager(0, 64, null)];
    """,
        {"first": first, "total": total},
    )
    assert told == [words, ends, turned, None]


def test_a_legend_reads_values_and_asks_for_each_map_once(do: Do) -> None:
    told = do(
        COLOURS
        + """
      serve({ values: [[[1, 2], [3, -4.25]]] });
      const panel = { shape: [8, 2, 2], limits: [-5, 5], signed: true, unit: 'score', ranges: [] };
      const made = sheets.legend('r', 1, panel, panel.limits, 'point here');
      document.body.append(made.element);
      const words = made.element.querySelector('output');
      const tick = made.element.querySelector('.tick');
      const seen = [words.textContent, tick.hidden];
      await made.point({ i: 3, name: '3', y: 1, x: 1 });
      seen.push(words.textContent, tick.style.left, tick.hidden);
      await made.point({ i: 3, name: '3', y: 0, x: 1 });
      seen.push(words.textContent);
      const late = made.point({ i: 5, name: '5', y: 0, x: 0 });
      await made.point(null);
      await late;
      return [...seen, words.textContent, tick.hidden, made.element.querySelector('.bar').textContent, asked];
    """
    )
    assert told[:2] == ["point here", True]
    assert told[2:6] == ["3 · y 1, x 1 · −4.25", "7.5%", False, "3 · y 0, x 1 · 2"]
    assert told[6:9] == ["point here", True, "−55score"]
    assert told[9] == [f"GET api/v1/results/r/panels/1.json?first={i}&count=1" for i in (3, 5)]


# -- panels ---------------------------------------------------------------------------------------

SPANS = [
    ([[0, 1], [-2, 0.5]], [-2, 1]), ([[3, 4]], [3, 4]), ([[0, 1], None], None), ([], None),
    ([[-1, 1], [-3, 3], [-2, 2]], [-3, 3]),
]  # fmt: skip


def test_one_scale_spans_several(do: Do) -> None:
    assert [do("return panels.spanning(given.map((limits) => ({ limits })))", ends) for ends, _ in SPANS] == [
        span for _, span in SPANS
    ]


@pytest.mark.parametrize(
    ("link", "href"),
    [("https://a.b/c", "https://a.b/c"), ("javascript:alert(1)", None), (" https://a", None), (None, None)],
)
def test_only_the_web_becomes_an_address(do: Do, link: str | None, href: str | None) -> None:
    tree = paper_tree({"paper": "P", "link": link})
    assert do("return dom.built(given).outerHTML.includes('P</a>')", tree)
    assert do("return dom.built(given).getAttribute('href')", tree) == href


def test_trees_become_elements_and_words_stay_words(do: Do) -> None:
    tree = ["p.a.b", {"title": "<i>", "--part": "40%"}, "<b>x</b>", ["em", "y", ["i"]], "z"]
    told = do("const e = dom.built(given); return [e.outerHTML, e.style.getPropertyValue('--part')]", tree)
    assert told == [
        '<p class="a b" title="&lt;i&gt;" style="--part: 40%;">&lt;b&gt;x&lt;/b&gt;<em>y<i></i></em>z</p>',
        "40%",
    ]


TREES: list[Any] = [
    ["p.a", {"title": '"<i>'}, "<b>", ["em", "y"], "&"],
    [
        "label.field.toggle",
        ["span", "x"],
        ["input", {"type": "checkbox", "checked": True, "data-set": "x"}],
        ["small", ""],
    ],
    ["select", {"data-otherwise": ""}, ["option", {"value": "a", "selected": False}, "a"]],
]


@pytest.mark.parametrize("tree", TREES)
def test_the_server_writes_what_the_page_would_build(do: Do, tree: Any) -> None:
    built = do("return dom.built(given).outerHTML", tree)
    assert str(markup(tree)).replace("&#34;", "&quot;") == built.replace(' checked=""', " checked")


def test_a_link_opens_a_visualiser_at_a_place(do: Do) -> None:
    link = {"visualiser": "convolution", "settings": {"layer": "a"}, "place": "place", "tile": "unit",
            "start": [-1, 0], "step": [2, 2], "within": [6, 6], "words": ""}  # fmt: skip
    told = do(
        """
      state.set({ 's.old': 1 });
      pointing.lead(given, { y: 0, x: 0, name: '7' });
      const nowhere = location.search;
      pointing.lead(given, { y: 1, x: 2, name: '7' });
      const here = location.search;
      pointing.lead({ ...given, visualiser: 'unit', settings: { unit: 3 }, place: '', tile: '' }, {});
      return [nowhere, here, location.search];
    """,
        link,
    )
    assert told == [
        "?s.old=1", "?s.layer=a&s.place=1%2C4&s.unit=7&view=explain&vis=convolution", "?s.unit=3&view=explain&vis=unit",
    ]  # fmt: skip


def test_a_map_is_walked_by_arrows_and_opened_by_enter(do: Do) -> None:
    assert do("""
      const host = document.body.appendChild(document.createElement('div')), told = [], opened = [];
      pointing.follow(host, [2, 3], (at) => told.push(at && [at.y, at.x]), (at) => opened.push([at.y, at.x]));
      const press = (key) => host.dispatchEvent(new KeyboardEvent('keydown', { key, cancelable: true }));
      const keys = ['Enter', 'ArrowDown', 'ArrowDown', 'ArrowRight', 'Enter', 'ArrowUp', 'ArrowUp', 'Enter'];
      keys.forEach(press);
      host.remove();
      return [told, opened, host.tabIndex];
    """) == [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 1]], [[1, 1], [0, 1]], 0]


# -- api ------------------------------------------------------------------------------------------

JOB = "const job = (state, share) => ({ id: 'j', state, share, results: [{ id: 'r', error: null }] });"
SOON = "window.setTimeout = (act) => queueMicrotask(act);"


def test_a_job_is_followed_to_its_end(do: Do) -> None:
    told = do(
        JOB
        + """
      serve(job('queued', 0), job('running', 0.5), job('done', 1));
      const shares = [];
      const last = await api.run({ a: 1 }, { on: 'against/', progress: ({ share }) => shares.push(share) });
      return [shares, last.state, asked];
    """
    )
    follow = "GET api/v1/against/jobs/j?wait=0.25"
    assert told == [[0, 0.5], "done", ["POST api/v1/against/jobs?wait=0.25", follow, follow]]


def test_aborting_stops_the_job_too(do: Do) -> None:
    told = do(
        JOB
        + """
      serve(job('running', 0.1), { status: 204 }, job('cancelled', 0.1));
      const stop = new AbortController();
      const error = await caught(api.run({}, { signal: stop.signal, progress: () => stop.abort() }));
      return [error[0], asked.filter((one) => one.startsWith('DELETE'))];
    """
    )
    assert told == ["AbortError", ["DELETE api/v1/jobs/j?mine=1"]]


def test_what_is_aborted_while_it_is_handed_in_is_stopped_too(do: Do) -> None:
    told = do(
        JOB
        + """
      serve(job('queued', 0), { status: 204 }, job('cancelled', 0));
      const stop = new AbortController();
      const answers = window.fetch;
      window.fetch = (...call) => { stop.abort(); return answers(...call); };
      return [(await caught(api.run({}, { signal: stop.signal })))[0], asked[1]];
    """
    )
    assert told == ["AbortError", "DELETE api/v1/jobs/j?mine=1"]


@pytest.mark.parametrize(
    ("kind", "tries"), [("Busy", 21), ("Loading", 121), ("BadRequest", 1), ("UnknownName", 1)]
)
def test_what_passes_by_itself_is_waited_for(do: Do, kind: str, tries: int) -> None:
    told = do(
        SOON + "serve(failing(given)); return [await caught(api.run({})), asked.length]",
        kind,
    )
    assert told == [["Error", kind, f"{kind}!"], tries]
    assert do(
        JOB + SOON + "serve(failing('Busy'), failing('Loading'), job('done', 1)); return (await api.run({})).id"
    ) == "j"  # fmt: skip


REFUSALS = [
    ("new TypeError('net')", ["Error", "Offline",
      "the viewer does not answer: is it still running in its terminal?"]),
    ("{ status: 500, text: '<p>' }", ["Error", "Http", "the viewer answered 500"]),
    ("{ status: 404, error: { type: 'UnknownName', message: 'gone' } }", ["Error", "UnknownName", "gone"]),
    ("{ text: '<p>' }", ["Error", "Http", "the viewer answered 200"]),
    ("new DOMException('', 'AbortError')", ["AbortError", 20, ""]),
    ("{ status: 204 }", None),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "error"), REFUSALS)
def test_errors_say_what_kind_they_are(do: Do, answer: str, error: Any) -> None:
    told = do(f"serve({answer}); return caught(api.forget('a'))")
    assert told == error or (told[0] == error[0] == "AbortError")


def test_one_visualiser_of_one_picture(do: Do) -> None:
    call = "api.only('p', { name: 'v' }, { signal: new AbortController().signal, target: 't' })"
    told = do(JOB + f"serve(job('done', 1), {{ id: 'r', panels: [] }}); return [await {call}, asked]")
    assert told == [{"id": "r", "panels": []}, ["POST api/v1/jobs?wait=0.25", "GET api/v1/results/r"]]
    stopped = do(JOB + f"serve(job('cancelled', 1)); return caught({call})")
    assert stopped[2] == "This was stopped. Choose it again to see it."
    failed = do(
        f"serve({{ id: 'j', state: 'done', results: [{{ error: {{ message: 'm' }} }}] }}); return caught({call})"
    )
    assert failed[2] == "m"


def test_what_was_asked_last_is_what_counts(do: Do) -> None:
    script = (
        "const next = api.latest(); const some = [next(), next(), next()]; return some.map((s) => s.aborted)"
    )
    assert do(script) == [True, True, False]


# -- screens --------------------------------------------------------------------------------------

#: A page with two layers and a screen whose drawing is noted.
SCREEN = """
  const button = (name) => h('li', h('button', { 'data-name': name }));
  document.body.append(h('ul', { id: 'layers' }, button('one'), button('two')), h('input', { id: 'filter' }),
    h('span', { id: 'layer-count' }),
    h('details', { id: 'save' }), h('div', { id: 'files' }), h('section', { id: 'maps' }, h('p', 'first')));
  const known = ['one', 'two'].map((name) => ({ name, kind: 'k', type: 't', has_maps: true }));
  layers.begin({ layers: known, layer: 'one' });
  const drawn = [];
  const signals = [];
  let fails = null;
  screens.screen('maps', ['scale'], async (host, layer, picture, signal) => {
    drawn.push([host.id, layer.name, picture, state.get('scale') ?? null].join());
    signals.push(signal);
    if (fails) throw fails;
  });
  await turn();
"""


def test_a_screen_is_drawn_once_for_what_it_is_of(do: Do) -> None:
    told = do(
        SCREEN
        + """
      dispatchEvent(new Event('pictures'));
      state.set({ layer: 'one' });
      state.set({ elsewhere: 1 });
      state.set({ layer: 'two', scale: 'map' });
      state.set({ view: 'model' });
      const away = signals.map((one) => one.aborted);
      state.set({ layer: 'one' });
      state.set({ view: null });
      return [drawn, away, signals.map((one) => one.aborted)];
    """
    )
    assert told[0] == ["maps,one,,", "maps,two,,map", "maps,one,,map"]
    assert told[1:] == [[True, True], [True, True, False]]


def test_a_screen_that_failed_says_so_and_tries_again(do: Do) -> None:
    told = do(
        SCREEN
        + """
      const host = dom.$('maps');
      fails = new DOMException('', 'AbortError');
      state.set({ scale: 'a' });
      await turn();
      const quiet = host.textContent;
      fails = new Error('it was forgotten');
      state.set({ scale: 'b' });
      await turn();
      const said = host.textContent;
      fails = null;
      host.querySelector('button').click();
      await turn();
      return [quiet, said, drawn.length, drawn.at(-1)];
    """
    )
    assert told == ["first", "it was forgottenTry again", 4, "maps,one,,b"]


def test_layers_are_filtered_counted_and_walked(do: Do) -> None:
    told = do(
        SCREEN
        + """
      const rows = () => [...document.querySelectorAll('#layers li')].map((one) => one.hidden);
      const seen = [layers.current().name, dom.$('layer-count').textContent];
      layers.walk(1);
      seen.push(layers.current().name);
      layers.walk(1);
      seen.push(layers.current().name);
      layers.walk(-1);
      seen.push(layers.current().name, document.querySelector('[aria-current]').dataset.name);
      dom.$('filter').value = ' TW ';
      dom.$('filter').dispatchEvent(new Event('input'));
      return [...seen, rows(), dom.$('layer-count').textContent];
    """
    )
    assert told == ["one", "2", "two", "two", "one", "one", [True, False], "1 of 2"]


# -- what Explain asks for ------------------------------------------------------------------------

#: Address → visualisers with their settings, which pictures of the demo, of which classes.
REQUESTS: dict[str, tuple[dict[str, Any], int, dict[str, Any]]] = {
    "vis=grad-cam,saliency&top=2": ({"grad-cam": {}, "saliency": {}}, 1, {"top": 2}),
    "vis=saliency,grad-cam&s.join=mean&s.positive=false": (
        {"saliency": {"join": "mean"}, "grad-cam": {"positive": "false"}}, 1, {"targets": ["top1"]},
    ),
    "vis=grad-cam&target=tabby&of=all": ({"grad-cam": {}}, 6, {"targets": ["tabby"]}),
    "vis=filter-weights": ({"filter-weights": {}}, 0, {"targets": ["top1"]}),
    "vis=nonsense": ({"grad-cam": {}}, 1, {"targets": ["top1"]}),
}  # fmt: skip


@pytest.mark.parametrize("query", REQUESTS)
def test_explain_asks_for_what_the_address_says(visit: Open, query: str) -> None:
    page = visit("static/theme.js")
    posted: list[dict[str, Any]] = []
    page.on(
        "request",
        lambda r: posted.append(json.loads(r.post_data)) if "/jobs?" in r.url and r.post_data else None,
    )
    page.goto(page.url.partition("static/")[0] + f"?view=explain&run=1&{query}")
    until(page, "document.querySelector('#explain .card')")
    images = page.locator("#strip img").evaluate_all("all => all.map((e) => e.src.split('/').at(-2))")
    (asked,) = [one for one in posted if one["visualisers"][0]["name"] != "class-probabilities"]
    visualisers, count, of = REQUESTS[query]
    expected = [{"name": name, "settings": settings} for name, settings in visualisers.items()]
    assert asked == {"images": images[:count], "visualisers": expected, **of}
