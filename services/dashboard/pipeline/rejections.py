"""The tables of rejected entries: what became of them by reason, and the open ones."""

from __future__ import annotations

from collections.abc import Sequence

from sentinel.site.labels import capitalize, describe_reason
from services.api_client import Json
from services.dashboard.elements.cells import count_cell, time_cell
from services.dashboard.elements.table import Action, Column, Row, show_table
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr, tr_shared

REPLAY, DISCARD = "replay", "discard"


def name_reason(code: str | None) -> str:
    """Return why an entry was rejected, or why a coin fails."""
    return capitalize(tr_shared(describe_reason(code)))


def _list_actions() -> list[dict[str, str]]:
    return [
        {"action": REPLAY, "label": tr("Replay")},
        {"action": DISCARD, "label": tr("Discard")},
    ]


def show_reasons(formatter: Formatter, groups: Sequence[Json]) -> Action | None:
    """Show what became of the rejected entries, by reason; return the clicked action."""
    columns = [
        Column("reason", tr("Reason")),
        Column("open", tr("Open entries"), "number", descending=True),
        Column("replayed", tr("Replayed"), "number", priority=2, descending=True),
        Column("discarded", tr("Discarded"), "number", priority=2, descending=True),
        Column("newest", tr("Newest"), "number", priority=2, descending=True),
        Column("actions", tr("Actions"), "actions"),
    ]
    rows = [
        Row(
            group["reason"],
            [
                name_reason(group["reason"]),
                *(count_cell(formatter, group[key]) for key in ("open", "replayed", "discarded")),
                time_cell(formatter, group["newest_at"]),
                _list_actions() if group["open"] else [],
            ],
            name=name_reason(group["reason"]),
        )
        for group in groups
    ]
    return show_table(
        "quarantine",
        tr("Rejected entries by reason"),
        columns,
        rows,
        title=tr("Rejected entries"),
        empty=tr("No entry of CoinGecko's responses was rejected in the last 60 days."),
    )


def show_entries(formatter: Formatter, entries: Sequence[Json]) -> Action | None:
    """Show the newest open entries; return the clicked action."""
    columns = [
        Column("time", tr("Time"), "number", descending=True),
        Column("coin", tr("Coin and reason")),
        Column("entry", tr("Entry"), "text", tr("As CoinGecko sent it"), priority=2),
        Column("actions", tr("Actions"), "actions"),
    ]
    return show_table(
        "rejections",
        tr("Open rejected entries"),
        columns,
        [build_entry_row(formatter, entry) for entry in entries],
        title=tr("Open rejected entries"),
        folds=True,
        search=tr("Filter entries"),
        count=tr("the newest {count} entries", count=len(entries)),
        empty=tr("No rejected entry is open."),
    )


def build_entry_row(formatter: Formatter, entry: Json) -> Row:
    """Return an open rejected entry as a row."""
    name = entry["name"] or entry["coin_id"]
    reason = name_reason(entry["reason"])
    cells = [
        time_cell(formatter, entry["rejected_at"]),
        {"text": name, "note": reason},
        entry["raw"],
        _list_actions(),
    ]
    search = f"{name} {entry['coin_id']} {reason} {entry['raw']}"
    return Row(entry["id"], cells, search=search, name=name)
