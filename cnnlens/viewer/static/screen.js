// A screen is drawn anew when what it is of has changed, and only then.
import { $, retry } from "./dom.js";
import * as api from "./api.js";
import * as layers from "./layers.js";
import * as pictures from "./pictures.js";
import * as state from "./state.js";
import { savable } from "./panels.js";

/** `draw(host, layer, picture, signal)` into that screen, whenever one of `keys` changes. */
export function screen(name, keys, draw) {
	const latest = api.latest();
	let shown = null;
	const fresh = async () => {
		const [layer, picture] = [layers.current(), pictures.current()];
		const of = state.get("view", "maps") === name ? JSON.stringify([layer?.name, picture?.id, pictures.all().length, keys.map((key) => state.get(key))]) : null;
		if (of === shown) return;
		shown = of;
		const signal = latest();
		if (of === null) return;
		savable([]);
		try {
			await draw($(name), layer, picture, signal);
		} catch (error) {
			if (error.name === "AbortError") return;
			shown = null;
			$(name).lastElementChild.replaceWith(retry(error, fresh));
		}
	};
	state.when([...keys, "view", "img", "layer"], fresh);
	addEventListener("pictures", fresh);
	fresh();
}
