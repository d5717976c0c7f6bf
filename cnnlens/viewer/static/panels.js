// Results as cards: one panel after the other, whatever plugin they come from.
import { fact, fold, h, num, number, s, times } from "./dom.js";
import * as api from "./api.js";
import { painted, show, theme } from "./colours.js";
import { follow, legend, pager, reader, sheet, PAGE } from "./sheet.js";

const FILES = [["png", "PNG"], ["npz", "NPZ"], ["html", "HTML"], ["json", "JSON"], ["svg", "SVG"]];

/** A result with its words, panels and files; `image` is the id of its picture. */
export function card(told, image) {
	const { facts } = told;
	const chance = typeof facts.probability === "number" ? ` ${facts.probability.toFixed(3)}` : "";
	const meta = [facts.image, facts.settings?.layer, `${number(facts.seconds)} s`].filter(Boolean).join(" · ");
	return h("article.card",
		h("header", h("h3", facts.title, facts.target_name ? [" · ", h("b", facts.target_name), h("span.num", chance)] : ""), fact(meta)),
		told.panels.map((panel, n) => view(told, panel, n, image)), foot(told));
}

function foot(told) {
	const { facts } = told;
	const files = FILES.map(([suffix, words]) => {
		const link = h("a", { download: true, title: `Download as ${words}` }, words);
		painted(link, () => { link.href = api.url(`results/${told.id}/download.${suffix}?theme=${theme()}`); });
		return link;
	});
	const how = fold("How this came to be", h("pre", JSON.stringify(facts, null, 1)));
	return h("footer", h("div.row.wrap", h("span.files", files),
		paper(facts)), how);
}

