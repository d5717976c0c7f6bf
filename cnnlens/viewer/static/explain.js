// Choose a visualiser, set it, run it, stop it. The form comes from the declaration alone.
import { $, fact, fold, h, hint, said, segments } from "./dom.js";
import * as api from "./api.js";
import * as pictures from "./pictures.js";
import * as state from "./state.js";
import { card, paper } from "./panels.js";

const ALPHA = "0.55"; // how much a map covers the photograph
const CHEAP = 32; // passes that are run without asking when something they hang on changes
let visualisers = [];
let priced = null; // the chosen visualiser with its settings resolved
const latest = api.latest();
let running = null;
let ran = null; // the request whose results stand on the page
const parts = {};

const chosen = () => visualisers.find((one) => one.name === state.get("vis")) ?? visualisers.find((one) => one.name === "grad-cam" && !one.why_not) ?? visualisers.find((one) => !one.why_not) ?? visualisers[0];

export function begin(known) {
	visualisers = known;
	for (const part of $("explain").querySelectorAll("[data-part]")) parts[part.dataset.part] = part;
	parts.form.addEventListener("submit", (event) => { event.preventDefault(); running ? running.abort() : go(); });
	parts.alpha.addEventListener("input", ({ target }) => state.set({ alpha: target.value === ALPHA ? null : target.value }));
	if (!visualisers.length) $("explain").replaceChildren(said("No visualiser is installed: `cnnlens plugins` says why."));
	state.when(["vis", "view"], rebuild);
	state.when(["s.", "img", "target", "of", "top"], () => price(true));
	state.when(["show", "alpha"], looks);
	looks();
	rebuild();
}

/** One run is enough for others of its kind: what it hangs on may change. */
function request() {
	const vis = chosen();
	const of = state.get("of") === "all" ? pictures.all() : [pictures.current()].filter(Boolean);
	const top = Number(state.get("top", 0));
	return {
		images: vis.reads_image ? of.map((one) => one.id) : [],
		visualisers: [{ name: vis.name, settings: state.settings() }],
		...(top > 0 ? { top } : { targets: [pictures.target()] }),
	};
}

function build() {
	if (state.get("view") !== "explain" || !visualisers.length) return;
	const vis = chosen();
	const families = Map.groupBy(visualisers, (one) => one.family);
	parts.choices.replaceChildren(...[...families].map(([family, all]) => h("p", h("small", family), all.map((one) => h("button", {
		"aria-pressed": String(one === vis), class: one.why_not ? "unable" : null, title: one.why_not ?? one.description, onclick: () => choose(one),
	}, one.title)))));
	const source = paper(vis);
	const from = vis.plugin?.startsWith("cnnlens:") ? null : `from ${vis.plugin} ${vis.version}`;
	parts.about.replaceChildren(h("p", vis.description), fact(source, source && from ? " · " : "", from),
		vis.details ? fold("What its numbers mean", h("p", vis.details)) : "");
	parts.form.hidden = Boolean(vis.why_not);
	parts.progress.replaceChildren(vis.why_not ? hint(`${vis.why_not}.`) : "");
	if (!vis.why_not) fields(vis);
}

export function rebuild() {
	build();
	price(true);
}

function choose(one) {
	const forgotten = Object.fromEntries(Object.keys(state.settings()).map((name) => [`s.${name}`, null]));
	state.set({ ...forgotten, vis: one.name, run: null });
}

function fields(vis) {
	parts.cost.textContent = parts.verdict.textContent = parts.complaint.textContent = "";
	parts.fields.replaceChildren(...vis.settings.map((one) => control(vis, one)),
		vis.reads_image ? reach("Pictures", "of", [["", "this one"], ["all", `all ${pictures.all().length}`]]) : "",
		vis.by_target ? reach("Classes", "top", [["", "the one chosen"], ...[2, 3, 5].map((k) => [k, `the ${k} likeliest`])]) : "");
}

const select = (options, change) => h("select", { onchange: ({ target }) => change(target.value) }, options.map(([value, text]) => h("option", { value }, text)));

/** A choice of how much is explained, kept under that key. */
function reach(words, key, options) {
	const input = select(options, (value) => state.set({ [key]: value }));
	input.value = state.get(key, "");
	return h("label.field", h("span", words), input);
}

