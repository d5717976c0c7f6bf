// One map taken apart: where it is strong, what it saw there, its kernel, its numbers.
import { fact, h, icon, sign } from "./dom.js";
import * as api from "./api.js";
import * as state from "./state.js";
import { card, savable } from "./panels.js";
import { PAGE } from "./sheet.js";

let left = null;

function leave() {
	left = state.get("unit");
	state.set({ unit: null });
}

/** Among all maps again, the one that was left. */
export function refocus(sheets) {
	sheets.querySelector(`[data-name="${left}"]`)?.focus();
	left = null;
}

const chosen = (layer) => Math.min(layer.shape[2] - 1, Math.max(0, Math.trunc(state.get("unit")) || 0));

export function head(layer) {
	const at = chosen(layer);
	const go = (to) => () => state.set({ unit: to, page: Math.floor(to / PAGE) || null });
	return h("header.head", h("div.what", h("h2", sign("back", "All maps (Esc)", leave, false, "Escape"), icon(layer.kind), `${layer.name}[${at}]`), fact(layer.words)),
		h("div.row.wrap", sign("left", "The map before (←)", go(at - 1), at <= 0, "ArrowLeft"), sign("right", "The next map (→)", go(at + 1), at >= layer.shape[2] - 1, "ArrowRight"),
			h("button", { onclick: () => state.set({ view: "explain", target: `${layer.name}[${at}]`, unit: null, vis: "saliency" }) }, "Explain this channel")));
}

export async function draw(host, head, layer, picture, signal) {
	const settings = { layer: layer.name, unit: chosen(layer) };
	if (host.firstElementChild?.className !== "head") host.replaceChildren(head, fact("Working…"));
	else host.firstElementChild.replaceWith(head); // the map before stands until the next one is there
	const told = await api.only(picture.id, { name: "unit", settings }, { signal });
	const { field } = await api.layer(layer.name);
	signal.throwIfAborted();
	const reach = field && ((y, x) => [0, 1, 0, 1].map((axis, end) => field.start[axis] + [y, x][axis] * field.stride[axis] + (end > 1 ? field.size[axis] : 0)));
	host.replaceChildren(head, card(told, picture.id, { field: reach, hint: "point at the map: what it sees is marked" }));
	savable([told.id]);
}
