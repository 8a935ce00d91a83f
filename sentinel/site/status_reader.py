"""Reads the figures of `status.json` from PostgreSQL, summed up by the server."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from safe_zone import CADENCE_WINDOW, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS, Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.budget import neon_api
from sentinel.budget.coingecko_credits import covered_coins
from sentinel.budget.schedule import SlotHistory
from sentinel.budget.status import BudgetStatus
from sentinel.coin import Coin, from_iso
from sentinel.health.deployment import DeploymentHealth, check_deployment
from sentinel.health.facts import CheckState
from sentinel.models import describe_gap_reason
from sentinel.site.status import (
    Check,
    HealthChange,
    InactiveCoin,
    Incident,
    Maker,
    OpenGaps,
    Quota,
    RaisedAlert,
    Registry,
    Rejections,
    Schedule,
    Slots,
    SlotTotals,
    Status,
    Storage,
    Trust,
)
from sentinel.site.trust_reader import list_public_alerts, read_trust
from sentinel.storage import incidents
from sentinel.storage.connection import Connection
from sentinel.storage.locks import set_timeouts
from sentinel.storage.quarantine import ReasonCount, count_reasons
from sentinel.storage.queries.gaps import GapGroup, group_gaps, limit_slot
from sentinel.storage.queries.health_changes import CoinChange, find_health_changes
from sentinel.storage.queries.schedule_coverage import read_cadence
from sentinel.storage.queries.slot_coverage import list_best_coins
from sentinel.storage.queries.slot_history import Silence, find_longest_silences, find_slots
from sentinel.storage.queries.table_health import TableHealth, estimate_table_health

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SHOWN_HOURS, SHOWN_DAYS = 168, 60
MAX_LISTED = 50
SEVERITY: Sequence[CheckState] = ("ok", "warning", "unhealthy")


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

    cadence: timedelta
    # The best-ranked coin; None: no coin has a price.
    reference_coin: str | None
    # The first slot and the states; None: no run is recorded.
    slots: tuple[int, str] | None
    silences: list[Silence]
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
    cadence = limit_slot(read_cadence(connection, now, configured))
    covered = covered_coins(settings.backfill_credits_per_day)
    best = list_best_coins(connection, now, max(1, covered))
    trust = read_trust(connection, subject.options, now)
    found = incidents.list_incidents(connection, _first_day(now), MAX_LISTED)
    alerts = list_public_alerts(connection, subject.options, now)
    with connection.pipeline():
        # In a transaction: a statement_timeout of the role may be too short.
        connection.execute("BEGIN")
        set_timeouts(connection, LOCK_TIMEOUT_SECONDS, STATEMENT_TIMEOUT_SECONDS)
        reference = best[0] if best else None
        since = _first_day(now)
        slots = find_slots(connection, since, now, cadence=cadence, coin_id=reference)
        silences = find_longest_silences(connection, [_first_hour(now), since], now)
        gaps = group_gaps(connection, now, cadence=cadence, coin_ids=best)
        rejections = count_reasons(connection, now - CADENCE_WINDOW)
        changes = find_health_changes(connection, since, now, MAX_LISTED)
        tables = estimate_table_health(connection, now)
        connection.execute("COMMIT")
        return _Rows(
            cadence,
            reference,
            slots.fetchone(),
            silences.fetchall(),
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
    quotas = _describe_quotas(settings, subject.budget)
    limit = next((quota.limit for quota in quotas if quota.name == "neon_storage_bytes"), None)
    return Status(
        maker=subject.maker,
        generated_at=now,
        interval_seconds=round(subject.interval.total_seconds()),
        repository_url=subject.repository_url,
        state=_find_state(health, rows),
        checks=[Check(name=c.name, state=c.state, summary=c.summary) for c in health.checks],
        newest_price_at=facts.newest_observation if facts else None,
        newest_run_at=facts.newest_run.started_at if facts and facts.newest_run else None,
        schedule=_describe_schedule(rows, now) if rows else None,
        gaps=[_describe_gaps(group) for group in rows.gaps] if rows else None,
        quotas=quotas,
        registry=_describe_registry(subject, rows.changes if rows else ()),
        rejections=[_describe_rejections(count) for count in rows.rejections] if rows else None,
        storage=_describe_storage(rows.tables, limit, now) if rows else None,
        trust=rows.trust if rows else Trust(forecasts=[], alerts=None, backup=None),
        incidents=[Incident(**each._asdict()) for each in rows.incidents] if rows else [],
        alerts=rows.alerts if rows else [],
    )


def _find_state(health: DeploymentHealth, rows: _Rows | None) -> CheckState:
    """Return the worst state of the checks; an incident that goes on is unhealthy."""
    states = [check.state for check in health.checks]
    if rows and any(each.ended_at is None for each in rows.incidents):
        states.append("unhealthy")
    return max(states, key=SEVERITY.index)


# --- the schedule ----------------------------------------------------------------------------


def _first_hour(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0) - (SHOWN_HOURS - 1) * HOUR


def _first_day(now: datetime) -> datetime:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return today - (SHOWN_DAYS - 1) * DAY


def _describe_schedule(rows: _Rows, now: datetime) -> Schedule | None:
    """Return the slots of the last days; None if no run is recorded."""
    if rows.slots is None:
        return None
    history = SlotHistory(rows.cadence, *rows.slots)
    hours = [_count(history, _first_hour(now) + n * HOUR, HOUR) for n in range(SHOWN_HOURS)]
    days = [_count(history, _first_day(now) + n * DAY, DAY) for n in range(SHOWN_DAYS)]
    return Schedule(
        cadence_minutes=rows.cadence.total_seconds() / 60,
        reference_coin=rows.reference_coin,
        totals=[
            _add_up(7, hours, _first_hour(now), rows.silences),
            _add_up(SHOWN_DAYS, days, _first_day(now), rows.silences),
        ],
        hours=hours,
        days=days,
    )


def _count(history: SlotHistory, start: datetime, length: timedelta) -> Slots:
    states = history.within(start, start + length)
    delivered, backfilled = states.count("d"), states.count("b")
    return Slots(start=start, expected=len(states), delivered=delivered, backfilled=backfilled)


def _add_up(
    days: int, parts: Sequence[Slots], since: datetime, silences: Iterable[Silence]
) -> SlotTotals:
    silence = next((silence for silence in silences if silence.since == since), None)
    return SlotTotals(
        days=days,
        expected=sum(part.expected for part in parts),
        delivered=sum(part.delivered for part in parts),
        backfilled=sum(part.backfilled for part in parts),
        longest_silence_minutes=silence.length.total_seconds() / 60 if silence else 0.0,
        longest_silence_from=silence.start if silence else None,
    )


# --- the other parts -------------------------------------------------------------------------


def _describe_gaps(group: GapGroup) -> OpenGaps:
    return OpenGaps(
        reason=group.reason or "waits",
        explanation=describe_gap_reason(group.reason),
        gaps=group.gaps,
        coins=group.coins,
        longest_minutes=group.longest.total_seconds() / 60,
        newest_at=group.newest,
    )


def _describe_quotas(settings: Settings, budget: BudgetStatus) -> list[Quota]:
    """Return the quotas; those of Neon only if the database is Neon's."""
    uses_neon = neon_api.endpoint_of(settings.database_url) is not None
    return [
        Quota(
            name=usage.name,
            used=usage.spent,
            projected=usage.projected,
            limit=usage.quota,
            state=usage.state,
            resets_at=usage.resets_at,
            source=source.source if (source := budget.sources.get(usage.name)) else None,
        )
        for usage in budget.quota_usages
        if uses_neon or not usage.name.startswith("neon_")
    ]


