"""Twenty days of a watched coin for tests: four falls, and alerts that announced three of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.conftest import FreshDatabase
from tests.support.monitor import load

DAYS = 20
# Hours before the end, at which the price falls by a tenth for eight hours.
FALLS = (400, 300, 200, 100)
# Kind, hours before the end, basis. The third one is an hour late.
ALERTS = (
    *(("panic", hour, "window") for hour in (400, 300, 199, 250, 150)),
    *(("reversal", 91, "window"), ("panic", 50, "peg")),
)


def store(fresh: FreshDatabase, end: datetime) -> None:
    """Store bitcoin's prices and alerts; ethereum has a price and is not watched."""
    hours = range(DAYS * 24, 0, -1)
    rows = [(end - timedelta(hours=hour), "bitcoin", _price(hour)) for hour in hours]
    load(fresh.address(), [*rows, (end - timedelta(hours=1), "ethereum", 1.0)], end)
    watch(fresh, end - timedelta(days=DAYS))
    for kind, hour, basis in ALERTS:
        fresh.query(
            "INSERT INTO sentinel.alerts (observed_at, reference_at, price_usd, reference_usd,"
            " move, threshold, coin_key, level, basis, kind)"
            " SELECT %s, %s, 90, 100, -0.1, 0.05, coin_key, 1, %s, %s::sentinel.alert_kind"
            " FROM sentinel.coins WHERE coin_id = 'bitcoin'",
            end - timedelta(hours=hour),
            end - timedelta(hours=hour + 1),
            *(basis, kind),
        )


def watch(fresh: FreshDatabase, since: datetime) -> None:
    """Let bitcoin be watched since a time."""
    fresh.query(
        "INSERT INTO sentinel.alert_trackers (threshold, effective_multiplier, coin_key, state,"
        " watched_since) SELECT 0.05, 1.5, coin_key, '{}', %s FROM sentinel.coins"
        " WHERE coin_id = 'bitcoin'"
        " ON CONFLICT (coin_key) DO UPDATE SET watched_since = excluded.watched_since",
        since,
    )


def _price(hours: float) -> float:
    return 90.0 if any(fall - 8 < hours <= fall for fall in FALLS) else 100.0 + hours % 2
