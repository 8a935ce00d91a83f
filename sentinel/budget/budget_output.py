"""The budget status as JSON, and as text for the user."""

from __future__ import annotations

from typing import Any

from sentinel.budget.quota_usage import QuotaUsage
from sentinel.budget.schedule import ScheduleCoverage
from sentinel.budget.status import BudgetStatus

BAR_CELLS = 20
COLUMNS = ("quota", "used", "by the month's end", "of", "state")
SOURCE_COLUMNS = ("quota", "source", "checked on")


def as_json(status: BudgetStatus) -> dict[str, Any]:
    """Return the object that `budget_monitor.py --json` prints.

    Amounts are in the unit of the quota's name; null means unknown, or no limit.
    """
    return {
        "verdict": status.decision,
        "reason": status.reason,
        "meters": {
            usage.name: {
                "used": usage.used,
                "projected": usage.projected,
                "quota": usage.quota,
                "state": usage.state,
                "reported": usage.reported,
                **_source_as_json(status, usage),
            }
            for usage in status.quota_usages
        },
        "storage_days_until_full": status.days_until_storage_full,
        "backfill_credits_left_today": status.allowance.left,
        "delivery": coverage_as_json(status.schedule_coverage),
    }


def _source_as_json(status: BudgetStatus, usage: QuotaUsage) -> dict[str, str | None]:
    """Return the page with the quota and when it was checked; null: the settings decide."""
    published = status.sources.get(usage.name)
    if published is None:
        return {"source": None, "checked_on": None}
    return {"source": published.source, "checked_on": published.checked_on.isoformat()}


def coverage_as_json(coverage: ScheduleCoverage) -> dict[str, Any]:
    """Return the schedule's coverage as an object; `share` is null if no slot was due."""
    return {
        "expected": coverage.expected,
        "delivered": coverage.delivered,
        "share": coverage.share,
        "longest_silence_minutes": coverage.longest_silence.total_seconds() / 60,
        "missed_in_a_row": coverage.missed_in_a_row,
    }


def quota_rows(status: BudgetStatus) -> list[tuple[str, str, str, str, str]]:
    """Return a row of COLUMNS for each quota."""
    rows = []
    for usage in status.quota_usages:
        used = _format_amount(usage, usage.used)
        if usage.reported is not None:
            used += f" (Neon says {_format_amount(usage, usage.reported)})"
        quota = "no limit" if usage.quota is None else _format_amount(usage, usage.quota)
        gauge = f"{_format_bar(usage)} {usage.state}".strip()
        rows.append(
            (_display_name(usage), used, _format_amount(usage, usage.projected), quota, gauge)
        )
    return rows


def source_rows(status: BudgetStatus) -> list[tuple[str, str, str]]:
    """Return a row of SOURCE_COLUMNS for each quota that has a limit."""
    rows = []
    for usage in status.quota_usages:
        if usage.quota is not None:
            published = _source_as_json(status, usage)
            source = published["source"] or "the settings"
            rows.append((_display_name(usage), source, published["checked_on"] or ""))
    return rows


def summary_rows(status: BudgetStatus) -> list[tuple[str, str]]:
    """Return schedule, backfill and storage as rows of item and value."""
    full = status.days_until_storage_full
    return [
        ("schedule coverage, last 7 days", str(status.schedule_coverage)),
        ("backfill today", f"{status.allowance.left} credits left"),
        ("storage full", "not in sight" if full is None else f"in {full:.0f} days at this pace"),
    ]


def _display_name(usage: QuotaUsage) -> str:
    """Return the quota's name for the user, such as "Neon compute hours"."""
    return usage.name.replace("_", " ").replace("neon", "Neon").replace("coingecko", "CoinGecko")


def describe_problem(usage: QuotaUsage, problem: str) -> str:
    """Return the quota's name, its problem, and what is used, will be used, and is allowed."""
    spent, projected, quota = (
        _format_amount(usage, value) for value in (usage.spent, usage.projected, usage.quota)
    )
    amounts = f"{spent} used, {projected} by the month's end, {quota} allowed"
    return f"{_display_name(usage)} {problem}: {amounts}"


def _format_amount(usage: QuotaUsage, value: float | None) -> str:
    if value is None:
        return "unknown"
    if usage.name.endswith("bytes"):
        return f"{value / 1e6:,.1f} MB"
    return f"{value:,.2f}" if usage.name.endswith("hours") else f"{value:,.0f}"


def _format_bar(usage: QuotaUsage) -> str:
    """Return the projected share of the quota as a bar; the used part is darker."""
    if usage.quota is None or usage.used is None:
        return ""
    used = min(BAR_CELLS, round(BAR_CELLS * usage.used / usage.quota))
    whole = min(BAR_CELLS, round(BAR_CELLS * (usage.share or 0.0)))
    return "█" * used + "▒" * (whole - used) + "░" * (BAR_CELLS - max(used, whole))
