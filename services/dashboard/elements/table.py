"""The table of all pages: real links, numbers that align, sorting, a filter while typing, stars."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import streamlit as st

from services.dashboard.language import tr
from services.dashboard.server.static_files import make_loader

Kind = Literal["text", "link", "number", "change", "badge", "line", "bar", "star", "actions"]
# A text, or what a function of cells.py returns for the kind of the column.
Cell = Any

_mount = st.components.v2.component("sentinel_table", js=make_loader("table"), isolate_styles=False)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    key: str
    label: str
    kind: Kind = "text"
    # A sentence that explains the label, on hover.
    help: str = ""
    # Narrow windows show columns of priority 1 only, wider ones also 2, wide ones all.
    priority: Literal[1, 2, 3] = 1
    # Whether the first click on the label shows the largest value first.
    descending: bool = False


class Row(NamedTuple):
    """One row of a table; `cells` are in the order of the columns.

    A tuple, because `asdict` of a dataclass copies all cells: 50 ms for 500 rows.
    """

    # Names the row in TableEvents.
    id: str
    cells: Sequence[Cell]
    # Where the cell of kind `link` leads to: a page of the dashboard.
    href: str | None = None
    # The text in which the filter looks.
    search: str = ""
    # What screen readers call the row.
    name: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """How the viewer sorted and filtered a table."""

    # The key of a column; an empty one is the given order.
    sort: str = ""
    descending: bool = False
    query: str = ""
    # Whether only rows with a star are shown.
    starred: bool = False


class Action(NamedTuple):
    """A button that a viewer clicked in a row."""

    row_id: str
    action: str


def show_table(
    key: str,
    label: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    view: View = View(),
    on_view: Callable[[View], None] | None = None,
    on_star: Callable[[str, bool], None] | None = None,
    title: str = "",
    folds: bool = False,
    search: str = "",
    empty: str = "",
    count: str = "",
    is_old: bool = False,
) -> Action | None:
    """Show a table and return the button that the viewer clicked in a row.

    `search` is the placeholder of the filter; without it there is none. `empty` stands in place of
    a table without rows, `count` beside the filter. `on_view` is called before the next run with
    the view that the viewer changed; without it the viewer's session keeps the view. `on_star` is
    called with the id of the row whose star was clicked, and whether it has one now. `title` stands
    above the table; a table that `folds` shows nothing else in a narrow window until the viewer
    opens it. All texts are plain text.
    """
    reported = dict(st.session_state.get(key, {}).get("view") or {})
    revision = reported.pop("revision", 0)
    if reported and not on_view:
        view = View(**reported)
    data = {
        "label": label,
        "columns": [dataclasses.asdict(column) for column in columns],
        "rows": [row._asdict() for row in rows],
        "view": dataclasses.asdict(view),
        # How many views the viewer made before this one.
        "revision": revision,
        # How many stars were clicked: a refused one returns, although no other figure has changed.
        "stars": st.session_state.get(f"{key}_stars", 0),
        "title": title,
        "folds": folds,
        "search": search,
        "empty": empty,
        "count": count,
        "is_old": is_old,
        "labels": _list_labels(),
    }

    def report_view() -> None:
        if on_view:
            changed = {**st.session_state[key]["view"]}
            changed.pop("revision")
            on_view(View(**changed))

    def report_star() -> None:
        # Here and not in the run of the page, which the viewer's next click may interrupt.
        star = st.session_state[key]["star"]
        st.session_state[f"{key}_stars"] = data["stars"] + 1
        if on_star:
            on_star(star["id"], star["starred"])

    result = _mount(
        key=key,
        data=data,
        on_view_change=report_view,
        on_star_change=report_star,
        on_action_change=lambda: None,
    )
    action = result.action
    return Action(action["id"], action["action"]) if action else None


def _list_labels() -> dict[str, str]:
    return {
        "none_found": tr("Nothing matches."),
        "no_stars": tr("Nothing is starred yet. Click the star at the left of a row."),
        "show_all": tr("Show all {count}", count="{count}"),
        "starred": tr("Watchlist"),
    }


def read_view(parameters: Mapping[str, str], columns: Sequence[Column]) -> View:
    """Return the view in a page's address: `q`, `sort` (`-key` is descending), `starred`."""
    sort = parameters.get("sort", "")
    key = sort.removeprefix("-")
    if key not in {column.key for column in columns}:
        sort = key = ""
    return View(key, sort.startswith("-"), parameters.get("q", ""), "starred" in parameters)


def write_view(parameters: Any, view: View) -> None:
    """Put a view into the page's address."""
    values = {
        "q": view.query,
        "sort": f"-{view.sort}" if view.sort and view.descending else view.sort,
        "starred": "1" if view.starred else "",
    }
    others = {name: value for name, value in parameters.items() if name not in values}
    # Each assignment would be a step of the browser's history.
    parameters.from_dict(others | {name: value for name, value in values.items() if value})
