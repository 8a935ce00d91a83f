"""Read the figures of a daily summary. What the database can sum up or sort, it does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from safe_zone import Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.watched_coins import WATCHED_KEYS
from sentinel.budget import neon_api, schedule
from sentinel.budget.coingecko_credits import covered_coins
from sentinel.budget.quota_usage import QuotaUsage
from sentinel.budget.schedule import ScheduleCoverage
from sentinel.daily_summary import net_worth
from sentinel.daily_summary.figures import (
    NO_ALERTS,
    AlertDay,
    AlertOutcome,
    Figures,
    FiredTarget,
    PriceMove,
)
from sentinel.daily_summary.net_worth import DAY, TOLERANCE
from sentinel.health import deployment
from sentinel.storage.connection import Connection
from sentinel.storage.queries.schedule_coverage import RUNS, read_cadence
from sentinel.storage.queries.slot_coverage import measure_slot_coverage

SHOWN_MOVES = 3  # in each direction
SHOWN_ALERTS = 4  # of each day
SHOWN_TARGETS = 4
# The process that writes the summary is running: the loop records its tick only after it.
LEFT_OUT_CHECKS = ("last_run",)

# A coin's symbol, with the id after it if a better-ranked coin has the same symbol.
LABEL: LiteralString = """
CASE WHEN EXISTS (SELECT FROM sentinel.coins better
                  WHERE better.symbol = c.symbol AND better.coin_key <> c.coin_key
                    AND better.rank < coalesce(c.rank, 2147483647))
     THEN c.symbol || ' (' || c.coin_id || ')' ELSE c.symbol END AS symbol
"""

# The largest changes of the watched coins over 24 hours: rises first. A price that is older than
# the tolerance is not compared.
MOVES: LiteralString = """
WITH moves AS (
    SELECT {label}, c.price_usd / before.price_usd - 1 AS change, c.observed_at
    FROM sentinel.coins c
    CROSS JOIN LATERAL (
        SELECT price_usd FROM sentinel.observations o
        WHERE o.coin_key = c.coin_key AND o.observed_at <= %(day_ago)s
          AND o.observed_at > %(day_ago)s - %(tolerance)s
        ORDER BY o.observed_at DESC LIMIT 1) AS before
    WHERE c.coin_key IN ({watched_keys}) AND c.observed_at > %(now)s - %(tolerance)s
      AND before.price_usd > 0
)
(SELECT * FROM moves WHERE change > 0 ORDER BY change DESC, symbol LIMIT %(shown)s)
UNION ALL
(SELECT * FROM moves WHERE change < 0 ORDER BY change, symbol LIMIT %(shown)s)
"""

# The newest alert of each coin in the last 24 hours (`days_ago` 0) and in the 24 hours before, the
# largest moves of each day first. Those of muted coins are left out.
ALERTS: LiteralString = """
WITH recent AS (
    SELECT floor(extract(epoch FROM %(now)s - observed_at) / 86400)::int AS days_ago, *
    FROM sentinel.alerts
    WHERE observed_at > %(now)s - interval '2 days' AND observed_at <= %(now)s AND is_announced
),
newest AS (
    SELECT DISTINCT ON (days_ago, coin_key) days_ago, coin_key, observed_at, move, price_usd,
           after_24h, count(*) OVER (PARTITION BY days_ago)::int AS alerts
    FROM recent
    ORDER BY days_ago, coin_key, observed_at DESC
),
ordered AS (
    SELECT *, count(*) OVER (PARTITION BY days_ago)::int AS coins,
           row_number() OVER (PARTITION BY days_ago ORDER BY abs(move) DESC, coin_key) AS position
    FROM newest
)
SELECT a.days_ago, a.alerts, a.coins, {label}, a.observed_at, a.move,
       CASE WHEN a.days_ago = 1 THEN a.after_24h
            WHEN c.observed_at > a.observed_at AND a.price_usd > 0
            THEN c.price_usd / a.price_usd - 1 END AS outcome
FROM ordered a JOIN sentinel.coins c USING (coin_key)
WHERE a.position <= %(shown)s
ORDER BY a.days_ago, a.position
"""

FIRED_TARGETS = """
SELECT coalesce(c.symbol, t.coin_id) AS symbol, t.direction, t.price, t.currency,
       t.last_fired_at AS fired_at
