// How maps are coloured: the theme and the two colour maps. A change asks for pictures again, never for a run.
import { $, h, number } from "./dom.js";
import * as state from "./state.js";
import { url } from "./api.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const watchers = new Set();

export function theme() {
	return document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
}

/** The query that asks the server for our colours. */
export function query() {
	const parts = new URLSearchParams({ theme: theme() });
	if (state.get("colours")) parts.set("colours", state.get("colours"));
	if (state.get("signed")) parts.set("signed_colours", state.get("signed"));
	return parts.toString();
}

/** The name of the colour map in use. */
export function table(signed) {
	if (signed) return state.get("signed") ?? (theme() === "dark" ? "berlin" : "RdBu_r");
	return state.get("colours") ?? "viridis";
}

/** Call `paint` now and whenever the colours change, for as long as `element` stands on the page. */
export function painted(element, paint) {
	watchers.add({ element, paint, seen: false });
	paint();
}

function repaint() {
	for (const watcher of watchers) {
		if (watcher.element.isConnected) watcher.paint();
		else watchers.delete(watcher);
	}
}

/** A colour bar with numbers at its ends; `point(value)` sets a mark on it. */
export function colourBar(panel) {
	const strip = h("img", { alt: "", class: "ramp" });
	const tick = h("i", { class: "tick", hidden: true });
	const limits = panel.limits;
	if (!limits) return { element: h("div", { class: "bar own" }, "each map on its own scale"), point: () => {} };
	const [low, high] = limits;
	const unit = panel.unit ? h("span", { class: "unit" }, panel.unit) : null;
	const zero = panel.signed ? h("i", { class: "zero", title: "zero" }) : null;
	const element = h("div", { class: "bar" }, h("span", { class: "num" }, number(low)),
		h("span", { class: "ramp-box" }, strip, zero, tick), h("span", { class: "num" }, number(high)), unit);
	painted(strip, () => { strip.src = url(`colours/${table(panel.signed)}.png`); });
	const point = (value) => {
		tick.hidden = value === null || value === undefined;
		if (!tick.hidden) tick.style.left = `${Math.min(1, Math.max(0, (value - low) / (high - low || 1))) * 100}%`;
	};
	return { element, point };
}

export function begin(names) {
	const fill = (select, words, list, key) => {
		select.replaceChildren(h("option", { value: "" }, words),
			...list.map((name) => h("option", { value: name }, name === "jet" ? "jet (misleads)" : name)));
		select.value = state.get(key, "");
		select.addEventListener("change", () => state.set({ [key]: select.value }));
		state.when([key], () => { select.value = state.get(key, ""); repaint(); });
	};
	fill($("colours"), "viridis", names.sequential.filter((name) => name !== "viridis"), "colours");
	fill($("signed"), "by theme", names.diverging, "signed");
	dark.addEventListener("change", repaint);
	$("theme").addEventListener("click", () => {
		document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
		try {
			localStorage.setItem("cnnlens-theme", theme());
		} catch (error) {
			console.info("not remembered", error);
		}
		repaint();
	});
}
