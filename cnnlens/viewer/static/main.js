// Begin: read what the server put into the page, and set every part going.
import { $, roving } from "./dom.js";
import * as colours from "./colours.js";
import * as compare from "./compare.js";
import * as explain from "./explain.js";
import * as jobs from "./jobs.js";
import * as keys from "./keys.js";
import * as layers from "./layers.js";
import * as maps from "./maps.js";
import * as pictures from "./pictures.js";
import * as state from "./state.js";

const start = JSON.parse($("start").textContent);

function tabs() {
	const view = state.get("view", "maps");
	for (const name of state.VIEWS) {
		const is = name === view;
		$(name).hidden = !is;
		$(`tab-${name}`).ariaSelected = String(is);
		$(`tab-${name}`).tabIndex = is ? 0 : -1;
	}
	$("methods").hidden = view !== "explain";
	$("tree").hidden = view === "explain";
	if (view === "model") $("save").hidden = true;
}

for (const name of state.VIEWS) $(`tab-${name}`).addEventListener("click", () => state.set({ view: name === "maps" ? null : name }));
roving(document.querySelector(".tabs"), "[role=tab]");
state.when(["view"], tabs);

state.bind();
colours.begin(start.colours);
layers.begin(start);
pictures.begin(start);
tabs();
maps.begin();
explain.begin(start);
compare.begin(start);
jobs.begin();
keys.begin();
