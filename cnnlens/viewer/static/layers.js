// The list of layers, as the server wrote it: filter it, walk it, mark one.
import { $, roving } from "./dom.js";
import * as state from "./state.js";

let rows = [];
let known, fallback;

const named = (name) => known.find((layer) => layer.name === name);

/** The layer that is looked at, or null. */
export const current = () => named(state.get("layer")) ?? named(fallback) ?? null;

/** What leads to a layer: its maps. */
const towards = (layer) => ({ layer, unit: null, page: null, ...(state.get("view") === "compare" ? {} : { view: null }) });

export function begin(start) {
	({ layers: known, layer: fallback } = start);
	const list = $("layers");
	rows = [...list.querySelectorAll("button")].map((button) => ({ button, element: button.parentElement, layer: named(button.dataset.name) }));
	list.addEventListener("click", ({ target }) => {
		const name = target.closest("button")?.dataset.name;
		if (name) state.set(towards(name));
	});
	roving(list, "button");
	$("filter").addEventListener("input", sift);
	state.when(["nomaps"], sift);
	state.when(["layer"], mark);
	sift();
	mark();
}

export function walk(step) {
	const shown = rows.filter((row) => !row.element.hidden && row.layer.has_maps).map((row) => row.layer.name);
	const at = shown.indexOf(current()?.name);
	const to = shown[at < 0 ? 0 : at + step];
	if (to) state.set(towards(to));
}

function sift() {
	const asked = $("filter").value.trim().toLowerCase();
	const only = !state.get("nomaps");
	for (const { element, layer } of rows) element.hidden = !`${layer.name} ${layer.kind} ${layer.type}`.toLowerCase().includes(asked) || (only && !layer.has_maps);
	const shown = rows.filter((row) => !row.element.hidden);
	for (const group of $("layers").querySelectorAll("[data-prefix]")) group.hidden = !shown.some((row) => row.layer.name.startsWith(group.dataset.prefix));
	$("layer-count").textContent = shown.length === known.length ? `${known.length}` : `${shown.length} of ${known.length}`;
}

function mark() {
	const chosen = current();
	for (const { button, element, layer } of rows) {
		const is = layer === chosen;
		button.tabIndex = is ? 0 : -1;
		button.ariaCurrent = is ? "true" : null;
		if (is) into(element);
	}
}

/** Scroll the list, and nothing else, to a row. */
function into(element) {
	const list = $("layers");
	const top = element.offsetTop - list.offsetTop;
	if (top < list.scrollTop + 8 || top > list.scrollTop + list.clientHeight - 40) list.scrollTop = top - list.clientHeight / 3;
}
