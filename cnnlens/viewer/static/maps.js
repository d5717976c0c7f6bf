// The maps of the chosen layer for the chosen picture.
import { $, fact, h, hint, icon, number, said, segments, times } from "./dom.js";
import * as api from "./api.js";
import * as layers from "./layers.js";
import * as pictures from "./pictures.js";
import * as state from "./state.js";
import { legend, pager, sheet, PAGE } from "./sheet.js";

const SCALES = [["unit", "map", "Each map on its own scale"], ["layer", "layer", "One scale for the layer: a dead map looks dead"], ["global", "all layers", "One scale for all layers"]];
const latest = api.latest();
let shown = null; // what the sheet is of
export let last = null; // {id, n, panel, layer}: the result on the page, for the enlarged map

export function begin() {
	state.when(["img", "layer", "scale", "order", "page", "view"], draw);
	draw();
}

export function draw() {
	if (state.get("view") === "explain") return;
	const layer = layers.current();
	const host = $("maps");
	const key = JSON.stringify([layer?.name, pictures.current()?.id, state.get("scale"), state.get("order"), state.get("page")]);
	if (key === shown) return;
	shown = key;
	const signal = latest();
	if (!layer) return host.replaceChildren(hint("This model has no layer whose maps could be shown."));
	const head = headOf(layer);
	if (!layer.has_maps) return host.replaceChildren(head, flat(layer));
	if (!pictures.current()) return host.replaceChildren(head, hint("Maps are of a picture: drop one here, paste one, or press +."));
	load(host, layer, head, signal);
	return undefined;
}

function headOf(layer) {
	const pick = (words, key, otherwise, options) => segments(words, options, state.get(key, otherwise), (value) => state.set({ [key]: value === otherwise ? null : value, page: null }));
	const scale = pick("Scale shared by", "scale", "layer", SCALES);
	const order = pick("Order", "order", "index", [["index", "number"], ["energy", "strength", "The strongest first"]]);
	return h("header.head", h("div.what", h("h2", icon(layer.kind), layer.name), fact(layers.words(layer))),
		layer.has_maps ? h("div.row.wrap", h("span.pair", "Scale", scale), h("span.pair", "Order", order)) : null);
}

function flat(layer) {
	const numbers = layer.shape.length ? `${times(layer.shape)} numbers` : "no single array";
	const to = layer.has_kernels ? h("button", { onclick: () => state.set({ view: "explain", vis: "filter-weights", "s.layer": layer.name, run: 1 }) }, "Show its filters") : null;
	return hint(`${layer.name} hands on ${numbers}, which have no places to draw as a map. Choose a layer above it.`, to);
}

async function load(host, layer, head, signal) {
	const [height, width, channels] = layer.shape;
	const page = Math.min(Math.max(0, Number(state.get("page", 0)) || 0), Math.ceil(channels / PAGE) - 1);
	const count = Math.min(PAGE, channels - page * PAGE);
	const under = h("div.legend", h("div.bar.own", " "));
	const notes = h("div.notes");
	const early = state.get("order") === "energy" ? Array(count).fill("") : Array.from({ length: count }, (_, i) => String(page * PAGE + i));
	const empty = sheet(early, [height, width]);
	host.replaceChildren(...[head, under, empty.element, pager(page * PAGE, channels, (to) => state.set({ page: to / PAGE || null })), notes].filter(Boolean));
	try {
		const settings = { layer: layer.name, scale: state.get("scale", "layer"), order: state.get("order", "index") };
		const progress = (job) => { if (job.ahead || job.elapsed > 1) notes.textContent = job.ahead ? "Waiting for the job before this one…" : "Working…"; };
		const told = await api.only(pictures.current().id, { name: "feature-maps", settings }, { signal, progress });
		const panel = told.panels[0];
		last = { id: told.id, n: 0, panel, layer };
		const bar = legend(panel, "point at a map for its values");
		const open = (name) => state.set({ unit: name });
		const cells = sheet(panel.names.slice(page * PAGE, page * PAGE + count), [height, width], { open, hover: bar.hover });
		cells.fill(told.id, 0, panel, page * PAGE);
		under.replaceWith(bar.element);
		empty.element.replaceWith(cells.element);
		notes.replaceChildren(...told.panels.filter((p) => p.kind === "Note").map((p) => h("p", p.text)), fact(`${number(told.facts.seconds)} s`));
		dispatchEvent(new Event("maps"));
	} catch (error) {
		if (error.name === "AbortError") return;
		shown = null;
		empty.element.replaceWith(said(error.message, h("button", { onclick: draw }, "Try again")));
	}
}
