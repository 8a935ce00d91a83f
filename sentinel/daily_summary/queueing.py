"""Queue the daily summary once per local day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, time

from safe_zone import Settings
from sentinel.alerting.announcements import announce
from sentinel.alerting.options import MonitorOptions
from sentinel.budget.quota_usage import QuotaUsage
from sentinel.daily_summary import due
from sentinel.daily_summary.composition import compose_summary
from sentinel.daily_summary.queries import read_figures
from sentinel.notifications.messages import Message, MessageFormatter
from sentinel.storage import service_status
from sentinel.storage.connection import Connection

LOCK_KEY = 0x53554D4D  # "SUMM": the advisory lock of the process that queues the summary

# A deployment that began after the planned time sends its first summary on the next day.
HAD_RUN_BEFORE = "SELECT EXISTS (SELECT FROM sentinel.pipeline_runs WHERE started_at < %(planned)s)"


def queue_if_due(
    connection: Connection,
    settings: Settings,
    options: MonitorOptions,
    formatter: MessageFormatter,
    targets: Sequence[str],
    now: datetime,
    read_quotas: Callable[[], Sequence[QuotaUsage]],
) -> bool:
    """Queue the summary of the last 24 hours for `targets` if it is due; return whether it was.

    The message and the record that it was queued are one transaction, under a lock: two processes
    never queue two. `read_quotas` returns the usage of the quotas; it is only called if one is due.
    """
    if options.daily_summary is None or options.is_off("summary") or not targets:
        return False
    at = time.fromisoformat(options.daily_summary)
    planned = due.find_planned(at, formatter.zone, now)
    if planned is None or _is_done(connection, planned, formatter, now):
        return False
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
        if _is_done(connection, planned, formatter, now):  # by another process meanwhile
            return False
        message = write_summary(connection, settings, options, formatter, now, read_quotas, planned)
        announce(connection, [message], options, targets, now)
        state = {"planned_at": planned.isoformat()}
        service_status.record(connection, "summary", state, now)
    return True


def write_summary(
    connection: Connection,
    settings: Settings,
    options: MonitorOptions,
    formatter: MessageFormatter,
    now: datetime,
    read_quotas: Callable[[], Sequence[QuotaUsage]],
    planned: datetime | None = None,
) -> Message:
    """Return the summary of the 24 hours until `now`; it was planned for `planned`, or for now."""
    figures = read_figures(connection, settings, options, read_quotas, now)
    return compose_summary(figures, formatter, now, planned or now)


def _is_done(
    connection: Connection, planned: datetime, formatter: MessageFormatter, now: datetime
) -> bool:
    status = service_status.read(connection, "summary")
    if status is None:
        [(had_run,)] = connection.execute(HAD_RUN_BEFORE, {"planned": planned}).fetchall()
        return not had_run
    previous = datetime.fromisoformat(status.state["planned_at"])
    return due.is_done(planned, previous, formatter.zone, now)
