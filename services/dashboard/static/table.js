// A table of the dashboard: sorts, filters while the viewer types, and reports clicks.
//
// table.py describes `data`. Every text in it is plain text: it is escaped here.

const tables = new WeakMap();
const SHOWN_ROWS = 100;
const REPORT_DELAY_MS = 400;
const ARROWS = { rise: "▲", fall: "▼" };

export default function showTable({ data, parentElement, setStateValue, setTriggerValue }) {
  let table = tables.get(parentElement);
  if (!table) {
    table = createTable(parentElement);
    tables.set(parentElement, table);
  }
  Object.assign(table, { data, setStateValue, setTriggerValue });
  adoptView(table);
  drawToolbar(table);
  drawHead(table);
  drawBody(table);
  return () => clearTimeout(table.timer);
}

function createTable(parent) {
  const root = document.createElement("div");
  root.className = "ms-table";
  root.dataset.testid = "sentinel-table";
  root.innerHTML =
    '<div class="ms-toolbar" hidden><input type="search" autocomplete="off" spellcheck="false">' +
    '<button type="button" class="ms-starred-only">★</button><span class="ms-count" role="status"></span></div>' +
    '<div class="ms-scroll" tabindex="0" role="region"><table><caption></caption><thead><tr></tr></thead>' +
    "<tbody></tbody></table></div>" +
    '<p class="ms-empty" hidden></p><button type="button" class="ms-all" hidden></button>';
  parent.append(root);
  const table = { root, view: {}, received: "", isComplete: false };
  for (const name of ["toolbar", "count", "empty", "all", "starred-only"])
    table[name] = root.querySelector(`.ms-${name}`);
  table.input = root.querySelector("input");
  table.input.addEventListener("input", () => changeView(table, { query: table.input.value }));
  table["starred-only"].addEventListener("click", () =>
    changeView(table, { starred: !table.view.starred }),
  );
  table.all.addEventListener("click", () => {
    table.isComplete = true;
    drawBody(table);
  });
  root.querySelector("thead").addEventListener("click", (event) => sortBy(table, event));
  root.querySelector("tbody").addEventListener("click", (event) => reportClick(table, event));
  return table;
}

// The view (sort column, filter text, stars only) comes from the page's address, so that a reload
// and the back button restore it. While the viewer types, theirs is newer.
function adoptView(table) {
  const received = JSON.stringify(table.data.view);
  if (received === table.received || table.timer) return;
  table.received = received;
  table.view = { ...table.data.view };
  table.input.value = table.view.query ?? "";
}

function changeView(table, change) {
  table.view = { ...table.view, ...change };
  drawToolbar(table);
  drawHead(table);
  drawBody(table);
  clearTimeout(table.timer);
  table.timer = setTimeout(() => {
    table.timer = undefined;
    table.received = JSON.stringify(table.view);
    table.setStateValue("view", table.view);
  }, REPORT_DELAY_MS);
}

function drawToolbar(table) {
  const { data, view, toolbar, input } = table;
  toolbar.hidden = !data.search;
  input.placeholder = data.search ?? "";
  input.setAttribute("aria-label", data.search ?? "");
  const button = table["starred-only"];
  button.hidden = !data.columns.some((column) => column.kind === "star");
  button.setAttribute("aria-pressed", String(Boolean(view.starred)));
  button.textContent = `★ ${data.labels.starred}`;
}

function drawHead(table) {
  const { data, view, root } = table;
  root.querySelector("caption").textContent = data.label;
  root.querySelector(".ms-scroll").setAttribute("aria-label", data.label);
  root.classList.toggle("ms-old", Boolean(data.is_old));
  root.querySelector("thead tr").innerHTML = data.columns
    .map((column, index) => {
      const isSorted = view.sort === column.key;
      const order = isSorted ? ` aria-sort="${view.descending ? "descending" : "ascending"}"` : "";
      const mark = isSorted ? (view.descending ? " ↓" : " ↑") : "";
      const label = escapeHtml(column.label) + mark;
      const title = column.help ? ` title="${escapeHtml(column.help)}"` : "";
      const content = isSortable(column)
        ? `<button type="button" data-column="${index}"${title}>${label}</button>`
        : `<span${title}>${label}</span>`;
      return `<th scope="col" class="${cellClass(column)}"${order}>${content}</th>`;
    })
    .join("");
}

function isSortable(column) {
  return !["line", "actions"].includes(column.kind);
}

function cellClass(column) {
  return `ms-${column.kind} ms-p${column.priority}`;
}

function sortBy(table, event) {
  const button = event.target.closest("button[data-column]");
  if (!button) return;
  const column = table.data.columns[button.dataset.column];
  const beginsDescending = ["change", "star"].includes(column.kind) || column.descending;
  const descending =
    table.view.sort === column.key ? !table.view.descending : Boolean(beginsDescending);
  changeView(table, { sort: column.key, descending });
  table.root.querySelector(`button[data-column="${button.dataset.column}"]`).focus();
}

function drawBody(table) {
  const { data, view, root } = table;
  const rows = sortRows(data, view, findRows(data, view));
  const shown = table.isComplete ? rows : rows.slice(0, SHOWN_ROWS);
  const body = root.querySelector("tbody");
  const focus = describeFocus(body);
  body.innerHTML = shown.map((row) => drawRow(data.columns, row)).join("");
  restoreFocus(body, focus);
  table.empty.hidden = rows.length > 0;
  table.empty.textContent = data.rows.length ? data.labels.none_found : data.empty;
  root.querySelector("table").hidden = rows.length === 0;
  table.all.hidden = shown.length === rows.length;
  table.all.textContent = data.labels.show_all.replace("{count}", rows.length);
  const isFiltered = rows.length < data.rows.length;
  table.count.textContent = isFiltered ? `${rows.length} / ${data.rows.length}` : data.count ?? "";
  root.dataset.drawn = "true";
}

