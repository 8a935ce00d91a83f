"""One run in progress, and the report of what it has done so far."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from pipeline.report import RunReport, RunStatus
from pipeline.spool import RunSpool
from pipeline.stage_results import (
    AlertResult,
    BackfillResult,
    FetchResult,
    LoadResult,
    StorageUse,
)
from safe_zone import Settings
from sentinel.budget.usage_log import Usage
from sentinel.clocks import Clocks, is_clock_wrong
from sentinel.coingecko import CoinGecko
from sentinel.errors import EXIT_OK, EXIT_UNEXPECTED, BudgetExhausted, Interrupted, SentinelError
from sentinel.storage import run_records
from sentinel.storage.connection import Connection

if TYPE_CHECKING:
    # Most runs have none.
    from sentinel.alerting.settings import AlertSettings
    from sentinel.notifications.targets import Target


@dataclass(slots=True)
class Run:
    """A run that starts now: one result object for each stage that has something to report."""

    settings: Settings
    clocks: Clocks
    # Ids, symbols or names that the run fetches besides the top coins, within the same limit.
    extra_coins: Sequence[str] = ()
    # Whether the run looks for gaps; the monitor's loop does so once in several runs.
    detect_gaps: bool = True
    # Whether a schedule started the run; the monitor watches such runs, and they watch the monitor.
    is_scheduled: bool = False
    # None: the run sends no alerts. The monitor's loop sends its own.
    alert_settings: AlertSettings | None = None
    # Where the run sends alerts; empty until they are prepared.
    alert_targets: Sequence[Target] = ()
    client: CoinGecko = field(init=False)
    # By the wall clock, UTC.
    started_at: datetime = field(init=False)
    # By the monotonic clock, in seconds.
    started_monotonic: float = field(init=False)
    # Start time and four random hex digits, such as 20261120T120030Z-1f2e; empty if the settings
    # did not let the run begin.
    run_id: str = field(init=False)
    fetched: FetchResult = field(default_factory=FetchResult)
    storage: StorageUse = field(default_factory=StorageUse)
    backfill: BackfillResult = field(default_factory=BackfillResult)
    alerts: AlertResult = field(default_factory=AlertResult)
    # This run's files in the spool; None in a dry run.
    spool: RunSpool | None = None
    # None until a transaction with this run's rows is committed.
    loaded: LoadResult | None = None
    # Runs before this one that did not reach the database.
    unrecorded_runs: int = 0
    # Why the budget check skipped this run; None if it did not.
    skip_reason: str | None = None
    # What the user should know although no stage failed, one text each.
    warnings: list[str] = field(default_factory=list)
    # Whether the stages are done, with or without such errors; false in what a killed run left.
    has_ended: bool = False
    # Errors that ended a stage.
    stage_errors: list[SentinelError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started_at = self.clocks.now()
        self.started_monotonic = self.clocks.monotonic()
        self.run_id = f"{self.started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        self.client = CoinGecko(
            api_key=self.settings.api_key,
            is_pro=self.settings.is_pro,
            base_url=self.settings.base_url,
            clock=self.clocks.monotonic,
            sleep=self.clocks.sleep,
            now=self.clocks.now,
        )

    @property
    def seconds(self) -> float:
        """The run's duration so far, by the monotonic clock: the wall clock may be adjusted."""
        return max(0.0, round(self.clocks.monotonic() - self.started_monotonic, 3))

    @property
    def trusted_start(self) -> datetime:
        """When the run started: by CoinGecko's clock if this machine's differs from it too much."""
        offset = self.client.clock_offset
        return self.started_at - offset if offset and is_clock_wrong(offset) else self.started_at

    @property
    def trusted_clocks(self) -> Clocks:
        """The run's clocks, with a wall clock that agrees with `trusted_start`."""
        offset = self.started_at - self.trusted_start
        return replace(self.clocks, now=lambda: self.clocks.now() - offset)

    @property
    def errors(self) -> list[SentinelError]:
        """All errors so far, in the order of the stages."""
        return [*self.fetched.errors, *self.backfill.errors, *self.stage_errors]

    @property
    def exit_code(self) -> int:
        """The exit code for the errors so far."""
        return max((error.exit_code for error in self.errors), default=EXIT_OK)

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal ended a stage."""
        return any(isinstance(error, Interrupted) for error in self.errors)

    @property
    def is_skipped(self) -> bool:
        """Whether the budget check ended the run before any call."""
        is_stopped = any(isinstance(error, BudgetExhausted) for error in self.errors)
        return self.skip_reason is not None or is_stopped

    def usage(self, *, is_metered: bool) -> Usage:
        """Return what the run has used so far, as an entry of the usage log."""
        return Usage(
            self.started_at,
            self.seconds,
            self.client.credits,
            self.storage.db_seconds,
            self.backfill.credits,
            db_bytes=self.storage.database_bytes,
            egress_bytes=self.storage.egress_bytes,
            is_skipped=self.is_skipped,
            is_stored=self.loaded is not None,
            is_metered=is_metered,
            exit_code=self.exit_code if self.has_ended else EXIT_UNEXPECTED,
        )

    def record(self, connection: Connection, loaded: LoadResult) -> None:
        """Write the run into `pipeline_runs`, with `loaded` as if it were committed."""
        run_records.record_run(
            connection,
            asdict(self.report(loaded)),
            unrecorded_runs=self.unrecorded_runs,
            backfill_credits=self.backfill.credits,
            reactivated=self.fetched.reactivated,
        )

    def report(self, loaded: LoadResult | None = None) -> RunReport:
        """Return the report as of now; `loaded` replaces the committed result."""
        loaded = loaded or self.loaded
        result = loaded or LoadResult()
        rejections = [*self.fetched.rejections, *self.backfill.rejections]
        offset = self.client.clock_offset
        return RunReport(
            mode=self.settings.mode,
            status=self._status(is_stored=loaded is not None),
            exit_code=self.exit_code,
            run_id=self.run_id,
            started_at=self.started_at.isoformat(),
            finished_at=self.clocks.now().isoformat(),
            duration_seconds=self.seconds,
            targets=len(self.fetched.targets),
            rows_valid=len(self.fetched.rows),
            rows_inserted=result.counts.inserted,
            rows_updated=result.counts.updated,
            rows_unchanged=result.counts.unchanged,
            rows_backfilled=result.rows_backfilled,
            rows_spooled=self.spool.rows if self.spool else 0,
            rows_drained=result.rows_drained,
            rejected=dict(Counter(rejection.reason for rejection in rejections)),
            missing=self.fetched.missing,
            strikes=self.fetched.strikes,
            deactivated=self.fetched.deactivated,
            healed=self.fetched.healed,
            api_calls=self.client.calls,
            api_credits=self.client.credits,
            db_seconds=round(self.storage.db_seconds, 3),
            purged_rows=self.storage.purged_rows,
            clock_offset_seconds=None if offset is None else round(offset.total_seconds()),
            slot_coverage=self.storage.slot_coverage,
            alerts_raised=self.alerts.raised,
            messages_sent=self.alerts.sent,
            messages_waiting=self.alerts.waiting,
            warnings=self.warnings,
            message=self._message(result),
        )

    def _status(self, *, is_stored: bool) -> RunStatus:
        """`ok` without errors; with errors `partial` if rows arrived anyway, else `failed`."""
        mode = self.settings.mode
        if self.skip_reason:
            return "skipped"
        has_rows = bool(self.fetched.rows) or mode == "backfill"
        if not self.errors:
            return "partial" if self.fetched.is_degraded or not has_rows else "ok"
        return "partial" if has_rows and (is_stored or mode == "dry-run") else "failed"

    def _message(self, loaded: LoadResult) -> str:
        """Return one line for the user."""
        if self.skip_reason:
            return f"Skipped to keep within the monthly budget: {self.skip_reason}."
        if self.errors:
            waiting = self.spool.rows if self.spool else 0
            text = " ".join(map(str, self.errors))  # it may end with a command, without a period
            return f"{text.rstrip('.')}. {waiting} rows wait in the spool." if waiting else text
        calls = f"{self.client.calls} API call{'' if self.client.calls == 1 else 's'}"
        return f"{self._outcome(loaded)}, {calls}.{self._remarks(loaded)}"

    def _outcome(self, loaded: LoadResult) -> str:
        place = self.storage.database_name
        if self.settings.mode == "backfill":
            waiting = f"{self.backfill.coins_waiting} coins wait"
            return f"{loaded.rows_backfilled} rows backfilled in {place}, {waiting}"
        where = "would be written" if self.settings.mode == "dry-run" else f"in {place}"
        targets = set(self.fetched.targets)
        found = sum(row.coin_id in targets for row in self.fetched.rows)  # and not the probes
        return f"{found} of {len(targets)} coins {where}"

    def _remarks(self, loaded: LoadResult) -> str:
        is_degraded = self.fetched.is_degraded
        degraded = " The response was degraded: no coin got a strike." if is_degraded else ""
        has_filled = loaded.rows_backfilled and self.settings.mode != "backfill"
        filled = f" {loaded.rows_backfilled} rows of gaps backfilled." if has_filled else ""
        return degraded + filled