/** A control for a setting, by its kind alone. */
function control(vis, one) {
	const now = state.settings()[one.name] ?? String(one.kind === "layer" ? (vis.resolved?.[one.name] ?? one.default) : one.default);
	const change = (value) => state.set({ [`s.${one.name}`]: value === String(one.default) ? null : value });
	let input;
	if (one.kind === "boolean") {
		input = h("input", { type: "checkbox", checked: now === "true", onchange: () => change(String(input.checked)) });
	} else if (one.choices) {
		input = select(one.choices.map((value) => [value, String(value)]), change);
	} else {
		const numeric = one.kind === "integer" || one.kind === "number";
		const { "at least": least, "at most": most } = one.bounds;
		input = h("input", { type: numeric ? "number" : "text", step: one.kind === "integer" ? 1 : "any", min: least, max: most, inputmode: numeric ? "decimal" : null, spellcheck: "false", onchange: () => change(input.value) });
	}
	if (one.kind !== "boolean") input.value = now === "null" || now === "None" ? "" : now;
	return h(one.kind === "boolean" ? "label.field.toggle" : "label.field", h("span", one.name.replaceAll("_", " ")), input, help(one));
}

function help(one) {
	const bounds = Object.entries(one.bounds).map(([words, value]) => `${words} ${value}`).join(", ");
	return h("small", one.description + (bounds ? ` (${bounds})` : ""));
}

/** What the settings cost, checked by the server; what is cheap and was run before runs again by itself. */
async function price(again) {
	if (state.get("view") !== "explain" || !visualisers.length || chosen().why_not) return;
	const signal = latest();
	const vis = chosen();
	parts.complaint.textContent = "";
	try {
		priced = await api.visualiser(vis.name, state.settings(), signal);
		signal.throwIfAborted();
		parts.verdict.textContent = priced.verdict.words;
		const { images, top } = request();
		const count = Math.max(1, images.length) * (vis.by_target && top ? top : 1);
		const passes = priced.passes * count;
		parts.cost.textContent = priced.cost + (count > 1 ? ` × ${count} = ${passes} passes` : "");
		if (again && state.get("run") && passes <= CHEAP) await go();
		else stale();
	} catch (error) {
		if (error.name === "AbortError") return;
		parts.complaint.textContent = error.message;
		parts.cost.textContent = "";
	}
}

/** Results of another request stay to be seen, but say so. */
function stale() {
	parts.results.classList.toggle("stale", ran !== null && ran !== JSON.stringify(request()));
}

async function go() {
	running?.abort();
	const mine = (running = new AbortController());
	const asked = request();
	const vis = chosen();
	state.set({ run: 1 });
	if (vis.reads_image && !asked.images.length) return end(mine, hint("This reads a picture: drop one here, paste one, or press +."));
	parts.run.textContent = "Stop";
	const begun = performance.now();
	try {
		const job = await api.run(asked, { signal: mine.signal, progress: (now) => tell(now, begun) });
		const told = await Promise.all(job.results.map(async (answer) => ({ answer, told: answer.error ? null : await api.result(answer.id) })));
		if (mine !== running) return undefined;
		ran = JSON.stringify(asked);
		show(told);
		return end(mine, job.state === "cancelled" ? said("Stopped.") : null);
	} catch (error) {
		if (error.name === "AbortError") return end(mine, fact("Stopped."));
		return end(mine, said(error.message, h("button", { onclick: go }, "Try again")));
	}
}

function end(mine, words) {
	if (mine !== running) return;
	running = null;
	parts.run.textContent = "Run";
	parts.progress.replaceChildren(words ?? "");
	stale();
}

function tell(job, begun) {
	const { done, total } = job.progress;
	const share = (job.parts.done + (total ? done / total : 0)) / job.parts.total;
	const meter = h("progress", { max: 1, value: share || null, "aria-label": "Progress" });
	const words = [job.ahead ? `waiting for ${job.ahead} before it` : total ? `${done} of ${total} passes` : "running"];
	if (job.parts.total > 1) words.push(`result ${Math.min(job.parts.done + 1, job.parts.total)} of ${job.parts.total}`);
	words.push(`${((performance.now() - begun) / 1000).toFixed(1)} s`);
	parts.progress.replaceChildren(meter, h("p.facts.num", words.join(" · ")));
}

function show(all) {
	parts.results.classList.toggle("many", all.filter((one) => one.told).length > 1);
	parts.results.replaceChildren(...all.map(({ answer, told }) => (told ? card(told, answer.image)
		: h("article.card", h("header", h("h3", chosen().title)), said(`${answer.error.message}.`, answer.error.type === "PluginFailed" ? "The fault is its author's, not your model's." : null)))));
	looks();
}

/** How maps are laid beside or over the picture: pixels, not numbers, so nothing runs. */
function looks() {
	const many = parts.results.classList.contains("many");
	const now = state.get("show", many ? "over" : "all");
	parts.results.dataset.show = now;
	parts.tools.hidden = !parts.results.querySelector(".triple");
	parts.show.replaceChildren(segments("Show", [["all", "side by side"], ["over", "overlay"], ["raw", "map"]], now, (value) => state.set({ show: value })));
	parts.opacity.hidden = now === "raw";
	parts.alpha.value = state.get("alpha", ALPHA);
	parts.results.style.setProperty("--alpha", parts.alpha.value);
}
