"""Whether the scheduled job fails after a run that found CoinGecko or the database unavailable.

GitHub sends an email for each failed job: 96 a day during an outage. So the job fails for the first
such run, and then for the first of each day (UTC); the runs between leave a warning. A job that a
person started always fails. GITHUB_EVENT_NAME and SCHEDULED (an input of the workflow) tell which.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import logging
import os
from collections.abc import Sequence

import budget_monitor
from safe_zone import load_settings
from sentinel.arguments import make_parser
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from sentinel.errors import EXIT_OK
from sentinel.process import run_as_script

log = logging.getLogger("sentinel.job")


def is_repeated(usages: Sequence[Usage]) -> bool:
    """Return whether the newest run failed as the run before it did, on the same day (UTC)."""
    if len(usages) < 2:
        return False
    previous, newest = usages[-2:]
    is_same_day = previous.started_at.date() == newest.started_at.date()
    return is_same_day and previous.exit_code == newest.exit_code != EXIT_OK


def main() -> int:
    """Return the exit code of the job."""
    parser = make_parser(
        "python -m pipeline.job_result",
        __doc__,
        "example: python -m pipeline.job_result 4",
    )
    parser.add_argument("code", type=int, help="the exit code of ingest.py")
    code: int = parser.parse_args().code
    is_scheduled = os.environ.get("GITHUB_EVENT_NAME") == "schedule"
    if not (is_scheduled or os.environ.get("SCHEDULED") == "true"):
        return code
    usages = usage_log.read(budget_monitor.log_path(load_settings())).usages
    if not is_repeated(usages):
        return code
    log.warning(
        "the run failed like the one before it (exit code %d): the job does not fail again today",
        code,
    )
    return EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
