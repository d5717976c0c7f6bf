// What is looked at lives in the address: reload, back and links work.

import { h } from "./dom.js";

export const VIEWS = ["maps", "explain", "compare", "model"];
const PUSHED = new Set(["img", "layer", "view", "vis", "unit", "page"]);
const heard = [];
let values = read();

function read() {
	const found = Object.fromEntries(new URLSearchParams(location.search));
	if (!VIEWS.includes(found.view)) delete found.view;
	return found;
}

export const get = (name, otherwise = null) => values[name] ?? otherwise;

/** The settings of the chosen visualiser, as the address has them. */
export function settings() {
	return Object.fromEntries(Object.entries(values).filter(([k]) => k.startsWith("s.")).map(([k, v]) => [k.slice(2), v]));
}

/** Show what a visualiser makes with these settings. */
export function open(vis, given) {
	const of = (all, value) => Object.fromEntries(Object.keys(all).map((name) => [`s.${name}`, value(name)]));
	set({ ...of(settings(), () => null), ...of(given, (name) => given[name]), view: "explain", vis }, true);
}

/** Change some values (null forgets one) and tell who listens. */
export function set(changes, push) {
	const before = values;
	values = { ...values };
	for (const [name, value] of Object.entries(changes)) {
		if ((value ?? "") === "") delete values[name];
		else values[name] = String(value);
	}
	const changed = differing(before, values);
	if (!changed.size) return;
	const query = new URLSearchParams(values).toString();
	const address = query ? `?${query}` : location.pathname;
	history[push || [...changed].some((name) => PUSHED.has(name)) ? "pushState" : "replaceState"](null, "", address);
	tell(changed);
}

/** A menu or a row of buttons whose choice the address keeps. */
export function choice(words, key, options, { otherwise = "", row = false, more = {} } = {}) {
	const now = get(key, otherwise);
	const choose = (value) => set({ [key]: value === otherwise ? null : value, ...more });
	if (row) return h("div.seg", { role: "group", "aria-label": words }, options.map(([value, text, title]) => h("button", { "aria-pressed": String(value === now), title, onclick: () => choose(value) }, text)));
	const menu = h("select", { onchange: () => choose(menu.value) }, options.map(([value, text]) => h("option", { value, selected: value === now }, text)));
	return h("label.field", h("span", words), menu);
}

/** Call `act` when one of `names` has changed; "s." stands for all that begin so. */
export function when(names, act) {
	heard.push([names, act]);
}

/** Controls of the page: the address keeps each under its `data-state`, but for `data-otherwise`. */
export function bind() {
	for (const control of document.querySelectorAll("[data-state]")) {
		const { state: key, otherwise = "" } = control.dataset;
		const flag = control.type === "checkbox"; // kept where it is off
		const mark = () => {
			if (flag) control.checked = !get(key);
			else control.value = get(key, otherwise);
			if (control.selectedIndex < 0) control.selectedIndex = 0;
		};
		control.addEventListener(control.type === "range" ? "input" : "change", () => {
			const value = flag ? (control.checked ? "" : 1) : control.value.trim();
			set({ [key]: value === otherwise ? null : value });
		});
		when([key], mark);
		mark();
	}
}

function differing(a, b) {
	return new Set([...Object.keys(a), ...Object.keys(b)].filter((name) => a[name] !== b[name]));
}

function tell(changed) {
	for (const [names, act] of heard) {
		if ([...changed].some((name) => names.some((one) => one === name || (one.endsWith(".") && name.startsWith(one))))) act();
	}
}

addEventListener("popstate", () => {
	const before = values;
	values = read();
	tell(differing(before, values));
});