/** A plugin's paper, with its link if that is one to the web: nothing else becomes an address. */
export const paper = ({ paper, link }) => paper && h("a", { href: /^https?:\/\//.test(link ?? "") ? link : null, target: "_blank", rel: "noopener noreferrer" }, paper);

const view = (told, panel, n, image) => ({ Heatmap: heatmap, Tiles: tiles, Picture: photo, Bars: bars, Curve: curve, Table: table, Note: note })[panel.kind](told, panel, n, image);

function heatmap(told, panel, n, image) {
	const bar = legend(panel);
	const [height, width] = panel.shape;
	const levels = api.levels(told.id, n);
	const map = (words) => show(h("img", { alt: words, class: "map" }), levels, panel.signed);
	const shot = (attributes) => h("img", { src: api.url(`images/${image}/input.png`), ...attributes });
	const figure = (name, words, ...images) => h("figure", { class: name }, h("div", { class: name === "f-over" ? "stage over" : "stage" }, images), h("figcaption", words));
	const figures = h("div.triple",
		image ? figure("f-photo", "picture", shot({ alt: told.facts.image ?? "the picture" })) : null,
		image ? figure("f-over", "overlay", shot({ alt: "", class: "under" }), map(`${panel.title} over the picture`)) : null,
		figure("f-raw", `map, ${times([height, width])}`, map(panel.alt)));
	const read = reader(told.id, n, null);
	const seen = told.facts.preprocess ?? { width, height };
	for (const stage of figures.querySelectorAll(".stage")) {
		stage.style.aspectRatio = `${seen.width} / ${seen.height}`;
		follow(stage, (event) => read(event, stage), bar.hover);
	}
	return section(panel.title, figures, bar.element, panel.means && h("p.means", `${panel.signed ? "Above zero" : "High"}: ${panel.means}.`), odd(panel));
}

const section = (title, ...inside) => h("section.panel", title && h("h4", title), inside);
const odd = (panel) => panel.odd && h("p.note.odd", panel.odd);
const titled = ({ title, unit }) => title + (unit && unit.toLowerCase() !== title.toLowerCase() ? ` (${unit})` : "");

function tiles(told, panel, n) {
	const bar = legend(panel);
	const host = h("div");
	const draw = (first) => {
		const cells = sheet(panel.names.slice(first, first + PAGE), panel.shape.slice(1, 3), { hover: bar.hover });
		host.replaceChildren(cells.element, pager(first, panel.names.length, draw) ?? "");
		cells.fill(told.id, n, panel, first);
	};
	draw(0);
	return section(panel.title, bar.element, host, odd(panel));
}

function photo(told, panel, n) {
	const image = h("img.plain", { alt: panel.alt, src: api.url(`results/${told.id}/panels/${n}.png`) });
	image.style.aspectRatio = `${panel.shape[1]} / ${panel.shape[0]}`;
	return section("", image, panel.title && h("p.means", panel.title));
}

function bars(told, panel) {
	const finite = panel.values.filter((value) => value !== null);
	const [low, high] = panel.limits ?? [Math.min(0, ...finite), Math.max(0, ...finite)];
	const span = high - low || 1;
	if (panel.values.length > 24) return section(titled(panel), columns(panel, low, span));
	const rows = panel.names.map((name, i) => {
		const fill = h("i.fill");
		const value = panel.values[i] ?? 0;
		fill.style.left = `${((Math.min(0, value) - low) / span) * 100}%`;
		fill.style.width = `${(Math.abs(value) / span) * 100}%`;
		return h("div.bar-row", h("span.name", name), num(panel.values[i]), h("span.track", fill));
	});
	return section(titled(panel), h("div.predictions.wide", rows));
}

/** Many bars stand thin; pointing at one names it. */
function columns(panel, low, span) {
	const count = panel.values.length;
	const chart = s("svg.chart", { viewBox: `0 0 ${count} 100`, preserveAspectRatio: "none", role: "img", "aria-label": panel.alt },
		panel.values.map((value, i) => {
			const [from, to] = [Math.min(0, value ?? 0), Math.max(0, value ?? 0)].map((v) => 100 - ((v - low) / span) * 100);
			return s("rect", { x: i, width: count > 200 ? 1 : 0.82, y: to, height: Math.max(0.3, from - to) });
		}));
	const read = h("output.readout", `${panel.names[0]} … ${panel.names.at(-1)} · up to ${number(low + span)}`);
	chart.addEventListener("pointermove", (event) => {
		const box = chart.getBoundingClientRect();
		const i = Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * count)));
		read.textContent = `${panel.names[i]} · ${number(panel.values[i])}`;
	});
	return h("div", chart, h("div.legend", read));
}

/** Lines, with a gap where a value is not finite. */
function curve(told, panel) {
	const finite = panel.values.flat().filter((value) => value !== null);
	const [low, high] = [Math.min(0, ...finite), Math.max(0, ...finite)];
	const [from, to] = [Math.min(...panel.x), Math.max(...panel.x)];
	const place = (x, y) => `${((x - from) / (to - from || 1)) * 100} ${100 - ((y - low) / (high - low || 1)) * 100}`;
	const lines = panel.values.map((line, k) => s("path", { class: `hue${k % 4}`, d: line.map((y, i) => (y === null ? "" : `${(line[i - 1] ?? null) === null ? "M" : "L"}${place(panel.x[i], y)}`)).join("") }));
	return section(titled(panel), h("div.plot",
		s("svg.chart", { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": panel.alt }, lines),
		num(high), num(low),
		h("p.facts", `${number(from)} … ${number(to)} ${panel.x_unit}`, panel.names.map((name, k) => name && h("b", { class: `hue${k % 4}` }, name)))));
}

function table(told, panel) {
	const cell = (value) => (typeof value === "number" ? h("td.num", number(value)) : h("td", String(value)));
	return section(panel.title, h("div.scroll", h("table",
		h("thead", h("tr", panel.columns.map((name) => h("th", { scope: "col" }, name)))),
		h("tbody", panel.rows.map((row) => h("tr", row.map(cell)))))));
}

const note = (told, panel) => h("p.note", panel.text);
