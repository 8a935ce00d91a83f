// A table of the dashboard: sorts, filters while the viewer types, and reports clicks.
//
// table.py describes `data`. escape.js and the scripts table_*.js stand before this script in the same file.

const tables = new WeakMap();
const SHOWN_ROWS = 100;
const REPORT_DELAY_MS = 400;
// Windows in which a table that folds begins as its title (dashboard.css has the same width).
const NARROW = "(max-width: 1000px)";

export default function showTable({ data, parentElement, setStateValue, setTriggerValue }) {
  let table = tables.get(parentElement);
  if (!table) {
    table = createTable(parentElement);
    tables.set(parentElement, table);
  }
  Object.assign(table, { data, setStateValue, setTriggerValue });
  adoptView(table);
  drawTitle(table);
  drawToolbar(table);
  drawHead(table);
  drawBody(table);
  return () => {
    removeTable(table);
    tables.delete(parentElement);
  };
}

function createTable(parent) {
  const root = document.createElement("div");
  root.className = "ms-table";
  root.dataset.testid = "sentinel-table";
  root.innerHTML =
    '<h3 class="ms-title" hidden></h3><div class="ms-content"><div class="ms-toolbar" hidden>' +
    '<input type="search" autocomplete="off" spellcheck="false">' +
    '<button type="button" class="ms-starred-only"></button><span class="ms-count" role="status"></span></div>' +
    '<div class="ms-scroll"><table><caption></caption><thead><tr></tr></thead><tbody></tbody></table></div>' +
    '<p class="ms-empty" hidden></p><button type="button" class="ms-all" hidden></button></div>';
  parent.append(root);
  const table = { root, view: null, revision: 0, isFolded: true, rows: new Map() };
  Object.assign(table, { isComplete: false, limit: SHOWN_ROWS });
  for (const name of ["title", "toolbar", "count", "empty", "all", "starred-only", "scroll"])
    table[name] = root.querySelector(`.ms-${name}`);
  table.head = root.querySelector("thead tr");
  table.body = root.querySelector("tbody");
  table.input = root.querySelector("input");
  table.narrow = matchMedia(NARROW);
  table.drawTitle = () => drawTitle(table);
  table.sizes = new ResizeObserver(() => showOverflow(table));
  listen(table);
  return table;
}

function listen(table) {
  const { root, input, body } = table;
  input.addEventListener("input", () => changeView(table, { query: input.value }));
  table["starred-only"].addEventListener("click", () =>
    changeView(table, { starred: !table.view.starred }),
  );
  table.all.addEventListener("click", () => showAll(table));
  table.title.addEventListener("click", (event) => fold(table, event));
  table.head.addEventListener("click", (event) => sortBy(table, event));
  body.addEventListener("click", (event) => reportClick(table, event));
  root.addEventListener("keydown", (event) => moveFocus(table, event));
  table.narrow.addEventListener("change", table.drawTitle);
  table.sizes.observe(table.scroll);
  table.sizes.observe(body);
}

function removeTable(table) {
  clearTimeout(table.timer);
  clearTimeout(table.growth);
  table.narrow.removeEventListener("change", table.drawTitle);
  table.sizes.disconnect();
  table.root.remove();
}

// Only a table that is wider than its place scrolls sideways: within a scrolling element its head
// could not stay in sight below the page's header.
function showOverflow({ scroll, data }) {
  const isWide = scroll.firstElementChild.offsetWidth > scroll.clientWidth + 1;
  scroll.classList.toggle("ms-wide", isWide);
  const attributes = { tabindex: "0", role: "region", "aria-label": data.label };
  for (const [name, value] of Object.entries(attributes)) {
    if (isWide) scroll.setAttribute(name, value);
    else scroll.removeAttribute(name);
  }
}

// The view (sort column, filter text, stars only) comes from the page's address, so that a reload
// and the back button restore it. One that is older than the viewer's last change is ignored.
function adoptView(table) {
  const { data, view, input } = table;
  if (view && (table.timer || data.revision < table.revision)) return;
  table.view = { ...data.view };
  table.revision = data.revision;
  if (input.value.trim() !== data.view.query.trim()) input.value = data.view.query;
}

