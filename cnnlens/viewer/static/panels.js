// Results as cards, whatever plugin they come from.
import { $, built, fact, fold, h, roving, times } from "./dom.js";
import * as api from "./api.js";
import { painted, show, theme } from "./colours.js";
import { follow, lead, outlined, put, written } from "./pointing.js";
import { legend, pager, sheet, PAGE } from "./sheet.js";

/** Links that save results in one file. */
export function files(ids) {
	return ["png", "svg", "npz", "json", "html"].map((suffix) => {
		const link = h("a", { download: true, title: `Save as ${suffix.toUpperCase()}` }, suffix === "html" ? "Report" : suffix.toUpperCase());
		const query = ids.map((id) => `id=${id}`).join("&");
		painted(link, () => { link.href = api.url(`download.${suffix}?${query}&theme=${theme()}`); });
		return link;
	});
}

/** The Save menu saves all that is shown. */
export function savable(ids) {
	$("save").hidden = !ids.length;
	$("files").replaceChildren(...files(ids));
}

/** A result; `point` marks a place in its first panel. `tell` hears of the cursor instead, `limits` are a scale it
 *  shares, `field(y, x)` is what a place sees of the picture. */
export function card(told, image, options = {}) {
	const { facts } = told;
	const alike = ({ shape }) => (at) => views.forEach((one, n) => String(told.panels[n].shape) === String(shape) && one.point?.(at));
	const views = told.panels.map((panel, n) => view(told, panel, n, image, { tell: alike(panel), ...(n ? { limits: options.limits } : options) }));
	const element = h("article.card",
		h("header", h("h3", options.title ?? facts.title, facts.target_name ? [" · ", h("b", facts.target_name), " ", h("span.num", facts.probability?.toFixed?.(3))] : ""), fact(told.under)),
		views, foot(told));
	return Object.assign(element, { point: (at) => views[0]?.point?.(at) });
}

function foot(told) {
	return h("footer", h("div.row.wrap", h("span.files", files([told.id])), built(told.paper)),
		fold("How this came to be", h("pre", JSON.stringify(told.facts, null, 1))));
}

const view = (told, panel, ...more) => (panel.tree ? text : { Heatmap: heatmap, Tiles: tiles, Picture: photo }[panel.kind] ?? chart)(told, panel, ...more);

/** One scale for several maps, where each has one. */
export function spanning(panels) {
	const ends = panels.map((panel) => panel.limits);
	return ends.length && ends.every(Boolean) ? [Math.min(...ends.map(([low]) => low)), Math.max(...ends.map(([, high]) => high))] : null;
}

const scaled = (limits) => (limits ? `&low=${limits[0]}&high=${limits[1]}` : "");

function heatmap(told, panel, n, image, { tell, limits, field, hint }) {
	const { shape } = panel;
	const bar = legend(told.id, n, panel, limits ?? panel.limits, hint);
	const levels = api.levels(told.id, n, scaled(limits));
	const map = (words) => show(h("img", { alt: words, class: "map" }), levels, panel.signed);
	const shot = (attributes) => h("img", { src: api.url(`images/${image}/input.png`), ...attributes });
	const seen = told.facts.preprocess ?? { height: shape[0], width: shape[1] };
	const marks = [];
	const point = (at) => {
		for (const { mark, name } of marks) {
			const wide = at && name !== "f-raw" && field?.(at.y, at.x);
			put(mark, wide || (at && [at.y, at.x, at.y + 1, at.x + 1]), wide ? [seen.height, seen.width] : shape);
		}
		bar.point(at);
	};
	const figure = (name, words, ...images) => {
		const mark = h("i.at", { hidden: true });
		marks.push({ mark, name });
		const stage = h(`div.stage${name === "f-over" ? ".over" : ""}`, images, outlined(panel, shape), mark);
		stage.style.aspectRatio = `${seen.width} / ${seen.height}`;
		follow(stage, shape, tell, panel.opens && name === "f-raw" && ((at) => lead(panel.opens, at)));
		if (panel.written && shape[1] < 6 && name === "f-raw") api.values(told.id, n).then(({ values }) => stage.append(written(values)), () => null);
		return h("figure", { class: name }, stage, h("figcaption", words));
	};
	const figures = h("div.triple",
		image && figure("f-photo", "picture", shot({ alt: told.facts.image ?? "the picture" })),
		image && figure("f-over", "overlay", shot({ alt: "", class: "under" }), map(`${panel.title} over the picture`)),
		figure("f-raw", `map, ${times(shape)}`, map(panel.alt)));
	return Object.assign(section(panel.title, figures, bar.element, panel.reads && h("p.means", panel.reads), odd(panel)), { point });
}

const section = (title, ...inside) => h("section.panel", title && h("h4", title), inside);
const odd = (panel) => panel.odd && h("p.note.odd", panel.odd);

/** Maps in pages; `turn(first)` where the page is another's affair. */
export function tiles(told, panel, n, image, { tell, limits, hint, open, first = 0, turn } = {}) {
	const bar = legend(told.id, n, panel, limits ?? panel.limits, hint);
	const host = h("div");
	let cells;
	const point = (at) => { cells.point(at); bar.point(at); };
	const draw = (from) => {
		cells = sheet(panel.names.slice(from, from + PAGE), panel.shape.slice(1, 3), { first: from, open, tell: tell ?? point, panel });
		host.replaceChildren(cells.element, pager(from, panel.names.length, turn ?? draw) ?? "");
		cells.fill(told.id, n, panel, scaled(limits));
	};
	draw(first);
	return Object.assign(section(open ? "" : panel.title, bar.element, host, odd(panel)), { point });
}

function photo(told, panel, n) {
	const image = h("img", { alt: panel.alt, src: api.url(`results/${told.id}/panels/${n}.png`) });
	const stage = h("div.stage.plain", image, outlined(panel, panel.shape));
	stage.style.aspectRatio = `${panel.shape[1]} / ${panel.shape[0]}`;
	if (panel.opens) follow(stage, panel.shape, () => {}, (at) => lead(panel.opens, at));
	return section("", stage, panel.title && h("p.means", panel.title));
}

/** Bars, diagrams, tables and notes, as the server tells them. */
function text(told, panel) {
	const element = built(panel.tree);
	roving(element, ".node");
	element.addEventListener("click", ({ target }) => {
		const link = panel.opens?.[target.closest("[data-opens]")?.dataset.opens];
		if (link) lead(link, {});
	});
	return element;
}

/** A chart as the server draws it. */
function chart(told, panel, n) {
	const image = h("img.chart", { alt: panel.alt });
	painted(image, () => { image.src = api.url(`results/${told.id}/panels/${n}.png?theme=${theme()}`); });
	return section("", image);
}
