"""The report of a run: the object that `ingest.py --json` prints, and its table for the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from sentinel import console
from sentinel.budget.schedule import SlotCoverage
from sentinel.models import MarketRow

RunStatus = Literal["ok", "partial", "failed", "skipped"]
# Rows and ids that a table shows.
MAX_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did. The field names and their order are the JSON contract of `--json`."""

    # ingest, dry-run or backfill.
    mode: str
    # ok; partial: rows arrived in spite of errors; failed; skipped by the budget check.
    status: RunStatus = "failed"
    # 0 without errors, else the highest code of the errors (see sentinel.errors).
    exit_code: int = 0
    # Start time and four random hex digits; empty if the settings did not let the run begin.
    run_id: str
    # ISO 8601, UTC.
    started_at: str
    finished_at: str
    duration_seconds: float
    # Coins requested, without the probes of inactive coins.
    targets: int = 0
    # Fetched prices that passed validation; probes of inactive coins are included.
    rows_valid: int = 0
    # What the upsert did with the valid rows.
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    # Rows that the backfill stage inserted into gaps.
    rows_backfilled: int = 0
    # Rows of this run that wait in the spool because the database did not take them.
    rows_spooled: int = 0
    # Rows of earlier runs that this run loaded from the spool.
    rows_drained: int = 0
    # Entries that failed validation, by reason (see transform.py).
    rejected: dict[str, int] = field(default_factory=dict)
    # Ids of requested coins that the responses did not contain.
    missing: list[str] = field(default_factory=list)
    # Ids of coins that got a strike, became inactive, or recovered.
    strikes: list[str] = field(default_factory=list)
    deactivated: list[str] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)
    # Requests sent to CoinGecko; all of them count toward the plan's minute.
    api_calls: int = 0
    # Responses with status 200; they count toward the plan's month.
    api_credits: int = 0
    # How long the run held the database.
    db_seconds: float = 0.0
    # Rows older than the retention that the run dropped.
    purged_rows: int = 0
    # How far this machine's clock is ahead of CoinGecko's (negative: behind); None: unknown.
    clock_offset_seconds: int | None = None
    # How much of the history was observed and backfilled; null: not measured, or nothing is stored
    # that is older than a day.
    slot_coverage: SlotCoverage | None = None
    # New alerts, and the messages that the alert targets accepted or that wait for a later run; 0
    # without a target.
    alerts_raised: int = 0
    messages_sent: int = 0
    messages_waiting: int = 0
    # What the user should know although the run did not fail, one text each.
    warnings: list[str] = field(default_factory=list)
    # One line for the user.
    message: str = ""


def read_report(path: str) -> RunReport | None:
    """Return the report in a file; None if the run left none or only a part of it."""
    try:
        return TypeAdapter(RunReport).validate_json(Path(path).read_bytes())
    except (OSError, ValueError):
        return None


def show(report: RunReport, rows: Sequence[MarketRow] = ()) -> None:
    """Print the report as a table; `rows` are those that a dry run would have written."""
    if rows:
        cells = [
            (
                row.coin_id,
                console.format_number(row.price_usd),
                console.format_number(row.market_cap_usd),
                row.observed_at,
            )
            for row in rows[:MAX_SHOWN]
        ]
        title = f"Would write {len(rows)} rows; the first {len(cells)}:"
        console.show_table(title, ("coin", "USD", "market cap", "observed at"), cells)
    shown = {
        name: value if not isinstance(value, list) else console.list_first(value)
        for name, value in ((field.name, getattr(report, field.name)) for field in fields(report))
        if value or name in ("exit_code", "rows_valid")
    }
    console.show_table("Run", ("field", "value"), list(shown.items()))
