// Begin: read what the server put into the page, and set every part going.
import { $, roving } from "./dom.js";
import * as colours from "./colours.js";
import * as explain from "./explain.js";
import * as keys from "./keys.js";
import * as layers from "./layers.js";
import * as maps from "./maps.js";
import * as pictures from "./pictures.js";
import * as state from "./state.js";
import * as unit from "./unit.js";

const start = JSON.parse($("start").textContent);
const first = start.visualisers.find((one) => one.name === "feature-maps")?.resolved?.layer ?? null;

function show(view) {
	state.set({ view: view === "explain" ? view : null });
}

function tabs() {
	const view = state.get("view") === "explain" ? "explain" : "maps";
	for (const name of ["maps", "explain"]) {
		$(name).hidden = name !== view;
		$(`tab-${name}`).setAttribute("aria-selected", String(name === view));
		$(`tab-${name}`).tabIndex = name === view ? 0 : -1;
	}
}

for (const name of ["maps", "explain"]) $(`tab-${name}`).addEventListener("click", () => show(name));
roving(document.querySelector(".tabs"), "button");
state.when(["view"], tabs);

colours.begin(start.colours);
layers.begin(start.layers, first);
unit.begin();
pictures.begin(start);
maps.begin();
explain.begin(start.visualisers);
keys.begin(show);
tabs();
addEventListener("pictures", () => { maps.draw(); explain.rebuild(); });
