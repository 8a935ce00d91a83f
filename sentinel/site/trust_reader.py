"""Read the figures of trust: how forecasts and alerts turned out, and the last verified backup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, date, datetime, timedelta

import psycopg

from sentinel.alerting import alert_score
from sentinel.alerting.alert_score import AlertTotals
from sentinel.alerting.options import MonitorOptions
from sentinel.analytics.forecast_scores import SCORED_HOURS, ScoreSums, divide
from sentinel.site.status import (
    MAX_LISTED,
    AlertScore,
    AlertWeek,
    Backup,
    ForecastScore,
    RaisedAlert,
    Trust,
)
from sentinel.storage import service_status
from sentinel.storage.connection import Connection
from sentinel.storage.queries.forecast_scores import sum_forecast_scores

WEEKS = 8

# The Monday of a week, and the alerts of all coins in it.
ALERTS_BY_WEEK = """
SELECT date_trunc('week', observed_at AT TIME ZONE 'UTC')::date, count(*)::int
FROM sentinel.alerts
WHERE observed_at >= %(start)s AND observed_at <= %(now)s
GROUP BY 1
"""

# Other coins are watched because of the watchlist or a position: their alerts would show it. By the
# rank itself: where only a few coins are stored, the best ranked of them are those too.
PUBLIC_ALERTS = """
SELECT a.observed_at, c.coin_id, c.symbol, a.kind::text, a.move
FROM sentinel.alerts a JOIN sentinel.coins c USING (coin_key)
WHERE a.observed_at > %(now)s - interval '7 days' AND a.observed_at <= %(now)s
  AND c.rank <= %(top_coins)s
ORDER BY a.observed_at DESC, c.coin_id
LIMIT %(limit)s
"""

# The database has no schema, or that of an older version.
_MISSING = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InvalidSchemaName,
)


def read_trust(connection: Connection, options: MonitorOptions, now: datetime) -> Trust:
    """Return the figures; a part is null where its data is missing.

    Falls and alerts are those of `alert_score.score_if_due`, which a process calls that may write.
    """
    try:
        return Trust(
            forecasts=_read_forecasts(connection, now),
            alerts=_read_alert_score(connection, options, now),
            backup=_read_backup(connection),
        )
    except _MISSING:
        return Trust(forecasts=[], alerts=None, backup=None)


def list_public_alerts(
    connection: Connection, options: MonitorOptions, now: datetime
) -> list[RaisedAlert]:
    """Return the last alerts, the newest first, of coins whose rank alone is why they are watched.

    Muted ones too.
    """
    parameters = {"now": now, "top_coins": options.top_coins, "limit": MAX_LISTED}
    names = ("at", "coin_id", "symbol", "kind", "move")
    try:
        rows = connection.execute(PUBLIC_ALERTS, parameters).fetchall()
    except _MISSING:
        return []
    return [RaisedAlert.model_validate(dict(zip(names, row, strict=True))) for row in rows]


def _read_forecasts(connection: Connection, now: datetime) -> list[ForecastScore]:
    found = sum_forecast_scores(connection, SCORED_HOURS, now)
    sums = {hours: ScoreSums(*values) for hours, values in found.items()}
    if not any(one.scored for one in sums.values()):
        return []
    return [
        ForecastScore(
            hours=hours,
            scored=one.scored,
            mase=one.mase,
            hit_rate=one.hit_rate,
            coverage=one.coverage,
            coverage_calm=divide(one.within_calm, one.calm),
            coverage_wild=divide(one.within_wild, one.wild),
            result=one.result,
        )
        for hours, one in sums.items()
    ]


def _read_alert_score(
    connection: Connection, options: MonitorOptions, now: datetime
) -> AlertScore | None:
    watched = alert_score.read_watch_starts(connection, options)
    if not watched:
        return None
    totals = alert_score.read_totals(connection)
    own = {
        "coins_watched": len(watched),
        "target_rate": options.alerts_per_coin_week,
        "weeks": _read_weeks(connection, watched, now),
    }
    scored = (
        asdict(totals) if totals else dict.fromkeys(field.name for field in fields(AlertTotals))
    )
    return AlertScore.model_validate(own | scored)


def _read_weeks(
    connection: Connection, watched: Mapping[int, datetime], now: datetime
) -> list[AlertWeek]:
    """Return the last weeks, the current one too, in order of time, since a coin is watched."""
    this_monday = now.date() - timedelta(days=now.weekday())
    mondays = [this_monday - timedelta(weeks=weeks) for weeks in range(WEEKS - 1, -1, -1)]
    parameters = {"start": _midnight(mondays[0]), "now": now}
    alerts: dict[date, int] = dict(connection.execute(ALERTS_BY_WEEK, parameters).fetchall())
    return [
        AlertWeek(start=monday, alerts=alerts.get(monday, 0), coins_watched=coins)
        for monday in mondays
        if (coins := sum(_midnight(monday) + timedelta(weeks=1) > at for at in watched.values()))
    ]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _read_backup(connection: Connection) -> Backup | None:
    found = service_status.read_backup_status(connection)
    if found is None or found.verified_at is None:
        return None
    return Backup(
        verified_at=found.verified_at,
        size_bytes=found.bytes,
        rows=found.rows,
        last_attempt_at=found.tried_at,
        last_attempt_failed=found.problem is not None,
    )
