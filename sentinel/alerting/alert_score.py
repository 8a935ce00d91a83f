"""How the alerts of all watched coins turned out, computed once a UTC day.

It reads price histories, and the database may bill what it sends. So the result is kept there, for
all processes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from psycopg import sql
from pydantic import TypeAdapter

from safe_zone import RETENTION
from sentinel.alerting import alert_history
from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.watched_coins import WATCHED_KEYS
from sentinel.analytics.falls import combine, score
from sentinel.storage import service_status
from sentinel.storage.connection import Connection

# A price is 8 bytes: 1.6 MB a day at most, besides 100 bytes for each alert.
MAX_PRICES = 200_000
# The prices of the smallest step that fits are read. A fall may take less than an hour.
STEPS = tuple(timedelta(minutes=minutes) for minutes in (5, 10, 15, 30, 60))

WATCH_STARTS = """
SELECT coin_key, watched_since FROM sentinel.alert_trackers WHERE coin_key IN ({watched_keys})
"""


@dataclass(frozen=True, slots=True)
class AlertTotals:
    """What the alerts of all watched coins announced in the last `scored_days`."""

    scored_at: datetime
    scored_days: int
    falls: int
    caught: int
    missed: int
    stray: int
    # Alerts per coin and week. None: the price histories have no length.
    actual_rate: float | None


def read_watch_starts(connection: Connection, options: MonitorOptions) -> dict[int, datetime]:
    """Return since when each watched coin has been watched, by its key."""
    statement = sql.SQL(WATCH_STARTS).format(watched_keys=sql.SQL(WATCHED_KEYS))
    parameters = {"watchlist": options.watchlist, "top_coins": options.top_coins}
    return dict(connection.execute(statement, parameters).fetchall())


def read_totals(connection: Connection) -> AlertTotals | None:
    """Return the last result; None where alerts were never scored."""
    found = service_status.read(connection, "alert_score")
    if found is None:
        return None
    state = {"scored_at": found.recorded_at, **found.state}
    return TypeAdapter(AlertTotals).validate_python(state)


def score_if_due(connection: Connection, options: MonitorOptions, now: datetime) -> None:
    """Score the alerts of all watched coins if no process did on this UTC day."""
    known = read_totals(connection)
    if known and known.scored_at.date() == now.date():
        return
    starts = read_watch_starts(connection, options)
    if not starts:
        return
    days, step = choose_span(len(starts))
    since = {key: max(start, now - timedelta(days=days)) for key, start in starts.items()}
    prices = alert_history.read_observed_prices(connection, since, now, step)
    alerts = alert_history.list_raised_alerts(connection, since, now)
    found = combine(score(prices[key], alerts[key]) for key in since)
    totals = AlertTotals(
        now, days, found.falls, found.caught, found.missed, found.stray, found.alerts_per_coin_week
    )
    state = asdict(totals)
    del state["scored_at"]  # is the time of the record
    service_status.record(connection, "alert_score", state, now)


def choose_span(coins: int) -> tuple[int, timedelta]:
    """Return how many days of how many coins' prices to read, and in which step."""
    per_coin = MAX_PRICES // coins
    for step in STEPS:
        if RETENTION / step <= per_coin:
            return RETENTION.days, step
    return max(1, per_coin * STEPS[-1] // timedelta(days=1)), STEPS[-1]
