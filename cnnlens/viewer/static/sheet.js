// A sheet of small maps: its cells stand before the pictures come.
import { h, number, roving, sign, times } from "./dom.js";
import * as api from "./api.js";
import { colourBar, coloured } from "./colours.js";
import { follow, lead, outlined, put, written } from "./pointing.js";

export const PAGE = 64;

/** Empty cells, the first of which is number `first`; `fill` paints them, `tell({i, name, y, x})` hears of the cursor,
 *  null when it has left, and `point` marks such a place. */
export function sheet(names, shape, { first = 0, open = null, tell = null, panel = {} } = {}) {
	const [height, width] = shape;
	const cells = names.map((name) => cellOf(name, height, width, open));
	const element = h("div.sheet", { role: "group", "aria-label": `${names.length} maps of ${times(shape)}` }, cells.map((cell) => cell.element));
	const many = names.length > 1;
	const large = Math.max(height, width);
	const side = panel.written ? Math.max(96, 58 * width) : large <= 8 ? 64 : large <= 32 ? 80 : 96;
	element.style.setProperty("--cell", many || panel.written ? `${side}px` : "100%");
	element.className = `sheet${panel.written ? " written" : ""}${many ? " many" : ""}${many && width >= side ? " fine" : ""}`;
	if (open) {
		roving(element, "button", () => getComputedStyle(element).gridTemplateColumns.split(" ").length);
		if (cells[0]) cells[0].element.tabIndex = 0;
	}
	if (tell) cells.forEach((cell, i) => {
		const here = (at) => at && { ...at, i: first + i, name: cell.name };
		follow(cell.frame, shape, (at) => tell(here(at)), !open && panel.opens && ((at) => lead(panel.opens, here(at))));
		cell.frame.append(...outlined(panel, shape, first + i));
	});
	const mark = h("i.at");
	const point = (at) => {
		const cell = at && cells[at.i - first];
		if (cell) cell.frame.append(mark);
		put(mark, cell && [at.y, at.x, at.y + 1, at.x + 1], shape);
	};
	const fill = (result, n, panel, query = "") => {
		const columns = Math.ceil(Math.sqrt(cells.length));
		cells.forEach((cell, i) => label(cell, panel, first + i));
		if (panel.written) api.values(result, n).then(({ values }) => cells.forEach(({ frame }, i) => frame.append(written(values[first + i]))), () => null);
		let newest = null;
		coloured(element, api.levels(result, n, `&first=${first}&count=${cells.length}&columns=${columns}${query}`), panel.signed, async (picture) => {
			newest = picture;
			const image = await createImageBitmap(picture);
			const from = (i) => [(i % columns) * (width + 1), Math.floor(i / columns) * (height + 1)];
			if (newest === picture) cells.forEach(({ canvas }, i) => canvas.getContext("2d").drawImage(image, ...from(i), width, height, 0, 0, width, height));
			image.close();
			element.classList.add("ready");
		});
	};
	return { element, point, fill };
}

function cellOf(name, height, width, open) {
	const canvas = h("canvas", { width, height });
	canvas.style.aspectRatio = `${width} / ${height}`;
	const frame = h("span.frame-of", canvas);
	const words = h("span.no", name);
	const element = open ? h("button.cell", { tabindex: -1, "data-name": name, onclick: () => open(name) }, frame, words) : h("div.cell", { role: "img" }, frame, words);
	return { name, canvas, frame, words, element };
}

function label({ element, words, name }, panel, i) {
	const [low, high] = panel.ranges[i];
	const mark = panel.marks?.[i];
	element.setAttribute("aria-label", `${panel.title} ${name}, ${number(low)} to ${number(high)}${mark ? `, ${mark}` : ""}`);
	element.title = `${name}: ${number(low)} … ${number(high)}`;
	element.classList.toggle("marked", Boolean(mark));
	words.replaceChildren(name, mark ? h("em", mark) : "");
}

/** Where one stands among `total` maps, and the way on. */
export function pager(first, total, go) {
	if (total <= PAGE) return null;
	const turn = (to, words, name) => sign(name, words, () => go(to), to < 0 || to >= total);
	return h("div.pager", turn(first - PAGE, "The maps before", "left"),
		h("span.num", `${first}–${Math.min(total, first + PAGE) - 1} of ${total}`), turn(first + PAGE, "The next maps", "right"));
}

/** A colour bar, and a line for the value at a place, which `point` reads. */
export function legend(result, n, panel, limits = panel.limits, hint = "") {
	const rgb = panel.shape.length === 4;
	const bar = rgb ? { element: h("div.bar.own", panel.signed ? "mid-grey is zero" : "colours as they are"), point: () => {} } : colourBar({ ...panel, limits });
	const words = h("output.readout", { "aria-live": "off" }, hint);
	const maps = {}; // values that were fetched, by map
	let newest = null;
	const point = async (at) => {
		newest = at;
		if (!at) {
			words.textContent = hint;
			return bar.point(null);
		}
		const { i, name, y, x } = at;
		maps[i] ??= api.values(result, n, i === undefined ? "" : `?first=${i}&count=1`).then(({ values }) => (i === undefined ? values : values[0]), () => null);
		const value = (await maps[i])?.[y]?.[x];
		if (newest !== at || value === undefined) return undefined;
		words.textContent = `${name ? `${name} · ` : ""}y ${y}, x ${x} · ${rgb ? value.map(number).join(", ") : number(value)}`;
		return bar.point(rgb ? null : value);
	};
	return { element: h("div.legend", bar.element, words), point };
}
