// Explore: the maps of the chosen layer, or one taken apart.
import { fact, h, hint, icon, number } from "./dom.js";
import * as api from "./api.js";
import { WANTED } from "./pictures.js";
import * as state from "./state.js";
import { savable, tiles } from "./panels.js";
import { screen } from "./screen.js";
import { pager, sheet, PAGE } from "./sheet.js";
import * as unit from "./unit.js";

const SCALES = [["unit", "map"], ["layer", "layer", "One scale for the layer: a dead map looks dead"], ["global", "all layers"]];

export const begin = () => screen("maps", ["scale", "order", "page", "unit"], draw);

async function draw(host, layer, picture, signal) {
	if (!layer) return host.replaceChildren(hint("This model has no layer whose maps could be shown."));
	const one = state.get("unit") !== null && layer.has_maps;
	const head = (one ? unit.head : headOf)(layer);
	if (!layer.has_maps) return host.replaceChildren(head, flat(layer));
	if (!picture) return host.replaceChildren(head, hint(WANTED));
	return (one ? unit.draw : load)(host, head, layer, picture, signal);
}

function headOf(layer) {
	const pick = (words, key, otherwise, options) => h("span.pair", words, state.choice(words, key, options, { otherwise, row: true, more: { page: null } }));
	return h("header.head", h("div.what", h("h2", icon(layer.kind), layer.name), fact(layer.words)), layer.has_maps && h("div.row.wrap",
		pick("Scale", "scale", "layer", SCALES), pick("Order", "order", "index", [["index", "number"], ["energy", "strength"]])));
}

const flat = ({ name, flat, has_kernels }) => hint(flat, has_kernels && h("button", { onclick: () => state.open("filter-weights", { layer: name }) }, "Show its filters"));

export const settings = (layer, order = state.get("order", "index")) => ({ layer: layer.name, scale: state.get("scale", "layer"), order });

async function load(host, head, layer, picture, signal) {
	const channels = layer.shape[2];
	const first = PAGE * Math.min(Math.max(0, Math.trunc(state.get("page", 0)) || 0), Math.ceil(channels / PAGE) - 1);
	const count = Math.min(PAGE, channels - first);
	const notes = h("div.notes");
	const turn = (to) => state.set({ page: to / PAGE || null });
	const early = sheet(Array.from({ length: count }, (_, i) => (state.get("order") === "energy" ? "" : String(first + i))), layer.shape);
	const body = h("section.panel", h("div.legend", h("div.bar.own", " ")), early.element, pager(first, channels, turn), notes);
	host.replaceChildren(head, body);
	const progress = (job) => { if (job.ahead || job.elapsed > 1) notes.textContent = job.words; };
	const told = await api.only(picture.id, { name: "feature-maps", settings: settings(layer) }, { signal, progress });
	const words = told.panels.filter((panel) => panel.kind === "Note").map((panel) => h("p", panel.text));
	const sheets = tiles(told, told.panels[0], 0, null, { first, turn, open: (name) => state.set({ unit: name }), hint: "point at a map for its values" });
	sheets.append(h("div.notes", words, fact(`${number(told.facts.seconds)} s`)));
	body.replaceWith(sheets);
	unit.refocus(sheets);
	return savable([told.id]);
}
