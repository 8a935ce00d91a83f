"""The result of a budget check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from safe_zone import MonthlyQuota
from sentinel.budget.coingecko_credits import BackfillAllowance
from sentinel.budget.quota_usage import QuotaUsage
from sentinel.budget.schedule import ScheduleCoverage

Decision = Literal["run", "skip", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """The decision on the next run, and the figures that it rests on."""

    # run; skip: the quotas would not last the month; stop: a quota is used up.
    decision: Decision
    # One sentence for the user.
    reason: str
    # With `skip`, a run is still allowed if this is set: enough time has passed since the last run
    # for the rest of the quotas to last the month.
    is_due: bool
    quota_usages: Sequence[QuotaUsage]
    # The published quotas by name, without those that the settings change.
    sources: Mapping[str, MonthlyQuota]
    # CoinGecko credits that the backfill may use now.
    allowance: BackfillAllowance
    # Of the last seven days.
    schedule_coverage: ScheduleCoverage
    # None: not within the retention, after which the database stops growing.
    days_until_storage_full: float | None
    # Runs since the last one that reached the database.
    unrecorded_runs: int
    # Whether the usage log knows all runs of the month.
    is_log_complete: bool
    # None: the log knows no run.
    latest_run_at: datetime | None
