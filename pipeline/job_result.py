"""Whether the scheduled job fails after a run that failed.

GitHub sends an email for each failed job: 96 a day during an outage. So while CoinGecko or the
database is unavailable, the job fails for the first run, and then for the first of each day (UTC);
the runs between leave a warning. If an issue reports incidents (INCIDENT_ISSUES), no run fails the
job that the usage log knows. A job that a person started always fails. GITHUB_EVENT_NAME and
SCHEDULED (an input of the workflow) tell which.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import logging
import os
from collections.abc import Sequence

import budget_monitor
from pipeline.report import RunReport, read_report
from safe_zone import load_settings
from sentinel.arguments import make_parser
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from sentinel.errors import EXIT_OK, ApiUnavailable, StorageUnavailable
from sentinel.process import run_as_script

log = logging.getLogger("sentinel.job")

OUTAGES = (ApiUnavailable.exit_code, StorageUnavailable.exit_code)
REPEATED = "the run failed like the one before it (exit code %d): the job does not fail again today"
BY_ISSUE = "the run failed (exit code %d): an issue reports it once runs have failed for an hour"


def is_repeated(usages: Sequence[Usage]) -> bool:
    """Return whether the newest run failed as the run before it did, on the same day (UTC).

    A run that the budget check skipped, and one of another machine, does not count.
    """
    own = [usage for usage in usages if not (usage.is_skipped or usage.is_recorded)]
    if len(own) < 2:
        return False
    previous, newest = own[-2:]
    is_same_day = previous.started_at.date() == newest.started_at.date()
    return is_same_day and previous.exit_code == newest.exit_code != EXIT_OK


def is_known(usages: Sequence[Usage], report: RunReport | None) -> bool:
    """Return whether the newest run of the log is the one that wrote the report.

    A run whose settings are wrong, or that was killed, leaves no report or does not get that far.
    """
    if report is None or not usages:
        return False
    return usages[-1].started_at.isoformat() == report.started_at


def main() -> int:
    """Return the exit code of the job."""
    parser = make_parser(
        "python -m pipeline.job_result",
        __doc__,
        "example: python -m pipeline.job_result 4 report.json",
    )
    parser.add_argument("code", type=int, help="the exit code of ingest.py")
    parser.add_argument("report", nargs="?", default="", help="what ingest.py --json printed")
    arguments = parser.parse_args()
    code: int = arguments.code
    is_scheduled = os.environ.get("GITHUB_EVENT_NAME") == "schedule"
    has_issues = os.environ.get("INCIDENT_ISSUES") == "true"
    report = read_report(arguments.report)
    if not (is_scheduled or os.environ.get("SCHEDULED") == "true"):
        return code
    if not (code in OUTAGES or (has_issues and report and report.run_id)):
        return code
    usages = usage_log.read(budget_monitor.log_path(load_settings())).usages
    if has_issues and is_known(usages, report):
        log.warning(BY_ISSUE, code)
        return EXIT_OK
    if code in OUTAGES and is_repeated(usages):
        log.warning(REPEATED, code)
        return EXIT_OK
    return code


if __name__ == "__main__":
    run_as_script(main)
