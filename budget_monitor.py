"""The month's ledger over every free quota: what is used, where it leads, whether a run may go.

It reads `usage_log.json` only, so asking wakes no database. With NEON_API_KEY it also shows what
Neon itself has counted.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from api_library import choose_plan
from safe_zone import CADENCE_WINDOW, MAX_CLOCK_SKEW, RETENTION, Settings, load_settings
from sentinel import console
from sentinel.budget import neon_api, quotas, schedule, usage_log
from sentinel.budget.quotas import BackfillAllowance, Month, QuotaUsage
from sentinel.budget.usage_log import Usage, UsageLog
from sentinel.errors import EXIT_OK, BudgetExhausted, ConfigurationError
from sentinel.process import run_as_script

log = logging.getLogger("sentinel.budget")
Decision = Literal["run", "skip", "stop"]
# Storage stops no run, because only a run can purge; a run that was started has already cost its
# Actions minute. The other two decide.
PACED = ("neon_compute_hours", "coingecko_credits")
BAR_CELLS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """The verdict on the month, why, and the meters it rests on.

    While it is `skip`, a run goes all the same where it `is_due`: so long after the last one that
    what is left lasts. `allowance` is what repairs may cost now, `unrecorded_runs` how many runs
    have come since the last one that reached the database.
    """

    decision: Decision
    reason: str
    is_due: bool
    quota_usages: Sequence[QuotaUsage]
    allowance: BackfillAllowance
    schedule_coverage: schedule.ScheduleCoverage
    days_until_storage_full: float | None
    unrecorded_runs: int
    is_log_complete: bool
    latest_run_at: datetime | None


def log_path(settings: Settings) -> Path:
    """Where this deployment keeps its usage log."""
    return settings.state_dir / "usage_log.json"


def is_metered(settings: Settings) -> bool:
    """Whether runs of this deployment wake a Neon compute."""
    return neon_api.endpoint_of(settings.database_url) is not None


def check_budget_status(
    settings: Settings, at: datetime, *, usages: Sequence[Usage] | None = None
) -> BudgetStatus:
    """Judge the month at the moment `at`, by the deployment's own log unless `usages` are given.

    The deployment's own verdict leaves Neon out where neither its database nor that of its last run
    is Neon's.
    """
    reading = usage_log.read(log_path(settings)) if usages is None else UsageLog(usages, True)
    runs = _without_future(reading.usages, at)
    cadence = timedelta(minutes=settings.cadence_minutes)
    found = quotas.measure_quota_usage(
        runs,
        _quotas(settings),
        at,
        compute_units=settings.compute_units,
        backfill_per_day=settings.backfill_credits_per_day,
        is_private=settings.is_private_repository,
        figures=neon_api.read_project(settings) if usages is None else None,
    )
    is_neons = usages is not None or is_metered(settings) or bool(runs and runs[-1].is_metered)
    judged = [meter for meter in found if meter.name in (PACED if is_neons else PACED[1:])]
    verdict, reason = _verdict(judged)
    storage = next(meter for meter in found if meter.name == "neon_storage_bytes")
    recent = [run for run in runs if run.started_at >= at - CADENCE_WINDOW]
    return BudgetStatus(
        decision=verdict,
        reason=reason,
        is_due=_is_due(judged, runs, at, settings.compute_units),
        quota_usages=found,
        allowance=_allowance(settings, runs, at),
        schedule_coverage=schedule.measure_coverage(
            [run.started_at for run in recent],
            cadence,
            at,
            unrecorded_runs=sum(run.runs - 1 for run in recent),
        ),
        days_until_storage_full=_days_until_full(storage, quotas.daily_growth(runs, at)),
        unrecorded_runs=sum(1 for _ in takewhile(lambda r: not r.is_stored, reversed(runs))),
        is_log_complete=reading.is_whole and len(runs) == len(reading.usages),
        latest_run_at=runs[-1].started_at if runs else None,
    )


def backfill_allowance(
    settings: Settings, at: datetime, others: Sequence[Usage]
) -> BackfillAllowance:
    """What repairs may cost now, by the deployment's own log and what the database told of
    `others`, for the log may be lost."""
    known = {usage.started_at: usage for usage in others}
    known |= {usage.started_at: usage for usage in usage_log.read(log_path(settings)).usages}
    return _allowance(settings, [known[moment] for moment in sorted(known)], at)


def _allowance(settings: Settings, runs: Sequence[Usage], at: datetime) -> BackfillAllowance:
    return quotas.compute_backfill_allowance(
        runs,
        at,
        quota=_quotas(settings)["coingecko_credits"],
        per_day=settings.backfill_credits_per_day,
        cadence=timedelta(minutes=settings.cadence_minutes),
    )


def save_run(
    settings: Settings, own: Usage, at: datetime, others: Sequence[Usage] | None = None
) -> None:
    """Bring the deployment's log up to date with a run, and with `others` that the database knows
    (None: it was not asked). Of the month before the last days are kept."""
    since = Month.of(at).start - CADENCE_WINDOW
    until = max(at, own.started_at) + MAX_CLOCK_SKEW
    usage_log.add(log_path(settings), own, since, until, others)


def _without_future(usages: Sequence[Usage], at: datetime) -> list[Usage]:
    runs = [usage for usage in usages if usage.started_at <= at]
    ahead = [usage for usage in usages if usage.started_at > at + MAX_CLOCK_SKEW]
    if ahead:
        log.warning(
            "%d runs of the usage log lie after %s and do not count yet: a clock jumped, or the "
            "log is younger than the moment asked about",
            len(ahead),
            f"{at:%Y-%m-%d %H:%M}",
        )
    return runs


def _quotas(settings: Settings) -> dict[str, float | None]:
    """The deployment's quotas; CoinGecko's is the plan's where nobody names another."""
    plan = choose_plan(settings.api_key, is_pro=settings.is_pro)
    return {"coingecko_credits": plan.credits_per_month, **settings.quotas}


