"""Print what the scheduled job passes to the job of GitHub's issue: two outputs, without addresses.

The second job gets the right to write issues, and none of the secrets.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from urllib.parse import quote, unquote

from pydantic import TypeAdapter, ValidationError

import budget_monitor
from pipeline.report import RunReport, read_report
from pipeline.run_incidents import RunIncident, find_reportable
from safe_zone import load_settings
from sentinel.arguments import make_parser
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from sentinel.errors import EXIT_OK
from sentinel.process import run_as_script

# none: no second job. unknown: the state of earlier runs is lost, so an issue may be open.
State = Literal["none", "open", "ended", "unknown"]

MAX_MESSAGE_CHARACTERS = 600
# Addresses, hosts, paths and quoted names. A run's message names the database and its host.
_NAMES = re.compile(
    r"""[\w+.-]+://\S+|"[^"]*"|(?<!\w)'[^']*'(?!\w)|(?<=database\ )\S+\ on\ \S+|[\w.+-]+@[\w.-]+
    |\[?[0-9A-Fa-f]*(?::[0-9A-Fa-f]*){3,}\S*|(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?
    |(?:[\w-]+\.)+[A-Za-z]{2,}[^\s,;)]*|localhost\S*|(?<![\w.])~?/[^\s,;)]+|\b[A-Z]:\\\S+""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentReport:
    """What the issue says about an incident. Everything may be missing."""

    # Starts of the first failed run and of the first good one, UTC.
    began_at: datetime | None = None
    ended_at: datetime | None = None
    failed_runs: int = 0
    exit_codes: tuple[int, ...] = ()
    # Of the newest run, without addresses and names.
    message: str = ""
    # Rows that the newest run loaded from the spool, and rows with which it filled gaps.
    rows_drained: int = 0
    rows_backfilled: int = 0


def choose_state(incident: RunIncident | None, usages: Sequence[Usage], *, is_lost: bool) -> State:
    """Return what the second job has to do about the incident that is to be reported.

    `is_lost`: the log of earlier runs is not there, so it does not know an incident of theirs.
    """
    if incident:
        return "ended" if incident.ended_at else "open"
    is_good = bool(usages) and not usages[-1].is_skipped and usages[-1].exit_code == EXIT_OK
    return "unknown" if is_lost and is_good else "none"


def make_report(incident: RunIncident | None, run: RunReport | None) -> IncidentReport:
    """Return the report about an incident; `run` is the newest run."""
    found = IncidentReport()
    if incident:
        found = IncidentReport(
            began_at=incident.began_at,
            ended_at=incident.ended_at,
            failed_runs=incident.failed_runs,
            exit_codes=incident.exit_codes,
        )
    if run is None:
        return found
    return replace(
        found,
        message=hide_names(run.message),
        rows_drained=run.rows_drained,
        rows_backfilled=run.rows_backfilled,
    )


def hide_names(message: str) -> str:
    """Return a message as one line without addresses, hosts, paths and quoted names."""
    one_line = " ".join(message[: 4 * MAX_MESSAGE_CHARACTERS].split())
    return _NAMES.sub("…", one_line)[:MAX_MESSAGE_CHARACTERS]


def encode(report: IncidentReport) -> str:
    """Return a report as an output of a job.

    GitHub drops an output that contains a secret. Of a secret of several lines each line counts,
    and the first and the last line of a key in JSON are braces. So no brace is left.
    """
    return quote(TypeAdapter(IncidentReport).dump_json(report), safe="")


def decode(output: str) -> IncidentReport:
    """Return the report of an output; an empty one if GitHub dropped the output."""
    try:
        return TypeAdapter(IncidentReport).validate_json(unquote(output))
    except ValidationError:
        return IncidentReport()


def main() -> int:
    """Print the outputs of the scheduled job."""
    parser = make_parser(
        "python -m pipeline.incident_report",
        __doc__,
        "example: python -m pipeline.incident_report report.json",
    )
    parser.add_argument("report", help="a file with what ingest.py --json printed")
    run = read_report(parser.parse_args().report)
    usages = usage_log.read(budget_monitor.log_path(load_settings())).usages
    incident = find_reportable(usages)
    # The key of the cache that the job found; empty: none.
    state = choose_state(incident, usages, is_lost=not os.environ.get("FOUND_STATE"))
    print(f"incident={state}")
    print(f"details={encode(make_report(incident, run))}")
    return EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
