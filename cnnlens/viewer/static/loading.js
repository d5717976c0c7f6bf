// While the model is opened: how long that takes, or why not.
import { $, fact, h, said } from "./dom.js";
import { state } from "./api.js";

const host = $("waiting");
const begun = performance.now() - 1000 * host.dataset.seconds;
const clock = setInterval(() => { $("elapsed").textContent = `${Math.round((performance.now() - begun) / 1000)} s`; }, 250);
let told;
try {
	do told = (await state(2)).opening; while (told.state === "loading");
} catch (error) {
	told = { error };
}
clearInterval(clock);
if (told.error) {
	for (const link of document.querySelectorAll(".thumb")) link.removeAttribute("href"); // soon nobody answers there
	host.replaceChildren(h("h2", `${host.dataset.name} could not be opened`), said(told.error.message), fact("Mend that, start the command again, and reload this page."));
} else location.reload();
