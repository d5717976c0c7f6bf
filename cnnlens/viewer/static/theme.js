// Before the page is drawn, so that a chosen theme does not flash.
const chosen = localStorage.getItem("cnnlens-theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
