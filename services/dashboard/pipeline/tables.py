"""The tables of the Pipeline page: runs, inactive coins, gaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sentinel import times
from sentinel.amounts import UNKNOWN
from sentinel.site.labels import capitalize
from services.api_client import Json, quote_segment
from services.dashboard.elements.cells import badge_cell, count_cell, number_cell, time_cell
from services.dashboard.elements.table import Column, Row, show_table
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr, tr_shared
from services.dashboard.pipeline.rejections import name_reason

RUN_TONES = {"ok": "ok", "partial": "warning", "failed": "unhealthy", "skipped": "muted"}


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
            time_cell(formatter, run["started_at"]),
            badge_cell(ranks.index(state), _run_states()[state], RUN_TONES[state]),
            count_cell(formatter, run["rows_valid"]),
            count_cell(formatter, run["rows_backfilled"]),
            count_cell(formatter, sum(run["rejected"].values())),
            count_cell(formatter, len(run["missing"])),
            count_cell(formatter, run["api_credits"]),
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
    show_table(
        "inactive_coins",
        tr("Inactive coins"),
        columns,
        [_build_coin_row(formatter, coin) for coin in coins],
        title=tr("Inactive coins"),
        empty=tr("No coin is inactive, and none had a bad response last."),
    )


def _build_coin_row(formatter: Formatter, coin: Json) -> Row:
    is_inactive = coin["status"] == "inactive"
    return Row(
        coin["id"],
        [
            {"text": coin["name"], "note": coin["symbol"].upper()},
            badge_cell(0, tr("inactive"), "warning")
            if is_inactive
            else badge_cell(1, tr("active"), "muted"),
            name_reason(coin["reason"]),
            count_cell(formatter, coin["strikes"]),
            time_cell(formatter, coin["since"]),
            time_cell(formatter, coin["next_probe"]),
        ],
        href=f"coin?coin={quote_segment(coin['id'])}",
        name=coin["name"],
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
                count_cell(formatter, gap["gaps"]),
                count_cell(formatter, gap["coins"]),
                number_cell(gap["longest_minutes"], _format_minutes(formatter, gap)),
                time_cell(formatter, gap["newest_at"]),
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