function changeView(table, change) {
  table.view = { ...table.view, ...change };
  table.limit = SHOWN_ROWS;
  drawToolbar(table);
  drawHead(table);
  drawBody(table);
  if (table.root.getBoundingClientRect().top < 0) table.root.scrollIntoView();
  clearTimeout(table.timer);
  table.timer = setTimeout(() => {
    table.timer = undefined;
    table.revision += 1;
    table.setStateValue("view", { ...table.view, revision: table.revision });
  }, REPORT_DELAY_MS);
}

function drawTitle({ root, title, data, narrow, isFolded }) {
  title.hidden = !data.title;
  const canFold = data.folds && narrow.matches;
  root.classList.toggle("ms-folded", canFold && isFolded);
  const content = canFold
    ? `<button type="button" aria-expanded="${!isFolded}">${escapeHtml(data.title)}</button>`
    : escapeHtml(data.title);
  if (title.innerHTML !== content) title.innerHTML = content;
}

function fold(table, event) {
  if (!event.target.closest("button")) return;
  table.isFolded = !table.isFolded;
  drawTitle(table);
  table.title.querySelector("button").focus();
}

function drawToolbar(table) {
  const { data, view, toolbar, input } = table;
  toolbar.hidden = !data.search;
  input.placeholder = data.search;
  input.setAttribute("aria-label", data.search);
  const button = table["starred-only"];
  button.hidden = !data.columns.some((column) => column.kind === "star");
  button.setAttribute("aria-pressed", String(Boolean(view.starred)));
  button.textContent = `${view.starred ? "★" : "☆"} ${data.labels.starred}`;
}

function drawHead(table) {
  const { data, view, root, head } = table;
  root.querySelector("caption").textContent = data.label;
  root.classList.toggle("ms-old", Boolean(data.is_old));
  const content = data.columns.map((column, index) => drawHeadCell(column, index, view)).join("");
  if (content === table.headContent) return;
  const focused = head.contains(document.activeElement) && document.activeElement.dataset.column;
  table.headContent = content;
  head.innerHTML = content;
  if (focused) head.querySelector(`[data-column="${focused}"]`)?.focus({ preventScroll: true });
}

function drawHeadCell(column, index, view) {
  const isSorted = view.sort === column.key;
  const order = isSorted ? ` aria-sort="${view.descending ? "descending" : "ascending"}"` : "";
  const arrow = view.descending ? "↓" : "↑";
  const mark = isSorted ? ` <span aria-hidden="true">${arrow}</span>` : "";
  const title = column.help ? ` title="${escapeHtml(column.help)}"` : "";
  const isStar = column.kind === "star";
  const label = isStar ? "★" : escapeHtml(column.label);
  const name = isStar ? ` aria-label="${escapeHtml(column.label)}"` : "";
  const content = isSortable(column)
    ? `<button type="button" data-column="${index}"${title}${name}>${label}${mark}</button>`
    : `<span${title}>${label}</span>`;
  return `<th scope="col" class="${cellClass(column)}"${order}>${content}</th>`;
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
}

function drawBody(table) {
  const { data, view, root, body } = table;
  const rows = sortRows(data, view, findRows(data, view));
  const shown = rows.slice(0, table.limit);
  clearTimeout(table.growth);
  const focus = describeFocus(body);
  drawRows(table, shown);
  restoreFocus(body, focus);
  table.empty.hidden = rows.length > 0;
  table.empty.textContent = data.rows.length ? describeNothing(data, view) : data.empty;
  root.querySelector("table").hidden = rows.length === 0;
  table.all.hidden = table.isComplete || shown.length === rows.length;
  table.all.textContent = data.labels.show_all.replace("{count}", rows.length);
  const isFiltered = rows.length < data.rows.length;
  table.count.textContent = isFiltered ? `${rows.length} / ${data.rows.length}` : data.count;
  root.dataset.drawn = "true";
  if (table.isComplete && shown.length < rows.length) table.growth = setTimeout(() => grow(table));
}

// The browser needs some milliseconds for each hundred rows: the first ones are in sight at once.
function grow(table) {
  table.limit += SHOWN_ROWS;
  drawBody(table);
}

function describeNothing({ labels }, view) {
  return view.starred && !view.query.trim() ? labels.no_stars : labels.none_found;
}

