// The cells of a table by the kind of their column, as cells.py describes them.

// A change below it is shown as 0.0%.
const FLAT_CHANGE = 0.0005;
const ARROWS = { rise: "▲", fall: "▼" };

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
    const { text, note, small, title } = typeof cell === "string" ? { text: cell } : cell;
    const content =
      `<span class="ms-name" title="${escapeHtml(title ?? text)}">${escapeHtml(text)}</span>` +
      (note ? ` <span class="ms-note${small ? " ms-wide-note" : ""}">${escapeHtml(note)}</span>` : "") +
      (small ? `<span class="ms-note ms-small-note">${escapeHtml(small)}</span>` : "");
    return row.href ? `<a href="${escapeHtml(row.href)}">${content}</a>` : content;
  },
  star: (cell, row, column) =>
    `<button type="button" class="ms-star-button" data-star aria-pressed="${Boolean(cell)}" ` +
    `aria-label="${escapeHtml(`${column.label} ${row.name || row.id}`)}">${cell ? "★" : "☆"}</button>`,
  line: (cell) => drawLine(cell),
  bar: ([share, text]) =>
    `<span class="ms-bar" style="--share: ${Number(share ?? 0) * 100}%">${escapeHtml(text)}</span>`,
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
    // A point between two gaps is a line without length: its round ends are a dot.
    if (!isOpen && (points[index + 1] ?? null) === null) path += "h0";
    isOpen = true;
  });
  const isFlat = change === null || Math.abs(change) < FLAT_CHANGE;
  const tone = isFlat ? "flat" : change < 0 ? "fall" : "rise";
  return (
    `<svg class="ms-${tone}" viewBox="0 -1 100 32" preserveAspectRatio="none" aria-hidden="true">` +
    `<path d="${path}"/></svg>`
  );
}
