// Every text that a page gets from the API is plain text: it is escaped where it becomes HTML.

function escapeHtml(text) {
  return String(text ?? "").replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
