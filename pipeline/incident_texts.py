"""The texts of the issue about an incident, as Markdown. Pure.

Messages of a run are not trusted: they stand in a code block, where GitHub notifies no `@name` and
makes no link.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from pipeline.incident_report import IncidentReport
from pipeline.run_incidents import find_cause

# At the end of the text: the exit codes that the issue has mentioned.
_MARKER = re.compile(r"<!-- market-sentinel-incident:([\d,]*) -->")


def make_title(report: IncidentReport) -> str:
    """Return the title of the issue."""
    cause = find_cause(report.exit_codes[0]).text if report.exit_codes else "see the log"
    return f"Market Sentinel: scheduled runs fail ({cause})"


def make_body(report: IncidentReport, run_url: str, help_url: str) -> str:
    """Return the text of a new issue."""
    since = f" since {_format_time(report.began_at)}" if report.began_at else ""
    runs = f" ({report.failed_runs} so far)" if report.failed_runs else ""
    parts = [
        f"Scheduled runs fail{since}{runs}{_describe_causes(report.exit_codes)}.",
        _quote(report.message),
        f"- The run's log and summary: {run_url}\n- What to do: {help_url}",
        "This issue closes itself after the first good run. That run loads the rows that wait on "
        "disk, and later runs backfill the gaps.",
        format_marker(report.exit_codes),
    ]
    return "\n\n".join(filter(None, parts))


def make_change(report: IncidentReport, new_codes: tuple[int, ...], run_url: str) -> str:
    """Return the comment about causes that the issue has not mentioned."""
    texts = "; ".join(find_cause(code).text for code in new_codes)
    first = f"The cause has changed: {texts}. {report.failed_runs} runs have failed so far."
    return "\n\n".join(filter(None, [first, _quote(report.message), f"Its log: {run_url}"]))


def make_end(report: IncidentReport, run_url: str) -> str:
    """Return the comment with which the issue is closed."""
    if report.began_at is None or report.ended_at is None:
        text = "Scheduled runs succeed again. How long they failed is not known: the state of "
        return f"{text}earlier runs was lost.\n\nThe run that noticed it: {run_url}"
    duration = _format_duration(report.ended_at - report.began_at)
    return (
        f"Scheduled runs succeed again since {_format_time(report.ended_at)}. {report.failed_runs} "
        f"runs failed in {duration}{_describe_causes(report.exit_codes)}.\n\n"
        f"This run loaded {report.rows_drained} rows that waited on disk and backfilled "
        f"{report.rows_backfilled} rows of gaps; later runs backfill the rest: {run_url}"
    )


def format_marker(exit_codes: tuple[int, ...]) -> str:
    """Return the hidden line that marks our issue and says what it has mentioned."""
    return f"<!-- market-sentinel-incident:{','.join(map(str, exit_codes))} -->"


def read_marker(body: str) -> tuple[int, ...] | None:
    """Return the exit codes that an issue has mentioned; None: it is not ours.

    The marker is the last one: a run's message before it may hold another.
    """
    found = _MARKER.findall(body)
    return tuple(map(int, filter(None, found[-1].split(",")))) if found else None


def replace_marker(body: str, exit_codes: tuple[int, ...]) -> str:
    """Return an issue's text after it has mentioned these exit codes."""
    return _MARKER.sub(format_marker(exit_codes), body)


def _describe_causes(exit_codes: tuple[int, ...]) -> str:
    texts = "; ".join(find_cause(code).text for code in exit_codes)
    return f": {texts}" if texts else ""


def _quote(message: str) -> str:
    """Return a message of one line as a code block, which it cannot end."""
    text = " ".join(message.split()).replace("`", "'")
    return f"The newest run said:\n\n```text\n{text}\n```" if text else ""


def _format_time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _format_duration(pause: timedelta) -> str:
    hours, minutes = divmod(pause // timedelta(minutes=1), 60)
    return f"{hours} h {minutes} min"
