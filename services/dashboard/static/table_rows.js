// Which rows of a table are shown, and in which order.

const compareText = new Intl.Collator(undefined, { numeric: true }).compare;

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
      return sign * (typeof a === "string" ? compareText(a, b) : a - b);
    })
    .map(([, row]) => row);
}

function sortValue(cell) {
  if (Array.isArray(cell)) return cell[0];
  if (typeof cell === "boolean") return Number(cell);
  const text = typeof cell === "string" ? cell : (cell?.text ?? "");
  return text === "" || text === "—" ? null : text.toLowerCase();
}
