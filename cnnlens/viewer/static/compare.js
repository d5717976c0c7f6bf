// Two pictures or two checkpoints on one scale, and what the first has more.
import { fact, h, hint, progress } from "./dom.js";
import * as api from "./api.js";
import * as maps from "./maps.js";
import * as pictures from "./pictures.js";
import * as state from "./state.js";
import { card, savable, spanning } from "./panels.js";
import { screen } from "./screen.js";

export function begin({ against, visualisers }) {
	const able = visualisers.filter((one) => one.reads_image && !one.why_not && one.name !== "unit");
	screen("compare", ["scale", "target", "with", "by"], (...given) => draw(against, able, ...given));
}

async function draw(other, visualisers, host, layer, mine, signal) {
	const rest = pictures.all().filter((one) => one !== mine).map((one) => [one.id, one.name]);
	const options = [...(other && mine ? [["model", other.name]] : []), ...rest];
	const [id, name] = options.find(([id]) => id === state.get("with")) ?? options[0] ?? [];
	if (!id) return host.replaceChildren(hint("Nothing to compare with yet: add a picture, or open two checkpoints, cnnlens view A --against B."));
	const vis = visualisers.find((one) => one.name === state.get("by", "feature-maps")) ?? visualisers[0];
	const reads = layer?.fits.includes(vis.reads);
	const settings = !reads ? {} : vis.name === "feature-maps" ? maps.settings(layer, "index") : state.get("layer") ? { layer: layer.name } : {};
	const waiting = h("div.progress", fact("Working…"));
	host.replaceChildren(h("header.head", h("div.fields", state.choice("Compare", "by", visualisers.map((one) => [one.name, one.title]), { otherwise: vis.name }),
		state.choice(`of ${mine.name} with`, "with", options, { otherwise: id })), settings.layer && fact("at ", h("b", layer.name))), waiting);
	const ask = (image, on) => api.only(image, { name: vis.name, settings }, { signal, on, target: pictures.target(), progress: (job) => waiting.replaceChildren(...progress(job)) });
	const second = id === "model" ? mine.id : id;
	const told = [await ask(mine.id, ""), await ask(second, id === "model" ? "against/" : "")];
	const ids = told.map((one) => one.id);
	told.push(await api.result(ids.join("~")));
	signal.throwIfAborted();
	const limits = spanning(told.slice(0, 2).map((one) => one.panels[0]));
	const tell = (at) => { for (const one of cards) one.point(at); };
	const titles = id === "model" ? ["This model", name] : [];
	const cards = told.map((one, i) => card(one, i === 1 ? second : mine.id, { tell, title: i < 2 ? titles[i] : "Difference", limits: i < 2 ? limits : null }));
	waiting.replaceWith(h("div.results.three", { "data-show": "raw" }, cards));
	return savable([...ids, ids.join("~")]);
}
