// Light or dark as the person chose, on pages that have nothing else of the console's programs.
const chosen = (localStorage.getItem("adminTheme") || '"auto"').replaceAll('"', "");
const isDark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
document.documentElement.classList.toggle("dark", isDark);
