"""The summary of a scheduled run as Markdown: the run's report, the month's budget, the schedule.

What a person should do something about goes to stderr as well, where GitHub Actions makes it an
annotation.
"""

from __future__ import annotations

import argparse
import html
import json
import logging
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import budget_monitor
from budget_monitor import BudgetStatus
from safe_zone import load_settings
from sentinel import console
from sentinel.errors import EXIT_OK, ConfigurationError
from sentinel.process import run_as_script

log = logging.getLogger("sentinel.summary")

MISSED_IN_A_ROW = 2  # scheduled runs that did not come, worth a warning
SHOWN_NAMES = 10
COUNTED = (
    *("targets", "rows_inserted", "rows_updated", "rows_unchanged", "rows_backfilled"),
    *("rows_drained", "rows_spooled", "purged_rows", "api_calls", "api_credits"),
)
# What to do about a quota that runs out, by meter.
REMEDIES = {
    "neon_compute_hours": "runs are stretched; NEON_SUSPEND_AFTER_RUN or a paid plan helps",
    "neon_storage_bytes": "lower the limit of coins, or move to a paid plan",
    "coingecko_credits": "runs are stretched; lower backfill_credits_per_day, or take a paid plan",
    "actions_minutes": "run every 30 minutes, or make the repository public",
}


def summarize(report: dict[str, Any] | None, status: BudgetStatus | None) -> str:
    """The whole page; `report` is the object of `ingest.py --json`, None where there is none;
    `status` is None where the settings do not allow one."""
    parts = [_run(report), *((_budget(status), _schedule(status)) if status else ())]
    return "\n\n".join(parts) + "\n"


def warnings(status: BudgetStatus) -> list[str]:
    """What the schedule and the quotas ask of a person."""
    found = []
    if status.schedule_coverage.missed_in_a_row >= MISSED_IN_A_ROW:
        found.append(
            f"{status.schedule_coverage.missed_in_a_row} scheduled runs in a row did not come "
            "before this one. The backfill fills the gaps; docs/deploy-github-actions.md says how "
            "to start runs punctually."
        )
    for meter in status.quota_usages:
        if meter.state != "ok":
            used = f"{meter.share:.0%} of the quota" if meter.share is not None else "the quota"
            found.append(
                f"{meter.name}: {used} by the month's end ({meter.state}). "
                f"Remedy: {REMEDIES[meter.name]} (docs/deploy-github-actions.md)."
            )
    return found


def _run(report: dict[str, Any] | None) -> str:
    if report is None:
        return "## The run ended without a report\n\nIts log says why."
    rows: list[tuple[str, object]] = [(name, report[name]) for name in COUNTED if report[name]]
    rows += [(name, f"{report[name]:.1f} s") for name in ("duration_seconds", "db_seconds")]
    rows += [(f"rejected: {reason}", count) for reason, count in report["rejected"].items()]
    for name in ("missing", "strikes", "deactivated", "healed"):
        if coins := report[name]:
            more = f" and {len(coins) - SHOWN_NAMES} more" if len(coins) > SHOWN_NAMES else ""
            rows.append((name, f"{len(coins)}: {', '.join(coins[:SHOWN_NAMES])}{more}"))
    title = f"## Run {_safe(report['status'])}\n\n{_safe(report['message'])}\n\n"
    return title + _table(("what", "value"), rows)


def _budget(status: BudgetStatus) -> str:
    columns = ("quota", "used", "by the month's end", "of", "state")
    table = _table(columns, budget_monitor.table(status))
    return f"## Budget: {status.decision}\n\n{_safe(status.reason)}\n\n{table}"


def _schedule(status: BudgetStatus) -> str:
    lines = [f"- {name}: {_safe(value)}" for name, value in budget_monitor.facts(status)]
    lines += [f"- **{_safe(text)}**" for text in warnings(status)]
    return "## Schedule and repairs\n\n" + "\n".join(lines)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [[_safe(cell) for cell in line] for line in (columns, *rows)]
    lines.insert(1, ["---"] * len(columns))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _safe(text: object) -> str:
    """Text that Markdown shows as it is: names of coins and words of servers come from outside."""
    one_line = " ".join(str(text).split())
    escaped = html.escape(one_line, quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escaped)


def _read(path: str) -> dict[str, Any] | None:
    """The report in a file, None where the run left none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "status" in content else None


def main() -> int:
    """Print the summary; returns 0."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.job_summary",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='example: python -m pipeline.job_summary report.json >> "$GITHUB_STEP_SUMMARY"',
    )
    parser.add_argument("report", help="a file with what ingest.py --json printed")
    arguments = parser.parse_args()
    console.configure_logging()
    status = _status()
    print(summarize(_read(arguments.report), status))
    for text in warnings(status) if status else ():
        log.warning("%s", text)
    return EXIT_OK


def _status() -> BudgetStatus | None:
    """The month's budget; None where the settings are wrong, which the run has said already."""
    try:
        settings = load_settings()
    except ConfigurationError:
        return None
    return budget_monitor.check_budget_status(settings, datetime.now(UTC))


if __name__ == "__main__":
    run_as_script(main)