// Rows that are drawn already stay, and only their changed cells are drawn again: a refresh keeps
// what the viewer selected, and costs little.
function drawRows(table, rows) {
  const { body, data } = table;
  const layout = data.columns.map(cellClass).join();
  if (layout !== table.layout) {
    table.rows.clear();
    body.replaceChildren();
  }
  table.layout = layout;
  const drawn = new Map(rows.map((row) => [row.id, drawCells(data.columns, row)]));
  createRows(table, drawn);
  for (const [id, row] of table.rows) if (!drawn.has(id)) row.element.remove();
  let place = body.firstElementChild;
  for (const [id, cells] of drawn) {
    const { element } = table.rows.get(id);
    updateCells(table.rows.get(id), cells);
    if (element === place) place = place.nextElementSibling;
    else body.insertBefore(element, place);
  }
}

function drawCells(columns, row) {
  return columns.map((column, index) => DRAW[column.kind](row.cells[index], row, column));
}

function createRows(table, drawn) {
  const missing = [...drawn.keys()].filter((id) => !table.rows.has(id));
  const { columns } = table.data;
  const attributes = columns.map(
    (column, n) =>
      `class="${cellClass(column)}"` + (n ? ` data-label="${escapeHtml(column.label)}"` : ""),
  );
  const template = document.createElement("template");
  template.innerHTML = missing
    .map((id) => {
      const cells = drawn.get(id).map((cell, n) => `<td ${attributes[n]}>${cell}</td>`);
      return `<tr data-id="${escapeHtml(id)}">${cells.join("")}</tr>`;
    })
    .join("");
  const elements = [...template.content.children];
  missing.forEach((id, n) => table.rows.set(id, { element: elements[n], cells: drawn.get(id) }));
}

function updateCells(row, cells) {
  cells.forEach((cell, n) => {
    if (cell !== row.cells[n]) row.element.children[n].innerHTML = cell;
  });
  row.cells = cells;
}

function showAll(table) {
  const last = table.body.lastElementChild;
  table.isComplete = true;
  grow(table);
  last?.nextElementSibling?.querySelector("a, button")?.focus({ preventScroll: true });
}

function reportClick(table, event) {
  const row = event.target.closest("tr[data-id]");
  if (!row) return;
  const { id } = row.dataset;
  const link = event.target.closest("a");
  const button = event.target.closest("button");
  if (link && link.origin === location.origin && !isModified(event)) {
    event.preventDefault();
    openPage(link.href);
  } else if (button && "star" in button.dataset) {
    toggleStar(table, id);
  } else if (button) {
    table.setTriggerValue("action", { id, action: button.dataset.action });
  }
}

// Opens a page of the dashboard without loading it anew. It is one step of the browser's history;
// Streamlit's own switch_page makes two, one of which has the address of neither page.
function openPage(href) {
  history.pushState({}, "", href);
  dispatchEvent(new PopStateEvent("popstate"));
}

// Such a click opens another tab or saves the link.
function isModified(event) {
  return event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button > 0;
}

function toggleStar(table, id) {
  const index = table.data.columns.findIndex((column) => column.kind === "star");
  const row = table.data.rows.find((each) => each.id === id);
  row.cells[index] = !row.cells[index];
  drawBody(table);
  // The time makes two equal clicks two events.
  table.setTriggerValue("star", { id, starred: row.cells[index], at: Date.now() });
}

// The arrow keys move the focus to the same control of another row; Home and End to the first and
// the last row.
function moveFocus({ body, scroll }, event) {
  if (isModified(event) || !scroll.contains(event.target)) return;
  const row = event.target.closest("tr");
  if (!row || !["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
  const target = {
    ArrowDown: body.contains(row) ? row.nextElementSibling : body.firstElementChild,
    ArrowUp: row.previousElementSibling,
    Home: body.firstElementChild,
    End: body.lastElementChild,
  }[event.key];
  if (!target) return;
  event.preventDefault();
  const controls = [...row.querySelectorAll("a, button")];
  const others = [...target.querySelectorAll("a, button")];
  const index = body.contains(row) ? controls.indexOf(event.target) : 0;
  others[Math.min(index, others.length - 1)]?.focus();
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