FROM sentinel.price_targets t LEFT JOIN sentinel.coins c USING (coin_id)
WHERE t.last_fired_at > %(now)s - interval '1 day' AND t.last_fired_at <= %(now)s
ORDER BY t.last_fired_at DESC, t.target_id LIMIT %(shown)s
"""

IS_ANY_COIN_WATCHED = "SELECT EXISTS (SELECT FROM sentinel.alert_trackers)"

FIRST_RUN = "SELECT min(started_at) FROM sentinel.pipeline_runs WHERE mode = 'ingest'"


class AlertRow(NamedTuple):
    """A row of ALERTS."""

    days_ago: int
    alerts: int
    coins: int
    symbol: str
    observed_at: datetime
    move: float
    outcome: float | None


def read_figures(
    connection: Connection,
    settings: Settings,
    options: MonitorOptions,
    read_quotas: Callable[[], Sequence[QuotaUsage]],
    now: datetime,
) -> Figures:
    """Return the figures of the 24 hours until `now`.

    `read_quotas` returns the usage of the quotas: by the usage log, which is in no database.
    """
    uses_neon = neon_api.endpoint_of(settings.database_url) is not None
    quotas = [each for each in read_quotas() if uses_neon or not each.name.startswith("neon_")]
    health = deployment.check_deployment(connection, settings, now)
    problems = [
        check
        for check in health.checks
        if check.state != "ok" and check.name not in LEFT_OUT_CHECKS
    ]
    if health.facts is None:  # the schema is missing, or older than this code
        return Figures(quotas=quotas, problems=problems)
    backup = health.facts.backup
    return dataclasses.replace(
        _read_parts(connection, settings, options, now),
        priced_at=health.facts.newest_observation,
        backup_verified_at=backup.verified_at if backup else None,
        quotas=quotas,
        problems=problems,
    )


def _read_parts(
    connection: Connection, settings: Settings, options: MonitorOptions, now: datetime
) -> Figures:
    """Return the figures of the database, in few round trips."""
    cadence = read_cadence(connection, now, timedelta(minutes=settings.cadence_minutes))
    coins = covered_coins(settings.backfill_credits_per_day)
    with connection.pipeline():
        holdings = net_worth.find_holdings(connection, now)
        moves = _find_moves(connection, options, now)
        alerts = connection.cursor(row_factory=class_row(AlertRow))
        alerts.execute(
            sql.SQL(ALERTS).format(label=sql.SQL(LABEL)), {"now": now, "shown": SHOWN_ALERTS}
        )
        targets = connection.cursor(row_factory=class_row(FiredTarget))
        targets.execute(FIRED_TARGETS, {"now": now, "shown": SHOWN_TARGETS})
        watched = connection.execute(IS_ANY_COIN_WATCHED)
        first_run = connection.execute(FIRST_RUN)
        runs = connection.execute(RUNS, {"since": now - DAY, "now": now})
        history = measure_slot_coverage(connection, now, cadence=cadence, coins=coins)
        rows = alerts.fetchall()
        return Figures(
            net_worth=net_worth.add_up(holdings.fetchall()),
            moves=moves.fetchall(),
            alerts=_collect_alerts(rows, 0) or (NO_ALERTS if watched.fetchall()[0][0] else None),
            alerts_before=_collect_alerts(rows, 1),
            fired_targets=targets.fetchall(),
            runs=_measure_runs(first_run.fetchall()[0][0], runs.fetchall(), cadence, now),
            history=history.fetchone(),
        )


def _find_moves(
    connection: Connection, options: MonitorOptions, now: datetime
) -> psycopg.Cursor[PriceMove]:
    parameters = {
        "now": now,
        "day_ago": now - DAY,
        "tolerance": TOLERANCE,
        "shown": SHOWN_MOVES,
        "watchlist": options.watchlist,
        "top_coins": options.top_coins,
    }
    parts = {"watched_keys": sql.SQL(WATCHED_KEYS), "label": sql.SQL(LABEL)}
    statement = sql.SQL(MOVES).format(**parts)
    return connection.cursor(row_factory=class_row(PriceMove)).execute(statement, parameters)


def _collect_alerts(rows: Sequence[AlertRow], days_ago: int) -> AlertDay | None:
    """Return the alerts of a day; None if there were none."""
    own = [row for row in rows if row.days_ago == days_ago]
    if not own:
        return None
    shown = [AlertOutcome(row.symbol, row.observed_at, row.move, row.outcome) for row in own]
    return AlertDay(own[0].alerts, shown, own[0].coins)


def _measure_runs(
    first_run: datetime | None,
    runs: Sequence[tuple[datetime, int, str]],
    cadence: timedelta,
    now: datetime,
) -> ScheduleCoverage | None:
    """Return the coverage of the last 24 hours, or since the first run; None without a run."""
    if first_run is None or first_run > now:
        return None
    return schedule.measure_coverage(
        [started_at for started_at, _, mode in runs if mode == "ingest"],
        cadence,
        now,
        unrecorded_runs=sum(unrecorded for _, unrecorded, _ in runs),
        since=now - DAY if first_run < now - DAY else None,
    )
