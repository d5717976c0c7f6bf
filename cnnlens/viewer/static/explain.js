// Choose visualisers, set them, run them, stop them.
import { $, built, fact, h, hint, progress, retry, said } from "./dom.js";
import * as api from "./api.js";
import * as pictures from "./pictures.js";
import * as state from "./state.js";
import { card, savable, spanning } from "./panels.js";

const CHEAP = 32; // passes that are run without asking
let visualisers, otherwise;
const [latest, asking] = [api.latest(), api.latest()];
let running = null;
let opened = true; // just now: what was shown is shown again, whatever it costs
let ran = null; // the request whose results stand on the page
let results = []; // and those results: what was answered, and of each what is told
const parts = {};

const able = (one) => !one.why_not;

/** The chosen visualisers: of several, those that can read this model. */
function chosen() {
	const named = state.get("vis", "").split(",").map((name) => visualisers.find((one) => one.name === name)).filter(Boolean);
	const some = named.length > 1 ? named.filter(able) : named;
	return some.length ? some : [visualisers.find((one) => one.name === otherwise)];
}

export function begin(start) {
	({ visualisers, visualiser: otherwise } = start);
	for (const part of $("explain").querySelectorAll("[data-part]")) parts[part.dataset.part] = part;
	if (!visualisers.length) return;
	$("choices").addEventListener("click", ({ target, shiftKey }) => {
		const one = visualisers.find(({ name }) => name === target.dataset.name);
		if (one) choose(one, shiftKey || $("several").checked);
	});
	$("several").checked = chosen().length > 1;
	parts.form.addEventListener("submit", (event) => { event.preventDefault(); running ? running.abort() : go(); });
	parts.fields.addEventListener("change", ({ target: { type, checked, value, dataset } }) => {
		const now = type === "checkbox" ? String(checked) : value;
		state.set({ [`s.${dataset.set}`]: now === dataset.otherwise ? null : now });
	});
	state.when(["vis", "view"], rebuild);
	state.when(["s."], fields);
	state.when(["s.", "img", "target", "of", "top"], price);
	state.when(["show", "alpha"], looks);
	state.when(["share"], show);
	addEventListener("pictures", rebuild);
	looks();
	rebuild();
}

const own = (vis) => Object.fromEntries(Object.entries(state.settings()).filter(([name]) => vis.settings.includes(name)));

function request() {
	const some = chosen();
	const of = state.get("of") === "all" ? pictures.all() : [pictures.current()].filter(Boolean);
	const top = Number(state.get("top", 0));
	return {
		images: some.some((vis) => vis.reads_image) ? of.map((one) => one.id) : [],
		visualisers: some.map((vis) => ({ name: vis.name, settings: own(vis) })),
		...(top > 0 ? { top } : { targets: [pictures.target()] }),
	};
}

function rebuild() {
	if (state.get("view") !== "explain" || !visualisers.length) return;
	const some = chosen();
	for (const button of $("choices").querySelectorAll("button")) button.ariaPressed = String(some.some((vis) => vis.name === button.dataset.name));
	const [vis] = some;
	parts.form.hidden = !able(vis);
	parts.progress.replaceChildren(able(vis) ? "" : hint(`${vis.why_not}.`));
	parts.of.hidden = !some.some((vis) => vis.reads_image);
	parts.top.hidden = !some.some((vis) => vis.by_target);
	parts.cost.textContent = parts.verdict.textContent = parts.complaint.textContent = "";
	fields();
	savable(saved());
	price();
}

/** This visualiser; with `more`, one more or less of several. */
function choose(one, more) {
	const before = chosen();
	const all = more ? (before.includes(one) ? before.filter((vis) => vis !== one) : [...before, one]) : [one];
	const known = new Set(all.flatMap((vis) => vis.settings));
	const forgotten = Object.keys(state.settings()).filter((name) => !more || !known.has(name));
	state.set({ ...Object.fromEntries(forgotten.map((name) => [`s.${name}`, null])), vis: all.map((vis) => vis.name).join(",") });
}

