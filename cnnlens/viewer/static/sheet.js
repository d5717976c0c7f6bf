// A sheet of small maps: its cells stand before the pictures come, so nothing jumps.
import { h, number, roving, sign, times } from "./dom.js";
import * as api from "./api.js";
import { colourBar, coloured } from "./colours.js";

export const PAGE = 64;

/** Empty cells for `names`, and `fill(result, n, panel, first)` that paints them. */
export function sheet(names, shape, { open = null, hover = () => {} } = {}) {
	const [height, width] = shape;
	const cells = names.map((name) => cellOf(name, height, width, open));
	const element = h("div.sheet", { role: "group", "aria-label": `${names.length} maps of ${times(shape)}` }, cells.map((cell) => cell.element));
	const many = names.length > 1;
	const large = Math.max(height, width);
	const side = large <= 8 ? 64 : large <= 32 ? 80 : 96; // of a cell on the page
	element.style.setProperty("--cell", many ? `${side}px` : "100%");
	element.classList.toggle("fine", many && width >= side);
	element.classList.toggle("many", many);
	if (open) {
		roving(element, "button", () => getComputedStyle(element).gridTemplateColumns.split(" ").length);
		if (cells[0]) cells[0].element.tabIndex = 0;
	}
	return { element, fill: (result, n, panel, first) => fill({ element, cells, height, width, hover }, result, n, panel, first) };
}

function cellOf(name, height, width, open) {
	const canvas = h("canvas", { width, height });
	canvas.style.aspectRatio = `${width} / ${height}`;
	const words = h("span.no", name);
	const attributes = open ? { class: "cell", tabindex: -1, "data-name": name, onclick: () => open(name) } : { class: "cell", role: "img" };
	return { name, canvas, words, element: h(open ? "button" : "div", attributes, canvas, words) };
}

function fill(grid, result, n, panel, first) {
	const { element, cells, hover } = grid;
	const count = cells.length;
	const columns = Math.ceil(Math.sqrt(count));
	cells.forEach((cell, i) => label(cell, panel, first + i));
	let newest = null;
	coloured(element, api.levels(result, n, `?first=${first}&count=${count}&columns=${columns}`), panel.signed, async (picture) => {
		newest = picture;
		const image = await createImageBitmap(picture);
		if (newest === picture) cells.forEach((cell, i) => lay(cell.canvas, image, i % columns, Math.floor(i / columns)));
		image.close();
		element.classList.add("ready");
	});
	cells.forEach((cell, i) => {
		const read = reader(result, n, first + i, panel.shape.length > 3);
		follow(cell.canvas, async (event) => ({ name: cell.name, ...await read(event, cell.canvas) }), hover);
	});
}

function lay(canvas, image, column, row) {
	const { width, height } = canvas;
	const context = canvas.getContext("2d");
	context.drawImage(image, column * (width + 1), row * (height + 1), width, height, 0, 0, width, height);
}

function label(cell, panel, i) {
	const [low, high] = panel.ranges[i];
	const mark = panel.marks?.[i];
	cell.element.setAttribute("aria-label", `${panel.title} ${cell.name}, ${number(low)} to ${number(high)}${mark ? `, ${mark}` : ""}`);
	cell.element.title = `${cell.name}: ${number(low)} … ${number(high)}`;
	cell.element.classList.toggle("marked", Boolean(mark));
	cell.words.replaceChildren(cell.name, mark ? h("em", mark) : "");
}

/** Tell `hover` what `read` finds under the cursor, and null when it has left. */
export function follow(element, read, hover) {
	let inside = false;
	element.addEventListener("pointermove", async (event) => {
		inside = true;
		const found = await read(event);
		if (inside) hover(found);
	});
	element.addEventListener("pointerleave", () => { inside = false; hover(null); });
}

/** From a pointer over an element to the value at that place; the values are fetched when first asked for. */
export function reader(result, n, tile, coloured = false) {
	let values = null;
	return async (event, element) => {
		const box = element.getBoundingClientRect();
		const share = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
		values ??= api.values(result, n, tile === null ? "" : `?first=${tile}&count=1`).then((told) => (tile === null ? told.values : told.values[0]));
		const map = await values.catch(() => null);
		if (!map) return {};
		const y = Math.min(map.length - 1, Math.max(0, Math.floor(share[0] * map.length)));
		const x = Math.min(map[0].length - 1, Math.max(0, Math.floor(share[1] * map[0].length)));
		return { y, x, value: coloured ? null : map[y][x], text: coloured ? map[y][x].map(number).join(", ") : number(map[y][x]) };
	};
}

/** Where one stands among `total` maps, and the way on; nothing where one page holds all. */
export function pager(first, total, go) {
	if (total <= PAGE) return null;
	const turn = (to, words, name) => sign(name, words, () => go(to), to < 0 || to >= total);
	return h("div.pager", turn(first - PAGE, "The maps before", "left"),
		h("span.num", `${first}–${Math.min(total, first + PAGE) - 1} of ${total}`), turn(first + PAGE, "The next maps", "right"));
}

/** A line for the value under the cursor beside the colour bar; it keeps its place. */
export function legend(panel, hint = "") {
	const bar = panel.shape.length === 4 ? { element: h("div.bar.own", panel.signed ? "mid-grey is zero" : "colours as they are"), point: () => {} } : colourBar(panel);
	const read = h("output.readout", { "aria-live": "off" }, hint);
	const hover = (at) => {
		read.textContent = at?.text ? `${at.name ? `${at.name} · ` : ""}y ${at.y}, x ${at.x} · ${at.text}` : at ? "…" : hint;
		bar.point(at?.value ?? null);
	};
	return { element: h("div.legend", bar.element, read), hover };
}