def _verdict(judged: Sequence[QuotaUsage]) -> tuple[Decision, str]:
    """What the worst of these meters asks for, and one sentence why."""
    for meter in judged:
        if meter.is_used_up:
            return "stop", f"{_name(meter)} used up: {_amounts(meter)}"
    for meter in judged:
        if meter.is_over_projected_quota:
            return "skip", f"{_name(meter)} would not last the month: {_amounts(meter)}"
    return "run", "every quota lasts the month"


def _is_due(
    judged: Sequence[QuotaUsage], runs: Sequence[Usage], at: datetime, compute_units: float
) -> bool:
    """Whether the last run is so long ago that what is left of every overdrawn quota lasts."""
    went = [run.started_at for run in runs if not run.is_skipped]
    pauses = [
        quotas.minimum_pause(meter, runs, at, compute_units)
        for meter in judged
        if meter.is_over_projected_quota
    ]
    return not (went and pauses) or at - went[-1] >= max(pauses)


def _days_until_full(storage: QuotaUsage, growth: float) -> float | None:
    """None where that is not in sight: growth ends once the first day has outlived its time."""
    if storage.used is None or storage.quota is None or growth <= 0:
        return None
    days = max(0.0, (storage.quota - storage.used) / growth)
    return days if days <= RETENTION.days else None


# --- showing ---------------------------------------------------------------------------------


def as_json(status: BudgetStatus) -> dict[str, Any]:
    """The status as the object that `--json` prints; sizes in bytes, None: unknown or no limit."""
    return {
        "verdict": status.decision,
        "reason": status.reason,
        "meters": {
            meter.name: {
                "used": meter.used,
                "projected": meter.projected,
                "quota": meter.quota,
                "state": meter.state,
                "reported": meter.reported,
            }
            for meter in status.quota_usages
        },
        "storage_days_until_full": status.days_until_storage_full,
        "backfill_credits_left_today": status.allowance.left,
        "delivery": coverage_as_json(status.schedule_coverage),
    }


def coverage_as_json(delivered: schedule.ScheduleCoverage) -> dict[str, Any]:
    """Delivered slots as an object; `share` from 0 to 1, None where no slot was due."""
    return {
        "expected": delivered.expected,
        "delivered": delivered.delivered,
        "share": delivered.share,
        "longest_silence_minutes": delivered.longest_silence.total_seconds() / 60,
        "missed_in_a_row": delivered.missed_in_a_row,
    }


