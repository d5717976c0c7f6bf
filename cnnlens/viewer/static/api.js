// The REST API. Addresses are relative, so the page works under any prefix.

const ROOT = "api/v1/";

/** An error with a `kind`, the API's own type of it. */
const refused = (kind, message) => Object.assign(new Error(message), { kind });

// What passes by itself, and so many half seconds to wait for it.
const PATIENCE = { Busy: 20, Loading: 120 };

async function ask(path, options = {}, read = "json", turn = 0) {
	let response;
	try {
		response = await fetch(ROOT + path, options);
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw refused("Offline", "the viewer does not answer: is it still running in its terminal?");
	}
	if (response.status === 204) return null;
	const answer = await response[response.ok ? read : "json"]().catch(() => null);
	if (response.ok && answer) return answer;
	const { type, message } = answer?.error ?? { type: "Http", message: `the viewer answered ${response.status}` };
	if (!(turn < PATIENCE[type])) throw refused(type, message);
	await new Promise((done) => setTimeout(done, 500));
	options.until?.throwIfAborted();
	return ask(path, options, read, turn + 1);
}

const json = (body) => ({ method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const url = (path) => ROOT + path;
export const state = (wait) => ask(`state?wait=${wait}`);
export const result = (id) => ask(`results/${id}`);
export const values = (id, n, query = "") => ask(`results/${id}/panels/${n}.json${query}`);
export const levels = (id, n, query = "") => ask(`results/${id}/panels/${n}.png${query.replace("&", "?")}`, {}, "arrayBuffer");
export const layer = (name) => ask(`layers/${encodeURIComponent(name)}`);
export const jobs = () => ask("jobs");
export const cancel = (id, on = "", whose = "") => ask(`${on}jobs/${id}${whose}`, { method: "DELETE", keepalive: true });
export const cost = (request, signal) => ask("cost", { ...json(request), signal });
export const form = (query, signal) => ask(`../../form?${query}`, { signal });
export const restart = () => ask("restart", { method: "POST" });
export const forget = (id) => ask(`images/${id}`, { method: "DELETE" });

export function upload(file) {
	const form = new FormData();
	form.append("image", file, file.name || "pasted.png");
	return ask("images", { method: "POST", body: form });
}

/** Submit a request and follow its job to the end. Aborting `signal` stops the job too. */
export async function run(request, { signal, progress = () => {}, on = "" } = {}) {
	let job = await ask(`${on}jobs?wait=0.25`, { ...json(request), until: signal });
	const stop = () => cancel(job.id, on, "?mine=1").catch(() => null);
	signal?.addEventListener("abort", stop, { once: true });
	addEventListener("pagehide", stop);
	try {
		while (job.state === "queued" || job.state === "running") {
			if (signal?.aborted) await stop();
			progress(job);
			job = await ask(`${on}jobs/${job.id}?wait=0.25`);
		}
		signal?.throwIfAborted();
		return job;
	} finally {
		signal?.removeEventListener("abort", stop);
		removeEventListener("pagehide", stop);
	}
}

/** A signal for each call, which aborts the one before. */
export const latest = (now) => () => {
	now?.abort();
	now = new AbortController();
	return now.signal;
};

/** What one visualiser tells of one picture; `on` is the checkpoint that is asked. */
export async function only(image, visualiser, { target = "top1", ...options }) {
	const job = await run({ images: [image], visualisers: [visualiser], targets: [target] }, options);
	if (job.state !== "done") throw new Error("This was stopped. Choose it again to see it.");
	const { id, error } = job.results[0];
	if (error) throw new Error(error.message);
	const told = await result(id);
	options.signal.throwIfAborted();
	return told;
}
