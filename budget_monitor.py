"""The monthly budget of the metered free quotas: used, projected, and whether a run may start.

The check reads only `usage_log.json`, so it wakes no database. With NEON_API_KEY it also shows
Neon's own figures.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

from safe_zone import (
    CADENCE_WINDOW,
    MAX_CLOCK_SKEW,
    RETENTION,
    Settings,
    load_settings,
)
from sentinel import console
from sentinel.arguments import existing_file, make_parser, moment
from sentinel.budget import budget_output, deployment_quotas, neon_api, quotas, schedule, usage_log
from sentinel.budget.coingecko_credits import BackfillAllowance, compute_backfill_allowance
from sentinel.budget.quota_usage import Month, QuotaUsage
from sentinel.budget.status import BudgetStatus, Decision
from sentinel.budget.usage_log import Usage, UsageLog
from sentinel.errors import EXIT_OK, BudgetExhausted
from sentinel.process import run_as_script

__all__ = ["BudgetStatus", "check_budget_status"]

log = logging.getLogger("sentinel.budget")
# Only these quotas decide. Full storage stops no run, because only a run can drop old days. A run
# that has started has already cost its minute of GitHub Actions.
NEON_QUOTAS = ("neon_compute_hours", "neon_egress_bytes")
DECISIVE_QUOTAS = ("neon_compute_hours", "coingecko_credits", "neon_egress_bytes")
# Runs are skipped to make these last. Runs cause little egress: fewer of them would save nothing.
PACED_QUOTAS = ("neon_compute_hours", "coingecko_credits")


def check_budget_status(
    settings: Settings, at: datetime, *, usages: Sequence[Usage] | None = None
) -> BudgetStatus:
    """Return the budget status at the moment `at`.

    Without `usages`, the deployment's own log and Neon's own figures are read. Neon's quota then
    decides only if the database of the deployment, or that of its last run, is Neon's.
    """
    recorded = usage_log.read(log_path(settings)) if usages is None else UsageLog(usages, True)
    runs = _without_future(recorded.usages, at)
    found = quotas.measure_quota_usage(
        runs,
        deployment_quotas.find_quotas(settings),
        at,
        compute_units=settings.compute_units,
        backfill_per_day=settings.backfill_credits_per_day,
        is_private=settings.is_private_repository,
        figures=neon_api.read_project(settings) if usages is None else None,
    )
    uses_neon = usages is not None or is_metered(settings) or bool(runs and runs[-1].is_metered)
    names = set(DECISIVE_QUOTAS) - set(() if uses_neon else NEON_QUOTAS)
    decisive = [usage for usage in found if usage.name in names]
    paced = [usage for usage in decisive if usage.name in PACED_QUOTAS]
    decision, reason = _decide(decisive)
    storage = next(usage for usage in found if usage.name == "neon_storage_bytes")
    return BudgetStatus(
        decision=decision,
        reason=reason,
        is_due=_is_due(paced, runs, at, settings.compute_units),
        quota_usages=found,
        sources=deployment_quotas.find_sources(settings),
        allowance=_compute_allowance(settings, runs, at),
        schedule_coverage=_measure_coverage(settings, runs, at),
        days_until_storage_full=_days_until_full(storage, quotas.daily_growth(runs, at)),
        unrecorded_runs=sum(1 for _ in takewhile(lambda r: not r.is_stored, reversed(runs))),
        is_log_complete=recorded.is_complete and len(runs) == len(recorded.usages),
        latest_run_at=runs[-1].started_at if runs else None,
    )


def log_path(settings: Settings) -> Path:
    """Return the path of the deployment's usage log."""
    return settings.state_dir / "usage_log.json"


def is_metered(settings: Settings) -> bool:
    """Whether runs of this deployment wake a Neon compute."""
    return neon_api.endpoint_of(settings.database_url) is not None


def backfill_allowance(
    settings: Settings, at: datetime, recorded: Sequence[Usage]
) -> BackfillAllowance:
    """Return the credits for the backfill, by the usage log and by what the database `recorded`.

    The log may be lost, so it does not suffice.
    """
    known = usage_log.merge_recorded(usage_log.read(log_path(settings)).usages, recorded)
    return _compute_allowance(settings, [known[moment] for moment in sorted(known)], at)


def save_run(
    settings: Settings, own: Usage, at: datetime, others: Sequence[Usage] | None = None
) -> None:
    """Update the deployment's usage log with a run, and with `others` that the database recorded.

    None: the run did not ask the database. The log keeps this month, and the last days of the month
    before for the schedule's coverage.
    """
    since = Month.of(at).start - CADENCE_WINDOW
    until = max(at, own.started_at) + MAX_CLOCK_SKEW
    usage_log.add_run(log_path(settings), own, since, until, others)