function findRows(data, view) {
  const wanted = simplify((view.query ?? "").trim());
  const star = data.columns.findIndex((column) => column.kind === "star");
  return data.rows.filter(
    (row) =>
      (!wanted || simplify(row.search ?? "").includes(wanted)) &&
      (!view.starred || star < 0 || row.cells[star]),
  );
}

// Returns a text without its case and its accents.
function simplify(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

// Unknown values are last in both orders.
function sortRows(data, view, rows) {
  const index = data.columns.findIndex((column) => column.key === view.sort);
  if (index < 0) return rows;
  const sign = view.descending ? -1 : 1;
  const value = (row) => sortValue(row.cells[index]);
  return rows
    .map((row) => [value(row), row])
    .sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
    })
    .map(([, row]) => row);
}

function sortValue(cell) {
  if (Array.isArray(cell)) return cell[0];
  if (typeof cell === "boolean") return Number(cell);
  const text = typeof cell === "string" ? cell : (cell?.text ?? "");
  return text === "" || text === "—" ? null : text.toLowerCase();
}

function drawRow(columns, row) {
  const cells = columns.map(
    (column, index) =>
      `<td class="${cellClass(column)}">${DRAW[column.kind](row.cells[index], row, column)}</td>`,
  );
  return `<tr data-id="${escapeHtml(row.id)}">${cells.join("")}</tr>`;
}

const DRAW = {
  text: (cell) => drawText(cell),
  number: (cell) => escapeHtml(cell[1]),
  change: ([value, text]) => {
    const tone = toneOf(value, text);
    const arrow = tone ? `<span aria-hidden="true">${ARROWS[tone]}</span> ` : "";
    return `<span class="ms-${tone || "flat"}">${arrow}${escapeHtml(text)}</span>`;
  },
  badge: ([, text, tone]) => `<span class="ms-badge ms-${escapeHtml(tone)}">${escapeHtml(text)}</span>`,
  link: (cell, row) => {
    const { text, note } = typeof cell === "string" ? { text: cell } : cell;
    const label = `<span class="ms-name">${escapeHtml(text)}</span>`;
    const small = note ? ` <span class="ms-note">${escapeHtml(note)}</span>` : "";
    return row.href ? `<a href="${escapeHtml(row.href)}">${label}${small}</a>` : label + small;
  },
  star: (cell, row) =>
    `<button type="button" class="ms-star-button" data-star aria-pressed="${Boolean(cell)}" ` +
    `aria-label="★ ${escapeHtml(row.name ?? row.id)}">${cell ? "★" : "☆"}</button>`,
  line: (cell) => drawLine(cell),
  actions: (cell) =>
    cell
      .map(
        ({ action, label }) =>
          `<button type="button" class="ms-action" data-action="${escapeHtml(action)}">${escapeHtml(label)}</button>`,
      )
      .join(" "),
};

function drawText(cell) {
  const { text, note } = typeof cell === "string" ? { text: cell } : (cell ?? { text: "" });
  const small = note ? `<span class="ms-note">${escapeHtml(note)}</span>` : "";
  return escapeHtml(text) + small;
}

// A change that is rounded to zero has no direction.
function toneOf(value, text) {
  if (value === null || !/[1-9]/.test(text)) return "";
  return value > 0 ? "rise" : "fall";
}

// `points` are heights from 0 to 100, null where nothing was observed.
function drawLine(cell) {
  const [change, points] = cell;
  if (!points.some((point) => point !== null)) return "";
  const step = 100 / Math.max(1, points.length - 1);
  let path = "";
  let isOpen = false;
  points.forEach((point, index) => {
    if (point === null) {
      isOpen = false;
      return;
    }
    path += `${isOpen ? "L" : "M"}${(index * step).toFixed(1)} ${(30 - point * 0.3).toFixed(1)}`;
    isOpen = true;
  });
  const tone = change === null ? "flat" : change < 0 ? "fall" : "rise";
  return (
    `<svg class="ms-${tone}" viewBox="0 -1 100 32" preserveAspectRatio="none" aria-hidden="true">` +
    `<path d="${path}"/></svg>`
  );
}

function reportClick(table, event) {
  const row = event.target.closest("tr[data-id]");
  if (!row) return;
  const { id } = row.dataset;
  const link = event.target.closest("a");
  const button = event.target.closest("button");
  if (link && !isModified(event)) {
    event.preventDefault();
    table.setTriggerValue("open", id);
  } else if (button && "star" in button.dataset) {
    toggleStar(table, id);
  } else if (button) {
    table.setTriggerValue("action", { id, action: button.dataset.action });
  }
}

// Such a click opens another tab or saves the link.
function isModified(event) {
  return event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0;
}

function toggleStar(table, id) {
  const index = table.data.columns.findIndex((column) => column.kind === "star");
  const row = table.data.rows.find((each) => each.id === id);
  row.cells[index] = !row.cells[index];
  drawBody(table);
  table.setTriggerValue("star", { id, starred: row.cells[index] });
}

// A refresh must not take the keyboard's place in the table away.
function describeFocus(body) {
  const active = document.activeElement;
  if (!body.contains(active)) return null;
  const controls = [...active.closest("tr").querySelectorAll("a, button")];
  return { id: active.closest("tr").dataset.id, index: controls.indexOf(active) };
}

function restoreFocus(body, focus) {
  if (!focus) return;
  const row = body.querySelector(`tr[data-id="${CSS.escape(focus.id)}"]`);
  row?.querySelectorAll("a, button")[focus.index]?.focus({ preventScroll: true });
}

function escapeHtml(text) {
  return String(text ?? "").replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
