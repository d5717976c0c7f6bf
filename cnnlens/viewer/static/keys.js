// The keyboard. Every key does what a control on the page does too.
import { $ } from "./dom.js";
import * as layers from "./layers.js";
import * as pictures from "./pictures.js";

export function begin(show) {
	const acts = {
		"[": () => layers.walk(-1), "]": () => layers.walk(1), ArrowLeft: () => pictures.walk(-1), ArrowRight: () => pictures.walk(1),
		"/": () => $("filter").focus(), "?": () => $("help").showModal(), m: () => show("maps"), e: () => show("explain"), d: () => $("theme").click(), c: recolour,
	};
	addEventListener("keydown", (event) => {
		const typing = event.target.closest?.("input:not([type=checkbox]), select, textarea");
		if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
		if (typing) {
			if (event.key === "Escape") event.target.blur();
			return;
		}
		const act = /^[1-9]$/.test(event.key) ? () => pictures.choose(Number(event.key)) : acts[event.key];
		if (!act) return;
		event.preventDefault();
		act();
	});
	$("help-open").addEventListener("click", acts["?"]);
	for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("click", ({ target }) => { if (target === dialog) dialog.close(); });
}

function recolour() {
	const select = $("colours");
	select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
	select.dispatchEvent(new Event("change"));
}
