// Sorts tables, draws figures in the reader's theme, shows and hides curves. Nothing is fetched.
"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- tables: a heading sorts its column; cells without a value stay last ---

  function sort(head) {
    const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
    const falling = head.getAttribute("aria-sort") === "ascending";
    const key = (row) => row.cells[column].dataset.key;
    const order = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b) * (falling ? -1 : 1);
    const rows = [...body.rows].sort((a, b) => {
      if (key(a) === undefined || key(b) === undefined) return (key(a) === undefined) - (key(b) === undefined);
      return order(key(a), key(b));
    });
    all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    body.append(...rows);
  }
  all("thead button").forEach((button) => button.addEventListener("click", () => sort(button.closest("th"))));

  // --- figures: colours are CSS variables, "var(--name)" or "var(--name / opacity)" ---

  const figures = JSON.parse(document.getElementById("figures").textContent);

  function colour(name, opacity) {
    const hex = getComputedStyle(root).getPropertyValue(name).trim();
    if (!opacity) return hex;
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
    return `rgba(${r}, ${g}, ${b}, ${opacity})`;
  }
  function inked(value) {
    if (typeof value === "string") {
      const variable = /^var\((--[a-z0-9-]+)(?: \/ ([0-9.]+))?\)$/.exec(value);
      return variable ? colour(variable[1], variable[2]) : value;
    }
    if (Array.isArray(value)) return value.map(inked);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inked(item)]));
  }
  function draw(id, width) {
    const { data, layout } = inked(figures[id]);
    if (width) layout.width = width;
    return Plotly.react(id, data, layout, { displayModeBar: false, responsive: true });
  }
  const drawAll = (width) => Object.keys(figures).forEach((id) => draw(id, width));

  all("button[data-loss]").forEach((button) => button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true", id = button.dataset.of;
    button.setAttribute("aria-pressed", shown);
    figures[id].data.filter((trace) => trace.meta === button.dataset.loss).forEach((trace) => { trace.visible = shown; });
    draw(id);
  }));
  all("button[data-save]").forEach((button) => button.addEventListener("click", () => {
    const id = button.dataset.save, { clientWidth: width, clientHeight: height } = document.getElementById(id);
    Plotly.downloadImage(id, { format: "svg", filename: id, width, height });
  }));

  // --- themes and paper ---

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  addEventListener("beforeprint", () => { root.classList.add("on-paper"); drawAll(660); });
  addEventListener("afterprint", () => { root.classList.remove("on-paper"); drawAll(); });
  drawAll();
})();