def table(status: BudgetStatus) -> list[tuple[str, str, str, str, str]]:
    """The meters for a person: name, used, projected, quota, bar and state."""
    rows = []
    for meter in status.quota_usages:
        used = _amount(meter, meter.used)
        if meter.reported is not None:
            used += f" (Neon says {_amount(meter, meter.reported)})"
        quota = "no limit" if meter.quota is None else _amount(meter, meter.quota)
        gauge = f"{_bar(meter)} {meter.state}".strip()
        rows.append((_name(meter), used, _amount(meter, meter.projected), quota, gauge))
    return rows


def show(status: BudgetStatus) -> None:
    """The status as tables on stdout."""
    columns = ("quota", "used", "by the month's end", "of", "state")
    console.show_table("Budget of this month (UTC)", columns, table(status))
    console.show_table("Schedule and repairs", ("what", "value"), facts(status))
    print(f"verdict: {status.decision} ({status.reason})")


def facts(status: BudgetStatus) -> list[tuple[str, str]]:
    """What stands beside the meters."""
    full = status.days_until_storage_full
    return [
        ("delivered in the last 7 days", str(status.schedule_coverage)),
        ("repairs today", f"{status.allowance.left} credits left"),
        ("storage full", "not in sight" if full is None else f"in {full:.0f} days at this pace"),
    ]


def _name(meter: QuotaUsage) -> str:
    return meter.name.replace("_", " ").replace("neon", "Neon").replace("coingecko", "CoinGecko")


def _amounts(meter: QuotaUsage) -> str:
    spent, projected, quota = (
        _amount(meter, value) for value in (meter.spent, meter.projected, meter.quota)
    )
    return f"{spent} used, {projected} by the month's end, {quota} allowed"


def _amount(meter: QuotaUsage, value: float | None) -> str:
    if value is None:
        return "unknown"
    if meter.name.endswith("bytes"):
        return f"{value / 1e6:,.1f} MB"
    return f"{value:,.2f}" if meter.name.endswith("hours") else f"{value:,.0f}"


def _bar(meter: QuotaUsage) -> str:
    """The projected share of the quota in BAR_CELLS cells, the used one darker."""
    if meter.quota is None or meter.used is None:
        return ""
    used = min(BAR_CELLS, round(BAR_CELLS * meter.used / meter.quota))
    whole = min(BAR_CELLS, round(BAR_CELLS * (meter.share or 0.0)))
    return "█" * used + "▒" * (whole - used) + "░" * (BAR_CELLS - max(used, whole))


# --- the command line ------------------------------------------------------------------------


def _moment(word: str | None) -> datetime:
    if word is None:
        return datetime.now(UTC)
    try:
        at = datetime.fromisoformat(word)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        at = datetime.min.replace(tzinfo=UTC)
    if not 2000 <= at.year < 2200:
        raise ConfigurationError(f"--at '{word}' is no time: write it as 2026-11-20T12:00:00Z")
    return at


def main() -> int:
    """Show the ledger; returns 0, or 5 where a quota is used up."""
    parser = argparse.ArgumentParser(
        prog="budget_monitor.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python budget_monitor.py --log usage_log.json --at 2026-11-30T12:00:00Z\n"
        "exit code 5 means that a quota is used up",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--log", metavar="FILE", help="another usage log than the deployment's")
    parser.add_argument("--at", metavar="ISO", help="the moment to judge at (default now)")
    arguments = parser.parse_args()
    console.configure_logging()
    settings, at = load_settings(), _moment(arguments.at)
    status = check_budget_status(settings, at, usages=_usages(arguments.log))
    if arguments.json:
        print(json.dumps(as_json(status)))
    else:
        show(status)
    return BudgetExhausted.exit_code if status.decision == "stop" else EXIT_OK


def _usages(path: str | None) -> Sequence[Usage] | None:
    if path is None:
        return None
    try:
        Path(path).stat()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"--log {path[:200]}: no such file") from error
    return usage_log.read(Path(path)).usages


if __name__ == "__main__":
    run_as_script(main)