def _describe_registry(subject: Subject, changes: Iterable[CoinChange]) -> Registry:
    inactive = [coin for coin in subject.coins if coin.status == "inactive"]
    inactive.sort(key=lambda coin: (coin.next_probe or "", coin.id))
    return Registry(
        synced_at=subject.synced_at,
        active=sum(coin.status == "active" for coin in subject.coins),
        inactive=len(inactive),
        delisted=sum(coin.status == "delisted" for coin in subject.coins),
        inactive_coins=[_describe_coin(coin) for coin in inactive[:MAX_LISTED]],
        changes=[HealthChange(**change._asdict()) for change in changes],
    )


def _describe_coin(coin: Coin) -> InactiveCoin:
    return InactiveCoin(
        coin_id=coin.id,
        symbol=coin.symbol,
        name=coin.name,
        reason=coin.reason,
        since=from_iso(coin.since) if coin.since else None,
        next_probe=from_iso(coin.next_probe) if coin.next_probe else None,
    )


def _describe_rejections(count: ReasonCount) -> Rejections:
    return Rejections(reason=count.reason, count=count.entries, newest_at=count.newest)


def _describe_storage(tables: TableHealth, limit: float | None, now: datetime) -> Storage:
    return Storage(
        rows=tables.rows,
        coins=tables.coins,
        oldest_at=tables.oldest,
        newest_at=tables.newest,
        bytes_per_row=tables.bytes_per_row,
        database_bytes=tables.database_bytes,
        limit_bytes=limit,
        days_until_full=tables.days_until_full(now, limit),
    )
