// Choose a visualiser, set it, run it, stop it. The form comes from the declaration alone.
import { $, fact, fold, h, hint, said, segments } from "./dom.js";
import * as api from "./api.js";
import * as pictures from "./pictures.js";
import * as state from "./state.js";
import { card, paper } from "./panels.js";

const CHEAP = 32; // passes that are run without asking when something they hang on changes
let visualisers = [];
let priced = null; // the chosen visualiser with its settings resolved
let pricing = null;
let running = null;
let ran = null; // the request whose results stand on the page
const parts = {};

const chosen = () => visualisers.find((one) => one.name === state.get("vis")) ?? visualisers.find((one) => one.name === "grad-cam" && !one.why_not) ?? visualisers.find((one) => !one.why_not) ?? visualisers[0];

export function begin(known) {
	visualisers = known;
	parts.choices = h("div", { class: "choices", role: "group", "aria-label": "Visualisers" });
	parts.about = h("div", { class: "about" });
	parts.form = h("form", { class: "form", onsubmit: (event) => { event.preventDefault(); running ? running.abort() : go(); } });
	parts.progress = h("div", { class: "progress", "aria-live": "polite" });
	parts.tools = h("div", { class: "row wrap looks" });
	parts.results = h("div", { class: "results" });
	$("explain").replaceChildren(parts.choices, parts.about, parts.form, parts.progress, parts.tools, parts.results);
	if (!visualisers.length) $("explain").replaceChildren(said("No visualiser is installed: `cnnlens plugins` says why."));
	state.when(["vis", "view"], () => { build(); price(true); });
	state.when(["s."], () => price(true));
	state.when(["img", "target", "of", "top"], () => price(true));
	state.when(["show", "alpha"], looks);
	build();
	looks();
	price(true);
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
	parts.choices.replaceChildren(...[...families].map(([family, all]) => h("p", {}, h("small", {}, family), all.map((one) => h("button", {
		"aria-pressed": String(one === vis), class: one.why_not ? "unable" : null, title: one.why_not ?? one.description, onclick: () => choose(one),
	}, one.title)))));
	const source = paper(vis);
	const from = vis.plugin?.startsWith("cnnlens:") ? null : `from ${vis.plugin} ${vis.version}`;
	parts.about.replaceChildren(h("p", {}, vis.description), fact(source, source && from ? " · " : "", from),
		vis.details ? fold("What its numbers mean", h("p", {}, vis.details)) : "");
	parts.form.hidden = Boolean(vis.why_not);
	if (vis.why_not) {
		parts.progress.replaceChildren(hint(`${vis.why_not}.`));
		return;
	}
	parts.progress.replaceChildren();
	fields(vis);
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
	parts.run = h("button", { type: "submit", class: "primary" }, "Run");
	parts.cost = h("span", { class: "cost" });
	parts.complaint = h("p", { class: "complaint", role: "alert" });
	parts.verdict = h("p", { class: "facts verdict" });
	const reach = [];
	if (vis.reads_image) {
		reach.push(select("Pictures", [["", "this one"], ["all", `all ${pictures.all().length}`]], state.get("of", ""), (value) => state.set({ of: value })));
	}
	if (vis.by_target) {
		const tops = [["", "the one chosen"], ...[2, 3, 5].map((k) => [String(k), `the ${k} likeliest`])];
		reach.push(select("Classes", tops, state.get("top", ""), (value) => state.set({ top: value })));
	}
	parts.form.replaceChildren(h("div", { class: "fields" }, vis.settings.map((one) => control(vis, one)), reach), parts.verdict, parts.complaint, h("div", { class: "row wrap go" }, parts.run, parts.cost));
}

function select(words, options, value, change) {
	const element = h("select", { onchange: () => change(element.value) }, options.map(([key, text]) => h("option", { value: key }, text)));
	element.value = value;
	return h("label", { class: "field" }, h("span", {}, words), element);
}

/** A control for a setting, by its kind alone. */
function control(vis, one) {
	const now = state.settings()[one.name] ?? String(one.kind === "layer" ? (vis.resolved?.[one.name] ?? one.default) : one.default);
	const change = (value) => state.set({ [`s.${one.name}`]: value === String(one.default) ? null : value });
	let input;
	if (one.kind === "boolean") {
		input = h("input", { type: "checkbox", onchange: () => change(String(input.checked)) });
		input.checked = now === "true";
		return h("label", { class: "field toggle" }, h("span", {}, one.name.replaceAll("_", " ")), input, help(one));
	}
	if (one.choices) {
		input = h("select", { onchange: () => change(input.value) }, one.choices.map((value) => h("option", { value }, String(value))));
	} else {
		const numeric = one.kind === "integer" || one.kind === "number";
		const { "at least": least, "at most": most } = one.bounds;
		input = h("input", { type: numeric ? "number" : "text", step: one.kind === "integer" ? 1 : "any", min: least, max: most, inputmode: numeric ? "decimal" : null, spellcheck: "false", onchange: () => change(input.value) });
	}
	input.value = now === "null" || now === "None" ? "" : now;
	input.dataset.setting = one.name;
	return h("label", { class: "field" }, h("span", {}, one.name.replaceAll("_", " ")), input, help(one));
}

function help(one) {
	const bounds = Object.entries(one.bounds).map(([words, value]) => `${words} ${value}`).join(", ");
	return h("small", {}, one.description + (bounds ? ` (${bounds})` : ""));
}

/** What the settings cost, checked by the server; what is cheap and was run before runs again by itself. */
async function price(again) {
	if (state.get("view") !== "explain" || !visualisers.length || chosen().why_not) return;
	pricing?.abort();
	const mine = (pricing = new AbortController());
	const vis = chosen();
	parts.complaint.textContent = "";
	try {
		priced = await api.visualiser(vis.name, state.settings(), mine.signal);
		if (mine.signal.aborted) return;
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
	const old = ran !== null && ran !== JSON.stringify(request());
	parts.results.classList.toggle("stale", old);
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
	parts.progress.replaceChildren(meter, h("p", { class: "facts num" }, words.join(" · ")));
}

function show(all) {
	parts.results.classList.toggle("many", all.filter((one) => one.told).length > 1);
	parts.results.replaceChildren(...all.map(({ answer, told }) => (told ? card(told, answer.image)
		: h("article", { class: "card" }, h("header", {}, h("h3", {}, chosen().title)), said(`${answer.error.message}.`, answer.error.type === "PluginFailed" ? "The fault is its author's, not your model's." : null)))));
	looks();
}

/** How maps are laid beside or over the picture: pixels, not numbers, so nothing runs. */
function looks() {
	const many = parts.results.classList.contains("many");
	const now = state.get("show", many ? "over" : "all");
	parts.results.dataset.show = now;
	const has = parts.results.querySelector(".triple") !== null;
	parts.tools.hidden = !has;
	const seg = segments("Show", [["all", "side by side"], ["over", "overlay"], ["raw", "map"]], now, (value) => state.set({ show: value }));
	const alpha = state.get("alpha", "0.55");
	parts.results.style.setProperty("--alpha", alpha);
	if (parts.tools.contains(document.activeElement) && document.activeElement.type === "range") return;
	const slider = h("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": "Opacity of the overlay", oninput: () => state.set({ alpha: slider.value === "0.55" ? null : slider.value }) });
	slider.value = alpha;
	parts.tools.replaceChildren(seg, now === "raw" ? "" : h("label", { class: "pick" }, h("span", {}, "Opacity"), slider));
}
