"""Measures schedule coverage: how many of the runs that were due happened, and how often."""

from __future__ import annotations

from datetime import datetime, timedelta

from safe_zone import CADENCE_WINDOW
from sentinel.budget import schedule
from sentinel.budget.schedule import ScheduleCoverage
from sentinel.storage import service_status
from sentinel.storage.connection import Connection

# When runs started, and how many runs before each did not reach the database.
RUNS = """
SELECT started_at, unrecorded_runs, mode
FROM sentinel.pipeline_runs
WHERE started_at >= %(since)s AND started_at <= %(now)s
ORDER BY started_at
"""

MEDIAN_RUN_INTERVAL = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY pause)
FROM (SELECT started_at - lag(started_at) OVER (ORDER BY started_at) AS pause
      FROM sentinel.pipeline_runs
      WHERE mode = 'ingest' AND started_at >= %(since)s AND started_at <= %(now)s) AS pauses
"""


def measure_schedule_coverage(
    connection: Connection, now: datetime, cadence: timedelta
) -> ScheduleCoverage:
    """Return the coverage of the last CADENCE_WINDOW, in slots of one `cadence` each.

    A run that did not reach the database counts as delivered: the scheduler started it.
    """
    runs = connection.execute(RUNS, _window(now)).fetchall()
    unrecorded_runs = sum(unrecorded for _, unrecorded, _ in runs)
    scheduled = [started_at for started_at, _, mode in runs if mode == "ingest"]
    return schedule.measure_coverage(scheduled, cadence, now, unrecorded_runs=unrecorded_runs)


def read_cadence(connection: Connection, now: datetime, configured: timedelta) -> timedelta:
    """Return the cadence that the history is judged by.

    It is the `configured` one: a schedule is measured against the schedule. The monitor's loop
    adapts its interval to its credits, so where it is active the median of its intervals counts.
    """
    loop = service_status.read(connection, "ingestion")
    if loop is None or now - loop.recorded_at > service_status.SILENCE_WINDOW:
        return configured
    return read_median_run_interval(connection, now) or configured


def read_median_run_interval(connection: Connection, now: datetime) -> timedelta | None:
    """Return the median interval between the runs of the last CADENCE_WINDOW.

    None: there are fewer than two runs.
    """
    [(interval,)] = connection.execute(MEDIAN_RUN_INTERVAL, _window(now)).fetchall()
    return interval or None


def _window(now: datetime) -> dict[str, datetime]:
    return {"since": now - CADENCE_WINDOW, "now": now}
