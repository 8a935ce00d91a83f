"""The summary of a scheduled run as Markdown: the run's report, the monthly budget, the schedule.

Warnings that the user should act on also go to stderr, where GitHub Actions turns them into
annotations.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import html
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import budget_monitor
from budget_monitor import BudgetStatus
from pipeline.report import RunReport, read_report
from safe_zone import load_settings
from sentinel import console
from sentinel.arguments import make_parser
from sentinel.budget import budget_output
from sentinel.errors import EXIT_OK, ConfigurationError
from sentinel.process import run_as_script

log = logging.getLogger("sentinel.summary")

MISSED_IN_A_ROW = 2  # scheduled runs that did not come before the summary warns
COUNTED = (
    *("targets", "rows_inserted", "rows_updated", "rows_unchanged", "rows_backfilled"),
    *("rows_drained", "rows_spooled", "purged_rows", "api_calls", "api_credits"),
)
# What to do about a quota that runs out.
REMEDIES = {
    "neon_compute_hours": "runs are stretched; NEON_SUSPEND_AFTER_RUN or a paid plan helps",
    "neon_storage_bytes": "lower the limit of coins, or move to a paid plan",
    "neon_egress_bytes": "back up less often, or keep the monitor on its own database",
    "coingecko_credits": "runs are stretched; lower backfill_credits_per_day, or take a paid plan",
    "actions_minutes": "run every 30 minutes, or make the repository public",
}


def summarize(report: RunReport | None, status: BudgetStatus | None) -> str:
    """Return the page.

    `report` is what `ingest.py --json` printed; None: the run left none. `status` is None if the
    settings are invalid.
    """
    parts = [
        _describe_run(report),
        *(f"**{_escape(text)}**" for text in (report.warnings if report else ())),
        *((_describe_budget(status), _describe_schedule(report, status)) if status else ()),
    ]
    return "\n\n".join(parts) + "\n"


def find_warnings(status: BudgetStatus) -> list[str]:
    """Return what the user should do about the schedule and the quotas."""
    found = []
    if status.schedule_coverage.missed_in_a_row >= MISSED_IN_A_ROW:
        found.append(
            f"{status.schedule_coverage.missed_in_a_row} scheduled runs in a row did not come "
            "before this one. The backfill fills the gaps; docs/deploy-github-actions.md says how "
            "to start runs punctually."
        )
    for usage in status.quota_usages:
        if usage.state != "ok":
            used = f"{usage.share:.0%} of the quota" if usage.share is not None else "the quota"
            found.append(
                f"{usage.name}: {used} by the month's end ({usage.state}). "
                f"Remedy: {REMEDIES[usage.name]} (docs/deploy-github-actions.md)."
            )
    return found


def _describe_run(report: RunReport | None) -> str:
    if report is None:
        return "## The run ended without a report\n\nIts log has the reason."
    values = asdict(report)
    rows: list[tuple[str, object]] = [(name, values[name]) for name in COUNTED if values[name]]
    rows += [(name, f"{values[name]:.1f} s") for name in ("duration_seconds", "db_seconds")]
    if alerts := _describe_alerts(report):
        rows.append(("alerts", alerts))
    rows += [(f"rejected: {reason}", count) for reason, count in report.rejected.items()]
    for name in ("missing", "strikes", "deactivated", "healed"):
        if coins := values[name]:
            rows.append((name, f"{len(coins)}: {console.list_first(coins)}"))
    title = f"## Run {report.status}\n\n{_escape(report.message)}\n\n"
    return title + _table(("field", "value"), rows)


def _describe_alerts(report: RunReport) -> str | None:
    """Return what became of alerts and messages; None if there were none."""
    counts = report.alerts_raised, report.messages_sent, report.messages_waiting
    return "{} raised; messages: {} sent, {} wait".format(*counts) if any(counts) else None


def _describe_budget(status: BudgetStatus) -> str:
    table = _table(budget_output.COLUMNS, budget_output.quota_rows(status))
    return f"## Budget: {status.decision}\n\n{_escape(status.reason)}\n\n{table}"


def _describe_schedule(report: RunReport | None, status: BudgetStatus) -> str:
    rows = budget_output.summary_rows(status)
    if report and report.slot_coverage:
        rows.insert(1, ("history, last 7 days", str(report.slot_coverage)))
    lines = [f"- {name}: {_escape(value)}" for name, value in rows]
    lines += [f"- **{_escape(text)}**" for text in find_warnings(status)]
    return "## Schedule and backfill\n\n" + "\n".join(lines)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [[_escape(cell) for cell in line] for line in (columns, *rows)]
    lines.insert(1, ["---"] * len(columns))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: object) -> str:
    """Escape a text for Markdown: coin names and server messages are not trusted."""
    one_line = " ".join(str(text).split())
    escaped = html.escape(one_line, quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escaped)


def main() -> int:
    """Print the summary; return 0."""
    parser = make_parser(
        "python -m pipeline.job_summary",
        __doc__,
        'example: python -m pipeline.job_summary report.json >> "$GITHUB_STEP_SUMMARY"',
    )
    parser.add_argument("report", help="a file with what ingest.py --json printed")
    arguments = parser.parse_args()
    status = _check_budget()
    print(summarize(read_report(arguments.report), status))
    for text in find_warnings(status) if status else ():
        log.warning("%s", text)
    return EXIT_OK


def _check_budget() -> BudgetStatus | None:
    """Return the budget status; None if the settings are invalid, which the run has reported."""
    try:
        settings = load_settings()
    except ConfigurationError:
        return None
    return budget_monitor.check_budget_status(settings, datetime.now(UTC))


if __name__ == "__main__":
    run_as_script(main)
