"""A run and the monthly budget: the check before it begins, and its entry in the usage log."""

from __future__ import annotations

from datetime import datetime, timedelta

import budget_monitor
from budget_monitor import BudgetStatus
from coin_registry import CoinRegistry
from pipeline.run import Run
from safe_zone import IDLE_TAIL_SECONDS, SUSPENDED_TAIL_SECONDS, Settings
from sentinel.budget import neon_api
from sentinel.budget.coingecko_credits import SYNC_CREDITS, count_price_calls
from sentinel.budget.quota_usage import Month
from sentinel.errors import BudgetExhausted


def check_budget(settings: Settings, now: datetime) -> BudgetStatus:
    """Return the budget status before the run costs an API call or wakes the database.

    Raises BudgetExhausted if a quota is used up.
    """
    status = budget_monitor.check_budget_status(settings, now)
    if status.decision == "stop":
        raise BudgetExhausted(
            f"The run made no API call and no database connection: {status.reason}. Runs continue "
            "on their own when the next month begins; docs/deploy-github-actions.md describes the "
            "paid plans."
        )
    return status


def recorded_usages_since(status: BudgetStatus, now: datetime) -> datetime:
    """Return from when on the run reads other runs' usage from the database.

    If the usage log is incomplete, it is the whole month. Otherwise it is at least a day, because
    a run that was killed, or that another machine made, is not in the log.
    """
    month, day = Month.of(now).start, now - timedelta(days=1)
    if status.is_log_complete and status.latest_run_at is not None:
        return max(month, min(day, status.latest_run_at))
    return month


def reserve_credits(run: Run, registry: CoinRegistry) -> None:
    """Count the credits that the run needs as spent before it spends them.

    Without this, the month's quota would be passed by the credits of killed runs. At its end the
    run replaces the entry.
    """
    planned = SYNC_CREDITS if registry.needs_sync(run.started_at) else 0
    if run.settings.mode == "ingest":
        planned += count_price_calls(len(run.settings.targets) or run.settings.limit)
    usage = run.usage(is_metered=budget_monitor.is_metered(run.settings))
    # How long a killed run holds the database is not known.
    entry = usage._replace(api_credits=planned, db_seconds=None)
    budget_monitor.save_run(run.settings, entry, run.clocks.now())


def save_usage(run: Run) -> None:
    """Write this run into the usage log, with the usage of others that the database recorded.

    If the settings say so, the run suspends Neon's compute first.
    """
    settings = run.settings
    has_connected = run.loaded is not None or run.storage.db_seconds > 0
    is_suspended = has_connected and settings.suspend_after_run and neon_api.suspend(settings)
    tail_seconds = SUSPENDED_TAIL_SECONDS if is_suspended else IDLE_TAIL_SECONDS
    is_metered = budget_monitor.is_metered(settings)
    others = run.storage.recorded_usages
    if others is not None:
        # The database does not store tails. If this deployment suspends the compute, the others
        # are assumed to have done so too.
        usual = SUSPENDED_TAIL_SECONDS if settings.suspend_after_run else IDLE_TAIL_SECONDS
        others = [
            u._replace(tail_seconds=usual, is_metered=is_metered, is_recorded=True) for u in others
        ]
    own = run.usage(is_metered=is_metered)._replace(tail_seconds=tail_seconds)
    budget_monitor.save_run(settings, own, run.clocks.now(), others)
