// What lies over a map: the cursor, outlines, values; and where a click leads.
import { h, number } from "./dom.js";
import * as state from "./state.js";

/** Lay a mark over [y0, x0, y1, x1] of an array of that shape; null takes it away. */
export function put(mark, box, [height, width]) {
	mark.hidden = !box;
	if (!box) return;
	const [y0, x0, y1, x1] = box;
	mark.style.inset = [y0 / height, 1 - x1 / width, 1 - y1 / height, x0 / width].map((share) => `${100 * share}%`).join(" ");
}

/** A panel's outlines, or those of one tile. */
export const outlined = (panel, shape, tile) => (panel.outlines ?? []).filter((one) => (one.tile ?? tile) === tile).map(({ box, words }) => {
	const mark = h("i.at", { title: words });
	put(mark, box, shape);
	return mark;
});

/** Values in rows, each in its place. */
export function written(rows) {
	const grid = h("span.values", rows.flat().map((value) => h("b", number(value))));
	grid.style.grid = `repeat(${rows.length},1fr)/repeat(${rows[0].length},1fr)`;
	return grid;
}

/** Open what a link leads to from a place. */
export function lead({ visualiser, settings, place, tile, start, step, within }, { y, x, name }) {
	const there = [y, x].map((at, axis) => start[axis] + step[axis] * at);
	if (place && within && there.some((at, axis) => at < 0 || at >= within[axis])) return;
	state.open(visualiser, { ...settings, ...(place && { [place]: there.join() }), ...(tile && { [tile]: name }) });
}

/** Tell the place that the cursor is over, null when it has left; a click is `open`'s, as Enter where arrows led. */
export function follow(element, [height, width], tell, open) {
	let at = null;
	const move = (y, x) => {
		const [row, column] = [[y, height], [x, width]].map(([place, size]) => Math.min(size - 1, Math.max(0, Math.floor(place))));
		tell(at = { y: row, x: column });
	};
	element.addEventListener("pointermove", (event) => {
		const box = element.getBoundingClientRect();
		move((event.clientY - box.top) / box.height * height, (event.clientX - box.left) / box.width * width);
	});
	element.addEventListener("pointerleave", () => tell(at = null));
	if (!open) return;
	element.tabIndex = 0;
	element.role = "application";
	element.addEventListener("click", () => at && open(at));
	element.addEventListener("keydown", (event) => {
		const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
		if (step) at ? move(at.y + step[0], at.x + step[1]) : move(0, 0);
		else if (event.key === "Enter" && at) open(at);
		else return;
		event.preventDefault();
	});
}
