// The keyboard. Every key does what a control on the page does too.
import { $, fact, fold, h, sign } from "./dom.js";
import * as layers from "./layers.js";
import * as pictures from "./pictures.js";

const KEYS = [
	["[ ]", "the layer before, the next layer"], ["← →", "the picture before, the next picture; in an enlarged map, maps"],
	["1 – 5", "explain that class"], ["/", "filter the layers"], ["m  e", "feature maps, explain"], ["c", "the next colour map"],
	["d", "light or dark"], ["?", "this help"], ["Esc", "close"],
];

export function begin(show) {
	const acts = {
		"[": () => layers.walk(-1), "]": () => layers.walk(1), ArrowLeft: () => pictures.walk(-1), ArrowRight: () => pictures.walk(1),
		"/": () => $("filter").focus(), "?": help, m: () => show("maps"), e: () => show("explain"), d: () => $("theme").click(), c: recolour,
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
	$("help-open").addEventListener("click", help);
	$("help").addEventListener("click", (event) => { if (event.target === $("help")) $("help").close(); });
}

function recolour() {
	const select = $("colours");
	select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
	select.dispatchEvent(new Event("change"));
}

function help() {
	const dialog = $("help");
	dialog.replaceChildren(
		h("div", { class: "row" }, h("h2", { id: "h-help" }, "Keys"), sign("close", "Close", () => dialog.close())),
		h("dl", { class: "keys" }, KEYS.map(([keys, words]) => [h("dt", {}, keys.split(" ").filter(Boolean).map((key) => (key === "–" ? key : h("kbd", {}, key)))), h("dd", {}, words)])),
		fact("What you look at is in the address: reload, back and bookmarks work. Scripts have the same powers: ", h("a", { href: "api/v1/openapi.json" }, "the REST API"), "."),
		plugins());
	dialog.showModal();
}

let start = null;
export const know = (told) => { start = told; };

function plugins() {
	const { loaded, problems } = start.plugins;
	const rows = [...loaded.map((one) => h("li", {}, `${one.name} ${one.version}`)), ...problems.map((one) => h("li", { class: "bad" }, `left out: ${one.plugin}: ${one.reason}`))];
	return fold(`${loaded.length} plugins, ${problems.length} left out · cnnlens ${start.version}`, h("ul", {}, rows));
}
