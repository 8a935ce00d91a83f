"""Reads the figures of `status.json` from PostgreSQL, summed up by the server."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from safe_zone import CADENCE_WINDOW, Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.budget import neon_api
from sentinel.budget.coingecko_credits import covered_coins
from sentinel.budget.schedule import SlotHistory
from sentinel.budget.status import BudgetStatus
from sentinel.coin import Coin
from sentinel.health.deployment import DeploymentHealth, check_deployment
from sentinel.site.slot_strips import describe_schedule, first_day, first_hour
from sentinel.site.status import (
    MAX_LISTED,
    Check,
    Incident,
    Maker,
    RaisedAlert,
    Schedule,
    Status,
    Trust,
    find_state,
)
from sentinel.site.status_parts import (
    describe_gaps,
    describe_quotas,
    describe_registry,
    describe_rejections,
    describe_storage,
)
from sentinel.site.trust_reader import list_public_alerts, read_trust
from sentinel.storage import incidents
from sentinel.storage.connection import Connection
from sentinel.storage.quarantine import ReasonCount, count_reasons
from sentinel.storage.queries.gaps import GapGroup, group_gaps, limit_slot
from sentinel.storage.queries.health_changes import CoinChange, find_health_changes
from sentinel.storage.queries.schedule_coverage import read_cadence
from sentinel.storage.queries.slot_coverage import list_best_coins
from sentinel.storage.queries.slot_history import find_longest_silences, find_slots
from sentinel.storage.queries.table_health import TableHealth, estimate_table_health
from sentinel.storage.transactions import limited_reads


class Subject(NamedTuple):
    """What the document is about, beside the database."""

    maker: Maker
    # How often the document is made.
    interval: timedelta
    budget: BudgetStatus
    # The object `monitor` of ingest_config.json.
    options: MonitorOptions
    # The coin registry.
    coins: Collection[Coin]
    synced_at: datetime | None
    # The page of the repository; None: unknown.
    repository_url: str | None = None


class _Rows(NamedTuple):
    """What the database returned."""

    # None: no run is recorded.
    schedule: Schedule | None
    gaps: list[GapGroup]
    rejections: list[ReasonCount]
    changes: list[CoinChange]
    tables: TableHealth
    trust: Trust
    incidents: list[incidents.Incident]
    alerts: list[RaisedAlert]


def read_status(
    connection: Connection, settings: Settings, subject: Subject, now: datetime
) -> Status:
    """Return the document.

    Parts that need a database with this code's schema are None without one.

    Raises psycopg.Error.
    """
    health = check_deployment(connection, settings, now)
    # Without facts there is no schema, or one that is older than this code.
    rows = _read_rows(connection, settings, subject, now) if health.facts else None
    return _compose(health, rows, settings, subject, now)


def _read_rows(
    connection: Connection, settings: Settings, subject: Subject, now: datetime
) -> _Rows:
    configured = timedelta(minutes=settings.cadence_minutes)
    periods = [first_hour(now), first_day(now)]
    trust = read_trust(connection, subject.options, now)
    alerts = list_public_alerts(connection, subject.options, now)
    found = incidents.list_incidents(connection, periods[-1], MAX_LISTED, now)
    cadence = limit_slot(read_cadence(connection, now, configured))
    # As in the gaps of the API and in the slot coverage, the coins that the backfill covers.
    covered = covered_coins(settings.backfill_credits_per_day)
    best = list_best_coins(connection, now, max(1, covered))
    reference = best[0] if best else None
    with limited_reads(connection):
        slots = find_slots(connection, periods[-1], now, cadence=cadence, coin_id=reference)
        silences = find_longest_silences(connection, periods, now)
        gaps = group_gaps(connection, now, cadence=cadence, coin_ids=best)
        rejections = count_reasons(connection, now - CADENCE_WINDOW)
        changes = find_health_changes(connection, periods[-1], now, MAX_LISTED)
        tables = estimate_table_health(connection, now)
    states = slots.fetchone()
    history = SlotHistory(cadence, *states) if states else None
    longest = silences.fetchall()
    return _Rows(
        describe_schedule(history, longest, reference, now) if history else None,
        gaps.fetchall(),
        rejections.fetchall(),
        changes.fetchall(),
        tables.fetchall()[0],
        trust,
        found,
        alerts,
    )


def _compose(
    health: DeploymentHealth,
    rows: _Rows | None,
    settings: Settings,
    subject: Subject,
    now: datetime,
) -> Status:
    facts = health.facts
    checks = [Check(name=c.name, state=c.state, summary=c.summary) for c in health.checks]
    found = [Incident(**each._asdict()) for each in rows.incidents] if rows else []
    uses_neon = neon_api.endpoint_of(settings.database_url) is not None
    quotas = describe_quotas(subject.budget, uses_neon=uses_neon)
    limit = next((quota.limit for quota in quotas if quota.name == "neon_storage_bytes"), None)
    return Status(
        maker=subject.maker,
        generated_at=now,
        interval_seconds=round(subject.interval.total_seconds()),
        repository_url=subject.repository_url,
        state=find_state(checks, found),
        checks=checks,
        newest_price_at=facts.newest_observation if facts else None,
        newest_run_at=facts.newest_run.started_at if facts and facts.newest_run else None,
        schedule=rows.schedule if rows else None,
        gaps=[describe_gaps(group) for group in rows.gaps] if rows else None,
        quotas=quotas,
        registry=describe_registry(subject.coins, subject.synced_at, rows.changes if rows else ()),
        rejections=[describe_rejections(count) for count in rows.rejections] if rows else None,
        storage=describe_storage(rows.tables, limit, now) if rows else None,
        trust=rows.trust if rows else Trust(forecasts=[], alerts=None, backup=None),
        incidents=found,
        alerts=rows.alerts if rows else [],
    )
