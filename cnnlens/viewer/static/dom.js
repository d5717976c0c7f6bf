// Elements without markup: text goes in as text.

import { restart } from "./api.js";

/** An element: `tag.class`; attributes, if any (`on…` listens, `true` is bare, null is none); children. */
export function h(tag, ...inside) {
	const [name, ...classes] = tag.split(".");
	const element = document.createElementNS(`http://www.w3.org/${/^(svg|path|use)$/.test(name) ? "2000/svg" : "1999/xhtml"}`, name);
	if (name === "button") element.type = "button";
	const attributes = inside[0]?.constructor === Object ? inside.shift() : {};
	for (const [key, value] of Object.entries({ class: classes.join(" ") || null, ...attributes })) {
		if ((value ?? false) === false) continue;
		if (key.startsWith("--")) element.style.setProperty(key, value);
		else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
		else element.setAttribute(key, value === true ? "" : value);
	}
	element.append(...inside.flat(Infinity).filter((child) => (child ?? "") !== "" && child !== false));
	return element;
}

/** The element that the server tells as lists: what `h` is given. */
export const built = (tree) => (Array.isArray(tree) ? h(...tree.map(built)) : tree);

export const $ = (id) => document.getElementById(id);

export const icon = (name) => h("svg.i", { "aria-hidden": "true" }, h("use", { href: `#i-${$(`i-${name}`) ? name : "other"}` }));

/** A button that is a sign: `words` say what it does, `key` does it too. */
export const sign = (name, words, onclick, disabled = false, key = null) => h("button.quiet", { title: words, "aria-label": words, disabled, onclick, "data-key": key }, icon(name));

export const fact = (...words) => h("p.facts", words);

export const fold = (words, ...inside) => h("details", h("summary", words), inside);

/** Three figures and a real minus, as on every colour bar. */
export function number(value) {
	if ((value ?? null) === null) return "not finite";
	if (value === 0) return "0";
	const size = Math.abs(value);
	const text = size >= 1e-4 && size < 1e6 ? String(Number(value.toPrecision(3))) : value.toExponential(2);
	return text.replaceAll("-", "−");
}

export const times = (shape) => shape.join("×");

export const num = (value) => h("span.num", number(value));

/** An error in its place: what happened, and what next. */
export const said = (message, next = null) => h("div.said", { role: "alert" }, h("p", message), next);

export const progress = (job) => [h("progress", { max: 1, value: job.share || null, "aria-label": "Progress" }), h("p.facts.num", job.words)];

export function retry(error, again) {
	const dead = error.kind === "WorkerDied";
	return said(error.message, h("button", { onclick: () => (dead ? restart().then(again) : again()) }, dead ? "Start it again" : "Try again"));
}

/** The same for what is no error. */
export const hint = (message, next = null) => h("div.said.hint", h("p", message), next);

/** One tab stop for many buttons, `across()` in a row; arrows walk. */
export function roving(host, selector, across = () => 1) {
	host.addEventListener("keydown", (event) => {
		const all = [...host.querySelectorAll(selector)].filter((one) => !one.disabled && one.offsetParent);
		const at = all.indexOf(document.activeElement);
		const row = across();
		const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row }[event.key];
		const to = event.key === "Home" ? 0 : event.key === "End" ? all.length - 1 : at + step;
		if (at < 0 || !all[to]) return;
		event.preventDefault();
		event.stopPropagation();
		all[at].tabIndex = -1;
		all[to].tabIndex = 0;
		all[to].focus();
	});
}
