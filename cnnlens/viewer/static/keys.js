// The keyboard: a control is pressed by its `data-key`; the rest is here.
import { $ } from "./dom.js";
import * as layers from "./layers.js";
import * as pictures from "./pictures.js";

const ACTS = {
	"[": () => layers.walk(-1), "]": () => layers.walk(1), ArrowLeft: () => pictures.walk(-1), ArrowRight: () => pictures.walk(1),
	c() {
		const select = $("colours");
		select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
		select.dispatchEvent(new Event("change"));
	},
};

export function begin() {
	addEventListener("keydown", (event) => {
		if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open], :popover-open")) return;
		if (event.target.closest?.("input:not([type=checkbox]), select, textarea")) {
			if (event.key === "Escape") event.target.blur();
			return;
		}
		const map = event.key === "Enter" && event.target === document.body && document.querySelector("main > :not([hidden]) [role=application]");
		if (map) return map.focus();
		const control = [...document.querySelectorAll(`[data-key="${CSS.escape(event.key)}"]`)].find((one) => one.offsetParent);
		if (!control && !ACTS[event.key]) return;
		event.preventDefault();
		if (!control) ACTS[event.key]();
		else if (control.matches("input")) control.focus();
		else control.click();
	});
	$("help-open").addEventListener("click", () => $("help").showModal());
}
