// One map, enlarged: its numbers, its value under the cursor, its place on the photograph.
import { $, h, number, sign, times } from "./dom.js";
import * as api from "./api.js";
import * as maps from "./maps.js";
import * as pictures from "./pictures.js";
import * as state from "./state.js";
import { show } from "./colours.js";
import { follow, legend, reader, PAGE } from "./sheet.js";

let over = false;

export function begin() {
	const dialog = $("unit");
	dialog.addEventListener("close", () => {
		const name = state.get("unit");
		state.set({ unit: null });
		document.querySelector(`.cell[data-name="${CSS.escape(name ?? "")}"]`)?.focus();
	});
	dialog.addEventListener("keydown", (event) => {
		const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
		if (!by) return;
		event.preventDefault();
		event.stopPropagation();
		step(by);
	});
	state.when(["unit"], draw);
	addEventListener("maps", draw);
}

function step(by) {
	const { panel } = maps.last;
	const to = panel.names.indexOf(state.get("unit")) + by;
	if (panel.names[to] === undefined) return;
	state.set({ unit: panel.names[to], page: Math.floor(to / PAGE) || null });
}

function draw() {
	const dialog = $("unit");
	const name = state.get("unit");
	const at = maps.last?.panel.names.indexOf(name) ?? -1;
	if (name === null || at < 0) {
		if (dialog.open) dialog.close();
		return;
	}
	const { id, n, panel, layer } = maps.last;
	const [height, width] = panel.shape.slice(1);
	const bar = legend(panel, "point at the map for its values");
	const image = h("img.big", { alt: `${layer.name} map ${name}, ${number(panel.ranges[at][0])} to ${number(panel.ranges[at][1])}` });
	image.style.aspectRatio = `${width} / ${height}`;
	show(image, api.levels(id, n, `?first=${at}&count=1`), panel.signed);
	const read = reader(id, n, at);
	follow(image, async (event) => ({ name, ...await read(event, image) }), bar.hover);
	const stage = h("div.stage");
	const photo = h("img.under", { alt: "", src: api.url(`images/${pictures.current().id}/input.png`) });
	const toggle = h("label.check", h("input", { type: "checkbox", checked: over, onchange: (event) => { over = event.target.checked; lay(); } }), "over the photograph");
	const lay = () => { stage.classList.toggle("over", over); stage.replaceChildren(...(over ? [photo] : []), image); };
	lay();
	dialog.replaceChildren(h("div.row",
		h("h2", `${layer.name}[${name}]`), h("div.tools",
			sign("left", "The map before (←)", () => step(-1), at === 0), sign("right", "The next map (→)", () => step(1), at === panel.names.length - 1),
			sign("close", "Close (Esc)", () => dialog.close()))),
		stage, bar.element, facts(panel, at, [height, width]),
		h("div.row.wrap", toggle, h("button", { onclick: () => explain(layer, name) }, "Explain this channel")));
	if (!dialog.open) dialog.showModal();
}

function explain(layer, name) {
	$("unit").close();
	state.set({ view: "explain", target: `${layer.name}[${name}]`, unit: null, vis: "saliency", run: 1 });
}

function facts(panel, at, shape) {
	const [low, high, mean] = panel.ranges[at];
	const told = [["size", times(shape)], ["least", number(low)], ["most", number(high)], ["mean", number(mean)], ["", panel.marks?.[at] ?? ""]];
	return h("dl.stats", told.filter(([, value]) => value).map(([term, value]) => [h("dt", term), h("dd", value)]));
}
