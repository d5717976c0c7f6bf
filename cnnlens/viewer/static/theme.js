// Runs before the page is drawn, so that a chosen theme does not flash.
try {
	const chosen = localStorage.getItem("cnnlens-theme");
	if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch (error) {
	console.info("no storage, the system's theme is used", error);
}
