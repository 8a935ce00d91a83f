"""A run in the making: what it has gathered so far, and the report of that."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import database
from pipeline.report import RunReport, Status
from sentinel.budget.usage_log import Usage
from sentinel.clocks import Clocks
from sentinel.coingecko import CoinGecko
from sentinel.errors import BudgetExhausted, Interrupted, SentinelError
from sentinel.models import FxRate, LoadCounts, MarketRow, Rejection
from sentinel.storage.connection import Connection


@dataclass(frozen=True, slots=True)
class Loaded:
    """What committed transactions did with this run's rows, and how many they drained."""

    counts: LoadCounts = field(default_factory=LoadCounts)
    rows_drained: int = 0
    rows_backfilled: int = 0


@dataclass(slots=True)
class Run:
    """The one thing in a run that changes while the stages go by."""

    mode: str
    client: CoinGecko
    clocks: Clocks
    started_at: datetime
    began: float
    usages_wanted_since: datetime
    run_id: str = ""
    targets: list[str] = field(default_factory=list)
    rows: list[MarketRow] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    rates: list[FxRate] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    strikes: list[str] = field(default_factory=list)
    deactivated: list[str] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)
    troubles: list[SentinelError] = field(default_factory=list)
    is_degraded: bool = False
    is_synced: bool = False
    skipped_because: str | None = None
    answers: int = 0
    own_files: list[Path] = field(default_factory=list)
    loaded: Loaded | None = None
    place: str = "the database"
    rows_spooled: int = 0
    db_seconds: float = 0.0
    db_bytes: int | None = None
    unrecorded_runs: int = 0
    known_usages: list[Usage] | None = None
    purged_rows: int = 0
    backfill_credits: int = 0
    waiting_coins: int = 0
    extra_coins: Sequence[str] = ()
    detect_gaps: bool = True

    @classmethod
    def begin(cls, mode: str, client: CoinGecko, clocks: Clocks) -> Run:
        """A run that starts now."""
        at = clocks.now()
        run_id = f"{at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        return cls(mode, client, clocks, at, clocks.monotonic(), at, run_id)

    @property
    def seconds(self) -> float:
        """How long the run has lasted; by the steady clock, for the other may be set meanwhile."""
        return max(0.0, round(self.clocks.monotonic() - self.began, 3))

    @property
    def is_interrupted(self) -> bool:
        """Whether somebody asked the process to end."""
        return any(isinstance(trouble, Interrupted) for trouble in self.troubles)

    @property
    def is_stopped(self) -> bool:
        """Whether the budget did not let it begin."""
        return any(isinstance(trouble, BudgetExhausted) for trouble in self.troubles)

    @property
    def exit_code(self) -> int:
        """The gravest trouble's."""
        return max((trouble.exit_code for trouble in self.troubles), default=0)

    def record(self, connection: Connection, loaded: Loaded) -> None:
        """Write the run into the database, as of now."""
        database.record_run(
            connection,
            asdict(self.report(loaded)),
            unrecorded_runs=self.unrecorded_runs,
            backfill_credits=self.backfill_credits,
        )

    def report(self, loaded: Loaded | None) -> RunReport:
        """The report as of now; `loaded` is None where nothing was stored."""
        counts = loaded or Loaded()
        return RunReport(
            mode=self.mode,
            status=self._status(is_stored=loaded is not None),
            exit_code=self.exit_code,
            run_id=self.run_id,
            started_at=self.started_at.isoformat(),
            finished_at=self.clocks.now().isoformat(),
            duration_seconds=self.seconds,
            targets=len(self.targets),
            rows_valid=len(self.rows),
            rows_inserted=counts.counts.inserted,
            rows_updated=counts.counts.updated,
            rows_unchanged=counts.counts.unchanged,
            rows_backfilled=counts.rows_backfilled,
            rows_spooled=self.rows_spooled,
            rows_drained=counts.rows_drained,
            rejected=dict(Counter(rejection.reason for rejection in self.rejections)),
            missing=self.missing,
            strikes=self.strikes,
            deactivated=self.deactivated,
            healed=self.healed,
            api_calls=self.client.calls,
            api_credits=self.client.credits,
            db_seconds=round(self.db_seconds, 3),
            purged_rows=self.purged_rows,
            message=self._message(counts),
        )

    def _status(self, *, is_stored: bool) -> Status:
        """`ok` without trouble; `partial` where rows arrived all the same, else `failed`."""
        if self.skipped_because:
            return "skipped"
        if not self.troubles:
            is_empty = not self.rows and self.mode != "backfill"
            return "partial" if self.is_degraded or is_empty else "ok"
        has_arrived = bool(self.rows) or self.mode == "backfill"
        return "partial" if has_arrived and (is_stored or self.mode == "dry-run") else "failed"

    def _message(self, loaded: Loaded) -> str:
        """One line for a person."""
        if self.skipped_because:
            return f"Skipped, so that the budget lasts: {self.skipped_because}."
        if self.troubles:
            spooled = f" {self.rows_spooled} rows wait in the spool." if self.rows_spooled else ""
            return " ".join(str(trouble) for trouble in self.troubles) + spooled
        calls = f"{self.client.calls} API call{'' if self.client.calls == 1 else 's'}"
        return f"{self._outcome(loaded)}, {calls}.{self._remarks(loaded)}"

    def _outcome(self, loaded: Loaded) -> str:
        if self.mode == "backfill":
            waiting = f"{self.waiting_coins} coins wait"
            return f"{loaded.rows_backfilled} rows repaired in {self.place}, {waiting}"
        where = "would be written" if self.mode == "dry-run" else f"in {self.place}"
        return f"{len(self.rows)} of {len(self.targets)} coins {where}"

    def _remarks(self, loaded: Loaded) -> str:
        sick = " The answer was sick: nobody was struck." if self.is_degraded else ""
        is_repair = loaded.rows_backfilled and self.mode != "backfill"
        repaired = f" {loaded.rows_backfilled} rows of gaps repaired." if is_repair else ""
        return sick + repaired
