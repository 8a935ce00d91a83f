"""The CoinGecko credits that one run may spend on the backfill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import budget_monitor
from safe_zone import Settings
from sentinel.budget.quotas import BackfillAllowance
from sentinel.budget.usage_log import Usage


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
