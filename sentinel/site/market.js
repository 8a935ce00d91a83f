// The market pages: sorts and searches the table of coins, and moves the crosshair of a coin's chart.
// Without it the table is complete, by rank.
"use strict";

// The value by which a cell is sorted; undefined: unknown, which is always last.
function readValue(row, column, kind) {
  const cell = row.cells[column];
  if (kind === "text") return cell.textContent.trim().toLowerCase();
  return cell.dataset.value === "" ? undefined : Number(cell.dataset.value);
}

function sortRows(table, header, isDescending) {
  const { cellIndex, dataset } = header;
  const sign = isDescending ? -1 : 1;
  const entries = [...table.tBodies[0].rows].map((row) => [readValue(row, cellIndex, dataset.sort), row]);
  entries.sort(([a], [b]) => {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
  });
  table.tBodies[0].append(...entries.map(([, row]) => row));
  table.querySelector("[aria-sort]").removeAttribute("aria-sort");
  header.ariaSort = isDescending ? "descending" : "ascending";
}

// Makes the title of each column a button. Numbers begin with the largest, but for the rank.
function offerSorting(table) {
  for (const header of table.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    const beginsDescending = header.dataset.sort === "number" && !header.matches(".rank");
    button.addEventListener("click", () => {
      const isDescending = header.ariaSort ? header.ariaSort === "ascending" : beginsDescending;
      sortRows(table, header, isDescending);
    });
  }
}

// Returns a text without its case and its accents.
function simplify(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

function showMatches(table, query) {
  const wanted = simplify(query.trim());
  let found = 0;
  for (const row of table.tBodies[0].rows) {
    row.hidden = !simplify(`${row.dataset.id} ${row.cells[1].textContent}`).includes(wanted);
    found += !row.hidden;
  }
  table.closest(".coins").classList.toggle("searched", wanted !== "");
  table.hidden = !found;
  document.getElementById("found").textContent =
    wanted === "" ? "" : found ? `${found} found` : `No coin found for “${query.trim()}”.`;
}

function offerSearch(table) {
  const input = document.getElementById("search");
  input.closest("p").hidden = false;
  input.addEventListener("input", () => showMatches(table, input.value));
  if (input.value) showMatches(table, input.value); // the browser has kept a text
}

function describeHour(data, hour) {
  const at = new Date((data.from + hour * 3600) * 1000).toLocaleString("en-GB", {
    timeZone: "UTC", weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
  });
  const price = data.prices[hour];
  if (price === null) return `${at}: no price`;
  const digits = { minimumFractionDigits: data.decimals, maximumFractionDigits: data.decimals };
  const source = data.backfilled.includes(hour) ? ", backfilled" : "";
  return `${at}: $${price.toLocaleString("en-US", digits)}${source}`;
}

function place(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

function showHour(plot, slider, data) {
  const hour = slider.valueAsNumber;
  const price = data.prices[hour];
  const x = `${((hour + 0.5) / data.prices.length) * 100}%`;
  const y = price === null ? 0 : ((data.high - price) / (data.high - data.low)) * 100;
  place(plot.querySelector("line.cursor"), { x1: x, x2: x, visibility: "visible" });
  const visibility = price === null ? "hidden" : "visible";
  place(plot.querySelector("circle.cursor"), { cx: x, cy: `${y}%`, visibility });
  slider.ariaValueText = describeHour(data, hour);
  const readout = document.getElementById("readout");
  readout.textContent = slider.ariaValueText;
  readout.classList.remove("muted");
}

// A slider lies unseen over the chart: it brings arrow keys, touch and a name for screen readers.
function offerCrosshair(slider) {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const plot = slider.closest(".plot");
  slider.hidden = document.getElementById("readout").hidden = false;
  slider.addEventListener("input", () => showHour(plot, slider, data));
  slider.addEventListener("pointermove", (event) => {
    slider.value = Math.floor((event.offsetX / slider.clientWidth) * data.prices.length);
    showHour(plot, slider, data);
  });
}

const table = document.querySelector(".coins table");
if (table) {
  offerSorting(table);
  offerSearch(table);
}
const slider = document.querySelector(".crosshair");
if (slider) offerCrosshair(slider);
