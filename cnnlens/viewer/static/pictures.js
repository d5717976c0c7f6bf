// The picture, the strip of all pictures, upload, and what the network says it is.
import { $, built, fact, h, icon, said, sign, times } from "./dom.js";
import * as api from "./api.js";
import * as state from "./state.js";

export const WANTED = "No picture yet: drop one here, paste one, or press +.";
let pictures = [];
let model = null;
const latest = api.latest();

/** The picture that is looked at: its id and name, or null. */
export const current = () => pictures.find((one) => one.id === state.get("img")) ?? pictures[0] ?? null;
export const all = () => pictures;

export const target = () => state.get("target", "top1");

export function begin(start) {
	model = start.model;
	pictures = start.images;
	$("file").addEventListener("change", () => { take([...$("file").files]); $("file").value = ""; });
	state.when(["img"], () => { draw(); predict(); });
	state.when(["target"], mark);
	$("predictions").onclick = (event) => choose(rows().indexOf(event.target.closest("button")) + 1);
	state.when(["seen"], draw);
	dropping();
	draw();
	predict();
}

export function walk(step) {
	const to = pictures[pictures.indexOf(current()) + step];
	if (to) state.set({ img: to.id });
}

function choose(rank) {
	const name = names()[rank - 1];
	if (!name) return;
	const twice = [...$("classes").options].filter((other) => other.value === name).length > 1; // ImageNet has two cranes
	state.set({ target: rank === 1 ? null : twice ? `top${rank}` : name });
}

function draw() {
	const shown = current();
	$("strip").replaceChildren(...pictures.map((one) => thumb(one, one === shown)),
		h("button.thumb.add", { title: "Add pictures: choose, drop or paste", "aria-label": "Add pictures", onclick: () => $("file").click() }, icon("plus")));
	const which = state.get("seen") === "input" ? "input" : "original";
	$("which").replaceChildren(state.choice("Show the picture", "seen", [["original", "original"], ["input", "as seen"]], { otherwise: "original", row: true }));
	const { height, width, resize } = model.input;
	const photo = $("photo");
	photo.hidden = !shown;
	if (!shown) {
		$("photo-words").replaceChildren(WANTED);
		return;
	}
	photo.src = api.url(`images/${shown.id}/${which}.png`);
	photo.classList.toggle("pixels", which === "input" && width < 200);
	photo.alt = which === "input" ? `${shown.name} as the network is shown it, ${width}×${height} pixels` : shown.name;
	photo.onerror = () => { $("photo-words").textContent = `${shown.name} cannot be read: remove it, or mend the file.`; };
	$("photo-words").replaceChildren(h("span.name", { title: shown.name }, shown.name),
		h("span", which === "input" ? `${times([height, width])}, ${resize}` : ""),
		sign("close", `Remove ${shown.name}`, () => drop(shown)));
}

function thumb(one, chosen) {
	return h("button.thumb", { title: one.name, "aria-current": chosen && "true", onclick: () => state.set({ img: one.id }) },
		h("img", { src: api.url(`images/${one.id}/original.png?side=128`), alt: one.name, loading: "lazy", width: 48, height: 48 }));
}

async function drop(one) {
	const at = pictures.indexOf(one);
	try {
		await api.forget(one.id);
	} catch (error) {
		if (error.kind !== "UnknownName") return tell(error.message);
	}
	pictures = pictures.filter((other) => other !== one);
	state.set({ img: (pictures[at] ?? pictures[at - 1])?.id ?? null });
	draw();
	predict();
	dispatchEvent(new Event("pictures"));
}

/** Take files in; the last becomes the picture that is looked at. */
export async function take(files) {
	$("upload-said").replaceChildren();
	const refused = [];
	let last = null;
	for (const file of files) {
		try {
			if (file.size > 2 ** 25) throw new Error(`${file.name} is larger than 32 MiB: make it smaller first.`);
			last = (await api.upload(file)).images[0];
			if (!pictures.some((one) => one.id === last.id)) pictures.push(last);
		} catch (error) {
			refused.push(error.message);
		}
	}
	if (refused.length) tell(refused.join(" "));
	if (last) {
		const before = current()?.id;
		state.set({ img: last.id });
		draw();
		if (before === last.id) predict();
		dispatchEvent(new Event("pictures"));
	}
}

function tell(message) {
	$("upload-said").replaceChildren(said(message, sign("close", "Dismiss", () => $("upload-said").replaceChildren())));
}

function dropping() {
	const shown = (on) => { $("drop").hidden = !on; };
	addEventListener("dragover", (event) => {
		if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
		event.preventDefault();
		shown(true);
	});
	addEventListener("dragleave", ({ relatedTarget }) => shown(relatedTarget !== null));
	for (const name of ["drop", "paste"]) addEventListener(name, (event) => {
		shown(false);
		const found = [...((event.dataTransfer ?? event.clipboardData)?.files ?? [])];
		if (found.length) { event.preventDefault(); take(found); }
	});
}

async function predict() {
	const signal = latest();
	const shown = current();
	const host = $("predictions");
	if (host.dataset.of === shown?.id && shown) return mark(); // the server knew it
	host.dataset.of = "";
	if (!shown) return host.replaceChildren(fact("of the picture, when there is one"));
	if (!host.childElementCount) host.replaceChildren(...Array.from({ length: 5 }, () => h("div.bar-row.ghost")));
	try {
		host.replaceChildren(...(await api.only(shown.id, { name: "class-probabilities" }, { signal })).rows.map(built));
		mark();
	} catch (error) {
		if (error.name !== "AbortError") host.replaceChildren(said(error.message));
	}
	return undefined;
}

const rows = () => [...$("predictions").querySelectorAll("button")];
const names = () => rows().map((one) => one.querySelector(".name").textContent);

function mark() {
	const asked = target().toLowerCase();
	const known = names();
	rows().forEach((one, i) => one.setAttribute("aria-pressed", String(asked === `top${i + 1}` || asked === known[i].toLowerCase())));
}
