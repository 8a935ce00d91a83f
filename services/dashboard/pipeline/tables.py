"""The tables of the Pipeline page: rejected entries, runs, inactive coins, gaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sentinel import times
from sentinel.amounts import UNKNOWN
from sentinel.site.labels import capitalize, describe_reason
from services.api_client import Json, quote_segment
from services.dashboard.elements.table import (
    Action,
    Column,
    NumberCell,
    Row,
    badge_cell,
    number_cell,
    show_table,
)
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr, tr_shared

REPLAY, DISCARD = "replay", "discard"
RUN_TONES = {"ok": "ok", "partial": "warning", "failed": "unhealthy", "skipped": "muted"}


def name_reason(code: str | None) -> str:
    """Return why an entry was rejected, or why a coin fails."""
    return capitalize(tr_shared(describe_reason(code)))


def _time_cell(formatter: Formatter, time: str | None) -> NumberCell:
    value = None if time is None else datetime.fromisoformat(time).timestamp()
    return number_cell(value, formatter.time(time))


def _count_cell(formatter: Formatter, number: int) -> NumberCell:
    return number_cell(number, formatter.count(number))


def _list_actions() -> list[dict[str, str]]:
    return [
        {"action": REPLAY, "label": tr("Replay")},
        {"action": DISCARD, "label": tr("Discard")},
    ]


# --- rejected entries ------------------------------------------------------------------------


def show_reasons(formatter: Formatter, groups: Sequence[Json]) -> Action | None:
    """Show what became of the rejected entries, by reason; return the clicked action."""
    columns = [
        Column("reason", tr("Reason")),
        Column("open", tr("Open entries"), "number", descending=True),
        Column("replayed", tr("Replayed"), "number", priority=2, descending=True),
        Column("discarded", tr("Discarded"), "number", priority=2, descending=True),
        Column("newest", tr("Newest"), "number", priority=2, descending=True),
        Column("actions", "", "actions"),
    ]
    rows = [
        Row(
            group["reason"],
            [
                name_reason(group["reason"]),
                *(_count_cell(formatter, group[key]) for key in ("open", "replayed", "discarded")),
                _time_cell(formatter, group["newest_at"]),
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
    ).action


def show_entries(formatter: Formatter, entries: Sequence[Json]) -> Action | None:
    """Show the newest open entries; return the clicked action."""
    columns = [
        Column("time", tr("Time"), "number", descending=True),
        Column("coin", tr("Coin and reason")),
        Column("entry", tr("Entry"), "text", tr("As CoinGecko sent it"), priority=2),
        Column("actions", "", "actions"),
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
    ).action


def build_entry_row(formatter: Formatter, entry: Json) -> Row:
    """Return an open rejected entry as a row."""
    name = entry["name"] or entry["coin_id"]
    reason = name_reason(entry["reason"])
    cells = [
        _time_cell(formatter, entry["rejected_at"]),
        {"text": name, "note": reason},
        entry["raw"],
        _list_actions(),
    ]
    search = f"{name} {entry['coin_id']} {reason} {entry['raw']}"
    return Row(entry["id"], cells, search=search, name=name)


# --- runs ------------------------------------------------------------------------------------


def _run_states() -> dict[str, str]:
    return {
        "ok": tr("complete"),
        "partial": tr("partial"),
        "failed": tr("failed"),
        "skipped": tr("skipped"),
    }


def show_runs(formatter: Formatter, runs: Sequence[Json]) -> None:
    """Show the newest runs of the pipeline."""
    columns = [
        Column("time", tr("Time"), "number", descending=True),
        Column("state", tr("State"), "badge"),
        Column("prices", tr("Prices"), "number", tr("Valid prices that the run received")),
        Column("backfilled", tr("Backfilled"), "number", priority=2, descending=True),
        Column("rejected", tr("Rejected"), "number", priority=2, descending=True),
        Column(
            "missing",
            tr("Missing coins"),
            "number",
            tr("Coins that CoinGecko left out"),
            priority=2,
            descending=True,
        ),
        Column("credits", tr("Credits"), "number", tr("Calls that CoinGecko counts"), priority=2),
        Column("took", tr("Duration"), "number", priority=3, descending=True),
    ]
    show_table(
        "runs",
        tr("Runs"),
        columns,
        [build_run_row(formatter, run) for run in runs],
        title=tr("Last runs"),
        folds=True,
        empty=tr("There are no runs yet. After `make up`, the first one starts at once."),
    )


def build_run_row(formatter: Formatter, run: Json) -> Row:
    """Return a run as a row."""
    seconds = (
        datetime.fromisoformat(run["recorded_at"]) - datetime.fromisoformat(run["started_at"])
    ).total_seconds()
    ranks = list(RUN_TONES)
    state = run["status"]
    return Row(
        run["run_id"],
        [
            _time_cell(formatter, run["started_at"]),
            badge_cell(ranks.index(state), _run_states()[state], RUN_TONES[state]),
            _count_cell(formatter, run["rows_valid"]),
            _count_cell(formatter, run["rows_backfilled"]),
            _count_cell(formatter, sum(run["rejected"].values())),
            _count_cell(formatter, len(run["missing"])),
            _count_cell(formatter, run["api_credits"]),
            number_cell(seconds, f"{formatter.count(seconds)} {tr('s')}"),
        ],
    )


# --- inactive coins, gaps --------------------------------------------------------------------


def show_inactive_coins(formatter: Formatter, coins: Sequence[Json]) -> None:
    """Show the coins that runs no longer fetch, and those with bad responses in a row."""
    columns = [
        Column("coin", tr("Coin"), "link"),
        Column("state", tr("State"), "badge"),
        Column("reason", tr("Reason"), priority=2),
        Column(
            "strikes",
            tr("Bad responses"),
            "number",
            tr("In a row. Three make a coin inactive, one good one makes it active again."),
            priority=2,
        ),
        Column("since", tr("Since"), "number", priority=2),
        Column("probe", tr("Next probe"), "number"),
    ]
    rows = [
        Row(
            coin["id"],
            [
                {"text": coin["name"], "note": coin["symbol"].upper()},
                badge_cell(0, tr("inactive"), "warning")
                if coin["status"] == "inactive"
                else badge_cell(1, tr("active"), "muted"),
                name_reason(coin["reason"]),
                _count_cell(formatter, coin["strikes"]),
                _time_cell(formatter, coin["since"]),
                _time_cell(formatter, coin["next_probe"]),
            ],
            href=f"coin?coin={quote_segment(coin['id'])}",
            name=coin["name"],
        )
        for coin in coins
    ]
    show_table(
        "inactive_coins",
        tr("Inactive coins"),
        columns,
        rows,
        title=tr("Inactive coins"),
        empty=tr("No coin is inactive, and none had a bad response last."),
    )


def show_gaps(formatter: Formatter, gaps: Sequence[Json]) -> None:
    """Show the gaps of the history by what the backfill does about them."""
    columns = [
        Column("reason", tr("Reason")),
        Column("gaps", tr("Gaps"), "number", descending=True),
        Column("coins", tr("Coins"), "number", descending=True),
        Column("longest", tr("Longest"), "number", priority=2, descending=True),
        Column("newest", tr("Newest"), "number", priority=2, descending=True),
    ]
    rows = [
        Row(
            gap["reason"],
            [
                capitalize(tr_shared(gap["explanation"])),
                _count_cell(formatter, gap["gaps"]),
                _count_cell(formatter, gap["coins"]),
                number_cell(gap["longest_minutes"], _format_minutes(formatter, gap)),
                _time_cell(formatter, gap["newest_at"]),
            ],
        )
        for gap in gaps
    ]
    show_table(
        "gaps",
        tr("Gaps"),
        columns,
        rows,
        title=tr("Gaps of the last 7 days"),
        empty=tr("No gaps: every run that was due stored its prices, or the backfill did."),
    )


def _format_minutes(formatter: Formatter, gap: Json) -> str:
    minutes = gap["longest_minutes"]
    if minutes is None:
        return UNKNOWN
    return times.format_duration(timedelta(minutes=minutes), formatter.language)
