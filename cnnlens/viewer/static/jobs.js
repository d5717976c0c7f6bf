// The jobs: how far each is, a way to stop it.
import { $, fact, h, progress } from "./dom.js";
import * as api from "./api.js";

let clock = null;

export function begin() {
	$("jobs-open").addEventListener("click", open);
	$("jobs").addEventListener("close", () => clearTimeout(clock));
}

export function open() {
	$("jobs").showModal();
	draw();
}

async function draw() {
	clearTimeout(clock);
	try {
		const { jobs } = await api.jobs();
		$("jobs-list").replaceChildren(...(jobs.length ? jobs.map(row) : [h("li", fact("Nothing has been asked yet."))]));
	} catch (error) {
		$("jobs-list").replaceChildren(h("li", fact(error.message)));
	}
	if ($("jobs").open) clock = setTimeout(draw, 500);
}

const row = (job) => h("li", h("div.row", h("b", job.progress.visualiser), job.over ? fact(job.words) : h("button", { onclick: () => api.cancel(job.id).then(draw, draw) }, "Stop")),
	job.over ? "" : progress(job));
