"""The backfill stage: fetch the history of coins that have gaps, and load it.

It uses the connection that the run has opened anyway, so it wakes no database of its own.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import budget_monitor
import database
from pipeline import backfill_plan
from pipeline.backfill_plan import BackfillCall, BackfillTask
from pipeline.run import Run
from pipeline.spool import RunSpool
from safe_zone import (
    BACKFILL_CALLS_PER_RUN,
    BACKFILL_MINUTES,
    RETRY_AFTER_FAILURE,
    RETRY_AFTER_REFUSAL,
    Settings,
)
from sentinel.budget.coingecko_credits import BackfillAllowance
from sentinel.budget.usage_log import Usage
from sentinel.errors import (
    ApiRefused,
    ApiUnavailable,
    CoinUnknown,
    ConfigurationError,
    SentinelError,
)
from sentinel.models import Gap, MarketRow, Rejection
from sentinel.process import defer_signals
from sentinel.storage import partitions, run_records
from sentinel.storage.connection import Connection
from sentinel.storage.queries.gaps import FillableCoin
from transform import validate_chart

log = logging.getLogger("sentinel.backfill")


class CoinBackfill(NamedTuple):
    """The result of one coin's call."""

    rows: Sequence[MarketRow] = ()
    # Points of the chart that failed validation.
    rejections: Sequence[Rejection] = ()
    # Gaps that stay open, each with its reason.
    unfillable: Sequence[Gap] = ()
    # When the run may ask for these gaps again; None: never.
    retry_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class CreditBudget:
    """The credits that are left for the backfill today, and a way to reserve them."""

    settings: Settings
    # What this run has used so far.
    usage: Usage
    # Usage of earlier runs that the database recorded; the usage log may have lost them.
    recorded_usages: Sequence[Usage]
    # False while another run on this machine backfills: both would spend the same credits.
    is_exclusive: bool

    def allowance(self) -> BackfillAllowance:
        """Return the credits of a day, and how many of them are left today."""
        allowance = budget_monitor.backfill_allowance(
            self.settings, self.usage.started_at, self.recorded_usages
        )
        return allowance if self.is_exclusive else allowance._replace(left=0)

    def reserve(self, credit_count: int) -> None:
        """Count credits as spent in the usage log before they are spent.

        The log then counts them even if the run is killed halfway.
        """
        planned = self.usage._replace(
            api_credits=self.usage.api_credits + credit_count,
            backfill_credits=self.usage.backfill_credits + credit_count,
        )
        now = self.usage.started_at + timedelta(seconds=self.usage.duration_seconds)
        budget_monitor.save_run(self.settings, planned, now)


@dataclass(frozen=True, slots=True)
class Backfill:
    """The backfill stage of one run."""

    run: Run
    spool: RunSpool

    def plan(self, coins: Sequence[FillableCoin], budget: CreditBudget) -> list[BackfillCall]:
        """Return the calls that the budget allows, and reserve their credits.

        A normal run makes only the calls that are due, a run in backfill mode all that it can.
        """
        plan = backfill_plan.plan_backfill(
            coins,
            self.run.fetched.targets,
            self.run.trusted_start,
            calls=self._calls_left(),
            allowance=budget.allowance(),
            should_wait=not self._is_backfill_mode,
        )
        self.run.backfill.coins_waiting = plan.coins_waiting
        if plan.calls:
            budget.reserve(len(plan.calls))
        return plan.calls

    def fetch(self, calls: Sequence[BackfillCall], gaps: Sequence[Gap]) -> list[CoinBackfill]:
        """Make the calls for these gaps, and return the results.

        Each response is spooled at once. If CoinGecko fails, the stage ends; that is an error only
        in backfill mode, because a normal run has done its main work by then.
        """
        now = self.run.trusted_start
        return list(self._fetch_tasks([backfill_plan.make_task(c, gaps, now) for c in calls]))

    @property
    def _is_backfill_mode(self) -> bool:
        return self.run.settings.mode == "backfill"

    def _calls_left(self) -> int:
        """Return how many calls the plan's minute allows; backfill mode may use several minutes."""
        minute = self.run.client.plan.calls_per_minute
        if self._is_backfill_mode:
            return max(0, BACKFILL_MINUTES * minute - self.run.client.calls)
        return max(0, min(BACKFILL_CALLS_PER_RUN, minute - self.run.client.calls))

    def _fetch_tasks(self, tasks: Sequence[BackfillTask]) -> Iterator[CoinBackfill]:
        """Make one call per task, until CoinGecko fails as a whole."""
        for task in tasks:
            credits_before = self.run.client.credits
            try:
                found = self._fetch_task(task)
            except ConfigurationError as error:
                self._note_error(error)
                return
            except ApiUnavailable as error:
                self._note_error(error)
                found = self._postpone(task, RETRY_AFTER_FAILURE)
            finally:
                self.run.backfill.credits += self.run.client.credits - credits_before
            self.run.backfill.rejections += found.rejections
            yield found
            if self.run.client.is_exhausted:
                return

    def _fetch_task(self, task: BackfillTask) -> CoinBackfill:
        try:
            body = self.run.client.market_chart(
                task.coin_id, task.days, should_retry=self._is_backfill_mode
            )
        except CoinUnknown:
            return CoinBackfill(unfillable=backfill_plan.mark_unfillable(task, "unknown_coin"))
        except ApiRefused as error:
            log.warning("the gaps of %s wait for a day: %s", task.coin_id, error)
            return self._postpone(task, RETRY_AFTER_REFUSAL)
        points, rejections = validate_chart(
            body, task.coin_id, self.run.trusted_start, self.run.run_id
        )
        rows, left = backfill_plan.fill_gaps(task, points, self.run.trusted_start)
        # A signal must not separate a received response from its file.
        with defer_signals():
            self.spool.write([*rows, *rejections])
        if rejections and not points:  # a degraded response says nothing about the gap
            return self._postpone(task, RETRY_AFTER_REFUSAL)._replace(rejections=rejections)
        return CoinBackfill(rows, rejections, left)

    def _note_error(self, error: SentinelError) -> None:
        if self._is_backfill_mode:
            self.run.backfill.errors.append(error)
        else:
            log.warning("gaps wait for the next run: %s", error)

    def _postpone(self, task: BackfillTask, pause: timedelta) -> CoinBackfill:
        """Let other coins go first for a while."""
        gaps = backfill_plan.mark_unfillable(task, "unusable_chart")
        return CoinBackfill(unfillable=gaps, retry_after=self.run.trusted_start + pause)


def load_backfill(
    connection: Connection, found: Sequence[CoinBackfill], days: partitions.Days, now: datetime
) -> int:
    """Load the rows, record the gaps that stay open, and return the number of new rows."""
    rows = [row for coin in found for row in coin.rows]
    # The coins are known, because gaps lie between their observations: no labels are needed.
    counts = database.load_batch(connection, rows, lambda _coin_id: None, days)
    run_records.record_rejections(connection, [r for coin in found for r in coin.rejections])
    for coin in found:
        run_records.record_unfillable_gaps(connection, coin.unfillable, now, coin.retry_after)
    return counts.inserted


def log_unfillable(found: Sequence[CoinBackfill]) -> None:
    """Log how many gaps stay open, by reason."""
    for reason, count in Counter(gap.reason for coin in found for gap in coin.unfillable).items():
        log.info("%d gaps stay open: %s", count, reason)
