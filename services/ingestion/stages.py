"""Stages of a tick that are only a few lines: step the wallets, record the heartbeat."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from ingest import RunReport
from safe_zone import Settings
from sentinel.archive.store import open_configured_archive
from sentinel.errors import BudgetExhausted, SentinelError
from sentinel.notifications import outbox
from sentinel.paper_trading import wallets
from sentinel.storage import service_status
from sentinel.storage.connection import Connection

log = logging.getLogger("sentinel.loop")


def step_wallets(connection: Connection, settings: Settings, now: datetime) -> None:
    """Step every paper-trading wallet. A user's strategy that fails is only logged."""
    chosen = wallets.load_wallets(connection)
    archive = open_configured_archive(settings) if chosen else None
    added, errors = wallets.step_wallets(connection, archive, chosen, now)
    for name, events in added.items():
        for event in events:
            log.info("wallet '%s': %s %s", name, event.kind, event.coin_id)
    for error in errors:
        log.warning("%s", error)


def record_heartbeat(
    connection: Connection,
    report: RunReport,
    errors: Sequence[SentinelError],
    *,
    interval: timedelta,
    failed_ticks: int,
    cadence_minutes: int,
    now: datetime,
) -> None:
    """Record the tick in `service_status`, for health checks and the dashboard.

    `failed_ticks` includes this one if it has errors.
    """
    # A used-up budget fails no tick, but the user should see it.
    exhausted = [report.message] if report.exit_code == BudgetExhausted.exit_code else []
    state = {
        "status": report.status,
        "run_id": report.run_id,
        "message": report.message,
        "errors": [str(error) for error in errors] or exhausted,
        "interval_seconds": interval.total_seconds(),
        "failures_in_a_row": failed_ticks,
        "messages_waiting": outbox.count_waiting(connection),
        "cadence_minutes": cadence_minutes,
    }
    service_status.record(connection, "ingestion", state, now)
