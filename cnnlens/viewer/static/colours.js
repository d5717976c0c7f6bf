// How maps are coloured. A change asks the server for nothing.
import { $, h, num, said } from "./dom.js";
import { recoloured } from "./palette.js";
import * as state from "./state.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const watchers = new Set();
const tables = {};
let known = null; // names, tables and themes, as the server has them

export function theme() {
	return document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
}

/** The colour map in use; the theme's own where none is asked for. */
function table(signed) {
	const asked = state.get(signed ? "signed" : "colours");
	return known[signed ? "diverging" : "sequential"].includes(asked) ? asked : known.themes[theme()][signed ? "signed" : "plain"];
}

/** 256 colours: the levels, the gap between tiles, what is not finite. */
function palette(signed) {
	const levels = tables[table(signed)];
	const colours = new Uint8Array(768);
	colours.set(levels);
	colours.set([...known.themes[theme()].gap, ...known.odd], levels.length);
	return colours;
}

/** `paint` now and whenever the colours change, while `element` is on the page. */
export function painted(element, paint) {
	watchers.add({ element, paint });
	paint();
}

/** `lay(picture)` now and in other colours after each change. */
export function coloured(element, levels, signed, lay) {
	painted(element, async () => {
		try {
			await lay(recoloured(await levels, palette(signed)));
		} catch (error) {
			element.replaceWith(said(error.kind ? error.message : "This picture is damaged: reload the page."));
		}
	});
}

/** The same for an image. */
export function show(image, levels, signed) {
	coloured(image, levels, signed, async (picture) => {
		const address = (image.src = URL.createObjectURL(picture));
		await image.decode().catch((error) => { if (image.src === address) throw error; });
		URL.revokeObjectURL(address);
	});
	return image;
}

function repaint() {
	for (const watcher of watchers) {
		if (watcher.element.isConnected) watcher.paint();
		else watchers.delete(watcher);
	}
}

/** A colour bar with numbers at its ends; `point(value)` sets a mark on it. */
export function colourBar(panel) {
	const strip = h("i.ramp");
	const tick = h("i.tick", { hidden: true });
	const limits = panel.limits;
	if (!limits) return { element: h("div.bar.own", "each map on its own scale"), point: () => {} };
	const [low, high] = limits;
	const element = h("div.bar", num(low),
		h("span.ramp-box", strip, panel.signed && h("i.zero", { title: "zero" }), tick), num(high), panel.unit && h("span", panel.unit));
	painted(strip, () => {
		const levels = tables[table(panel.signed)];
		strip.style.background = `linear-gradient(90deg,${Array.from({ length: levels.length / 3 }, (_, i) => `rgb(${levels.subarray(3 * i, 3 * i + 3)})`)})`;
	});
	const point = (value) => {
		tick.hidden = (value ?? null) === null;
		tick.style.left = `${Math.min(1, Math.max(0, (value - low) / (high - low || 1))) * 100}%`;
	};
	return { element, point };
}

export function begin(told) {
	known = told;
	for (const [name, text] of Object.entries(known.tables)) tables[name] = Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0));
	state.when(["colours", "signed"], repaint);
	dark.addEventListener("change", repaint);
	$("theme").addEventListener("click", () => {
		document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
		repaint();
		localStorage.setItem("cnnlens-theme", theme()); // last: a browser may forbid it
	});
}