def _without_future(usages: Sequence[Usage], at: datetime) -> list[Usage]:
    runs = [usage for usage in usages if usage.started_at <= at]
    ahead = [usage for usage in usages if usage.started_at > at + MAX_CLOCK_SKEW]
    if ahead:
        log.warning(
            "%d runs of the usage log are later than %s and do not count yet: a clock was wrong, "
            "or the log is newer than the moment of the check",
            len(ahead),
            f"{at:%Y-%m-%d %H:%M}",
        )
    return runs


def _decide(decisive: Sequence[QuotaUsage]) -> tuple[Decision, str]:
    """Return the decision of the worst quota, and one sentence of reason."""
    for usage in decisive:
        if usage.is_used_up:
            return "stop", budget_output.describe_problem(usage, "used up")
    exceeded = [usage for usage in decisive if usage.exceeds_skip_share]
    if not exceeded:
        return "run", "every quota lasts the month"
    worst = next((usage for usage in exceeded if usage.name in PACED_QUOTAS), exceeded[0])
    decision: Decision = "skip" if worst.name in PACED_QUOTAS else "run"
    return decision, budget_output.describe_problem(worst, "would not last the month")


def _is_due(
    paced: Sequence[QuotaUsage], runs: Sequence[Usage], at: datetime, compute_units: float
) -> bool:
    """Whether enough time has passed for the rest of every exceeded quota to last the month."""
    done = [run.started_at for run in runs if not run.is_skipped]
    pauses = [
        quotas.minimum_pause(usage, runs, at, compute_units)
        for usage in paced
        if usage.exceeds_skip_share
    ]
    return not (done and pauses) or at - done[-1] >= max(pauses)


def _compute_allowance(
    settings: Settings, runs: Sequence[Usage], at: datetime
) -> BackfillAllowance:
    return compute_backfill_allowance(
        runs,
        at,
        quota=deployment_quotas.find_quotas(settings)["coingecko_credits"],
        per_day=settings.backfill_credits_per_day,
        cadence=timedelta(minutes=settings.cadence_minutes),
    )


def _measure_coverage(
    settings: Settings, runs: Sequence[Usage], at: datetime
) -> schedule.ScheduleCoverage:
    recent = [run for run in runs if run.started_at >= at - CADENCE_WINDOW]
    return schedule.measure_coverage(
        [run.started_at for run in recent],
        timedelta(minutes=settings.cadence_minutes),
        at,
        unrecorded_runs=sum(run.runs - 1 for run in recent),
    )


def _days_until_full(storage: QuotaUsage, growth: float) -> float | None:
    """Return the days until the storage is full; None if that is beyond the retention.

    Growth ends when the first day expires.
    """
    if storage.used is None or storage.quota is None or growth <= 0:
        return None
    days = max(0.0, (storage.quota - storage.used) / growth)
    return days if days <= RETENTION.days else None


# --- the command line ------------------------------------------------------------------------


def main() -> int:
    """Print the budget status; return 0, or 5 if a quota is used up."""
    parser = make_parser(
        "budget_monitor.py",
        __doc__,
        "example: python budget_monitor.py --log usage_log.json --at 2026-11-30T12:00:00Z\n"
        "exit code 5 means that a quota is used up",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--log", metavar="FILE", type=existing_file, help="a usage log instead of the deployment's"
    )
    parser.add_argument(
        "--at", metavar="ISO", type=moment, help="the moment of the check (default now)"
    )
    arguments = parser.parse_args()
    usages = usage_log.read(arguments.log).usages if arguments.log else None
    status = check_budget_status(load_settings(), arguments.at or datetime.now(UTC), usages=usages)
    if arguments.json:
        print(json.dumps(budget_output.as_json(status)))
    else:
        _show(status)
    return BudgetExhausted.exit_code if status.decision == "stop" else EXIT_OK


def _show(status: BudgetStatus) -> None:
    console.show_table(
        "Budget of this month (UTC)", budget_output.COLUMNS, budget_output.quota_rows(status)
    )
    console.show_table(
        "Where the quotas are from", budget_output.SOURCE_COLUMNS, budget_output.source_rows(status)
    )
    console.show_table(
        "Schedule and backfill", ("item", "value"), budget_output.summary_rows(status)
    )
    print(f"decision: {status.decision} ({status.reason})")


if __name__ == "__main__":
    run_as_script(main)
