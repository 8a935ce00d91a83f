"""The report of a run: the object that `--json` prints, and the same for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from sentinel import console
from sentinel.models import MarketRow

Status = Literal["ok", "partial", "failed", "skipped"]
SHOWN_ROWS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did; the object that `--json` prints. Times are ISO 8601 in UTC."""

    mode: str
    status: Status = "failed"
    exit_code: int = 0
    run_id: str
    started_at: str
    finished_at: str
    duration_seconds: float
    targets: int = 0
    rows_valid: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_backfilled: int = 0
    rows_spooled: int = 0
    rows_drained: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    strikes: list[str] = field(default_factory=list)
    deactivated: list[str] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)
    api_calls: int = 0
    api_credits: int = 0
    db_seconds: float = 0.0
    purged_rows: int = 0
    message: str = ""


def show(report: RunReport, rows: Sequence[MarketRow] = ()) -> None:
    """The report as a table on stdout, for a person; after a dry run the rows it would write."""
    if rows:
        cells = [
            (
                r.coin_id,
                console.number(r.price_usd),
                console.number(r.market_cap_usd),
                r.observed_at,
            )
            for r in rows[:SHOWN_ROWS]
        ]
        title = f"Would write {len(rows)} rows; the first {len(cells)}:"
        console.show_table(title, ("coin", "USD", "market cap", "observed at"), cells)
    shown = {
        name: value if not isinstance(value, list) else _names(value)
        for name, value in asdict(report).items()
        if value or name in ("exit_code", "rows_valid")
    }
    console.show_table("Run", ("what", "value"), list(shown.items()))


def _names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - SHOWN_ROWS} more" if len(ids) > SHOWN_ROWS else ""
    return ", ".join(ids[:SHOWN_ROWS]) + more
