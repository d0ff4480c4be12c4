// Sorts and filters tables, draws figures in the reader's theme, shows and hides curves. Nothing is fetched.
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

  // --- filters: a row stays that holds every word; on paper all rows stay ---

  const words = (text) => text.toLowerCase().replaceAll("\u2212", "-").split(/\s+/).filter(Boolean);

  function filter(field) {
    const rows = [...document.getElementById(field.dataset.of).tBodies[0].rows], wanted = words(field.value);
    rows.forEach((row) => {
      const text = words([...row.cells].map((cell) => cell.textContent).join(" ")).join(" ");
      row.classList.toggle("out", !wanted.every((word) => text.includes(word)));
    });
    const left = rows.filter((row) => !row.classList.contains("out")).length;
    field.parentElement.querySelector("output").textContent = `${left} of ${rows.length} rows`;
  }
  all(".filter").forEach((line) => { line.hidden = false; });
  all(".filter input").forEach((field) => {
    field.addEventListener("input", () => filter(field));
    if (field.value) filter(field);  // what a browser kept over a reload
  });

  // --- tabs: without this script, and on paper, every panel is shown ---

  function choose(tab) {
    all("[role=tab]", tab.parentElement).forEach((one) => {
      one.setAttribute("aria-selected", one === tab);
      document.getElementById(one.getAttribute("aria-controls")).classList.toggle("out", one !== tab);
    });
  }
  all("[role=tablist]").forEach((list) => {
    const tabs = all("[role=tab]", list), leap = { ArrowRight: 1, ArrowLeft: -1 };
    list.hidden = false;
    list.parentElement.classList.add("live");
    tabs.forEach((tab, at) => {
      const panel = document.getElementById(tab.getAttribute("aria-controls"));
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      tab.addEventListener("click", () => choose(tab));
      tab.addEventListener("keydown", (event) => {
        const to = event.key === "Home" ? 0 : event.key === "End" ? tabs.length - 1 : at + leap[event.key];
        if (isNaN(to)) return;
        event.preventDefault();
        const next = tabs[(to + tabs.length) % tabs.length];
        next.focus();
        choose(next);
      });
    });
    choose(tabs[0]);
  });

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
    if (width && id.startsWith("curve-")) layout.height = 330;  // two on a sheet
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