/** What they are, and a control for each setting, as the server reads their declarations. */
async function fields() {
	const query = new URLSearchParams(Object.entries(state.settings()).map(([name, value]) => [`s.${name}`, value]));
	query.set("vis", chosen().map((vis) => vis.name));
	const told = await api.form(query, asking()).catch(() => null); // what is wrong is told where it is priced
	for (const name of told ? ["about", "fields"] : []) if (!parts[name].contains(document.activeElement)) parts[name].replaceChildren(...told[name].map(built));
}

/** What the settings cost, as the server checked them; what is cheap runs by itself. */
async function price() {
	const some = chosen();
	if (state.get("view") !== "explain" || !visualisers.length || !some.every(able)) return;
	const signal = latest();
	parts.complaint.textContent = "";
	try {
		const { passes, words, verdict } = await api.cost(request(), signal);
		parts.verdict.textContent = verdict;
		parts.cost.textContent = words;
		const wanted = passes <= CHEAP || (opened && state.get("run"));
		opened = false;
		if (wanted) await go();
		else stale();
	} catch (error) {
		if (error.name === "AbortError") return;
		parts.complaint.textContent = error.message;
		parts.cost.textContent = "";
	}
}

/** Results of another request stay, but say so. */
function stale() {
	const current = ran === JSON.stringify(request());
	parts.results.classList.toggle("stale", ran !== null && !current);
	state.set({ run: current ? 1 : null });
}

async function go() {
	running?.abort();
	const mine = (running = new AbortController());
	const asked = request();
	const end = (words) => {
		if (mine !== running) return;
		running = null;
		parts.run.textContent = "Run";
		parts.progress.replaceChildren(words);
		stale();
	};
	if (chosen().some((vis) => vis.reads_image) && !asked.images.length) return end(hint(pictures.WANTED));
	parts.run.textContent = "Stop";
	try {
		const job = await api.run(asked, { signal: mine.signal, progress: (now) => parts.progress.replaceChildren(...progress(now)) });
		const all = await Promise.all(job.results.map(async (answer) => ({ ...answer, told: answer.error ? null : await api.result(answer.id) })));
		if (mine !== running) return undefined;
		ran = JSON.stringify(asked);
		results = all;
		show();
		return end(job.state === "cancelled" ? said("Stopped.") : "");
	} catch (error) {
		return end(error.name === "AbortError" ? fact("Stopped.") : retry(error, go));
	}
}

/** Of several visualisers a column each, a row for each picture and class. */
function show() {
	const row = (one) => `${one.image} ${one.target}`;
	const [names, rows] = [(one) => one.visualiser, row].map((key) => [...new Set(results.map(key))]);
	const host = parts.results;
	host.classList.toggle("many", names.length < 2 && results.length > 1);
	host.classList.toggle("matrix", names.length > 1);
	host.style.setProperty("--columns", names.length);
	host.replaceChildren(...results.map((one) => {
		const element = one.told ? card(one.told, one.image, { limits: shared(one.visualiser) })
			: h("article.card", h("h3", one.visualiser), said(one.error.message, one.error.type === "PluginFailed" && "The fault is its author's."));
		if (names.length > 1) element.style.gridArea = `${rows.indexOf(row(one)) * 12 + 1} / ${names.indexOf(one.visualiser) + 1} / span 12`;
		return element;
	}));
	savable(saved());
	looks();
}

const saved = () => results.filter((one) => one.told).map((one) => one.told.id);

function shared(name) {
	const panels = results.filter((one) => one.told && one.visualiser === name).map((one) => one.told.panels[0]);
	return state.get("share") ? spanning(panels.filter((panel) => panel.kind === "Heatmap")) : null;
}

/** How maps lie beside or over the picture. */
function looks() {
	const several = results.length > 1;
	const otherwise = several ? "over" : "all";
	const now = state.get("show", otherwise);
	parts.results.dataset.show = now;
	parts.tools.hidden = !parts.results.querySelector(".triple");
	parts.show.replaceChildren(state.choice("Show", "show", [["all", "side by side"], ["over", "overlay"], ["raw", "map"]], { row: true, otherwise }),
		several ? state.choice("Scale", "share", [["", "own scale"], ["1", "shared", "by the maps of a visualiser"]], { row: true }) : "");
	parts.opacity.hidden = now === "raw";
	parts.results.style.setProperty("--alpha", parts.alpha.value);
}
