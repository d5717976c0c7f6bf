// The layers in call order, indented by their path.
import { $, h, icon, roving, times } from "./dom.js";
import * as state from "./state.js";

let rows = []; // headings among them, which have a prefix and no layer
let listed = [];
let known = [];

/** The layer that is looked at, or null. */
export const current = () => known.find((layer) => layer.name === state.get("layer")) ?? known.find((l) => l.name === fallback) ?? null;
let fallback = null;

export function begin(layers, first) {
	known = layers;
	fallback = first;
	rows = build(layers);
	listed = rows.filter((row) => row.layer);
	const list = $("layers");
	list.replaceChildren(...rows.map((row) => row.element));
	roving(list, "button");
	$("filter").addEventListener("input", sift);
	$("only-maps").addEventListener("change", () => state.set({ nomaps: $("only-maps").checked ? null : 1 }));
	state.when(["nomaps"], sift);
	state.when(["layer"], mark);
	sift();
	mark();
}

/** The next or previous layer of those listed that has maps. */
export function walk(step) {
	const shown = listed.filter((row) => !row.element.hidden && row.layer.has_maps).map((row) => row.layer.name);
	const at = shown.indexOf(current()?.name);
	const to = shown[at < 0 ? 0 : at + step];
	if (to) state.set({ layer: to, unit: null, page: null });
}

function build(layers) {
	const found = [];
	let open = []; // the paths that enclose the row at hand, outermost first
	for (const layer of layers) {
		const path = layer.name.split(/(?<=[./])/);
		open = open.filter((prefix) => layer.name.startsWith(prefix));
		const inside = open.at(-1) ?? "";
		const group = groupOf(path, inside, layer, layers);
		if (group) {
			found.push(heading(group, inside, open.length));
			open.push(group);
		}
		found.push(rowOf(layer, layer.name.slice((group ?? inside).length), open.length));
		if (layer.kind === "block") open.push(`${layer.name}${layer.name.includes("/") ? "/" : "."}`);
	}
	return found;
}

/** A folder of the path that is no layer itself but holds several: it gets a heading of its own. */
function groupOf(path, inside, layer, layers) {
	let prefix = "";
	for (const part of path.slice(0, -1)) {
		prefix += part;
		if (prefix.length <= inside.length) continue;
		const bare = prefix.slice(0, -1);
		const several = layers.filter((other) => other.name.startsWith(prefix)).length > 2;
		return several && !layers.some((other) => other.name === bare) ? prefix : null;
	}
	return null;
}

function heading(prefix, inside, depth) {
	return { prefix, element: h("li.group", { "data-depth": Math.min(depth, 5) }, prefix.slice(inside.length).replace(/[./]$/, "")) };
}

function rowOf(layer, label, depth) {
	const shape = times(layer.shape);
	const words = `${layer.name}, ${layer.kind}, ${shape || "no single output"}, ${layer.parameters} parameters`;
	const button = h("button", {
		title: words, tabindex: -1, class: layer.has_maps ? null : "flat",
		onclick: () => state.set({ layer: layer.name, unit: null, page: null, view: null }),
	}, icon(layer.kind), h("span.name", label), h("span.shape", shape || "–"));
	const element = h("li", { "data-depth": Math.min(depth, 5), class: layer.kind === "block" ? "block" : null }, button);
	return { element, button, layer };
}

function sift() {
	const asked = $("filter").value.trim().toLowerCase();
	$("only-maps").checked = state.get("nomaps") === null;
	const only = $("only-maps").checked;
	let count = 0;
	for (const row of listed) {
		const text = `${row.layer.name} ${row.layer.kind} ${row.layer.type}`.toLowerCase();
		row.element.hidden = !text.includes(asked) || (only && !row.layer.has_maps);
		count += row.element.hidden ? 0 : 1;
	}
	for (const row of rows.filter((one) => one.prefix)) {
		row.element.hidden = !listed.some((one) => !one.element.hidden && one.layer.name.startsWith(row.prefix));
	}
	$("layer-count").textContent = count === known.length ? `${count}` : `${count} of ${known.length}`;
}

function mark() {
	const chosen = current();
	for (const row of listed) {
		const is = row.layer === chosen;
		row.button.tabIndex = is ? 0 : -1;
		row.button.ariaCurrent = is ? "true" : null;
		if (is) into(row.element);
	}
}

/** Scroll the list, and only the list, so that the row is seen. */
function into(element) {
	const list = $("layers");
	const top = element.offsetTop - list.offsetTop;
	if (top < list.scrollTop + 8 || top > list.scrollTop + list.clientHeight - 40) list.scrollTop = top - list.clientHeight / 3;
}

/** What a layer is, in a line. */
export function words(layer) {
	const { kernel, stride, groups } = layer.hyper;
	const flat = (value) => (Array.isArray(value) ? times(value) : value);
	const parts = [layer.kind, times(layer.shape)];
	if (kernel) parts.push(`kernel ${flat(kernel)}`);
	if (stride) parts.push(`stride ${flat(stride)}`);
	if (groups > 1) parts.push(`${groups} groups`);
	if (layer.parameters) parts.push(`${layer.parameters.toLocaleString("en").replaceAll(",", " ")} parameters`);
	return parts.filter(Boolean).join(" · ");
}
