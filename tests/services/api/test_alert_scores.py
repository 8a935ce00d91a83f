"""What a coin's alerts caught and missed, beside a fixed percentage."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.services.api.client import ApiSession
from tests.support.monitor import load

PATH = "/coins/bitcoin/alert-score"
END = NOW.replace(minute=0, second=0, microsecond=0)
DAYS = 20
# Hours before the end, at which the price falls by a tenth for eight hours.
FALLS = (400, 300, 200, 100)


def _hours_before_end(hours: float) -> datetime:
    return END - timedelta(hours=hours)


def _price(hours: float) -> float:
    return 90.0 if any(fall - 8 < hours <= fall for fall in FALLS) else 100.0 + hours % 2


@pytest.fixture
def prices(fresh: FreshDatabase) -> None:
    """Store four falls, of which the alerts announced three, one of them an hour late."""
    hours = range(DAYS * 24, 0, -1)
    rows = [(_hours_before_end(hour), "bitcoin", _price(hour)) for hour in hours]
    load(fresh.address(), [*rows, (_hours_before_end(1), "ethereum", 1.0)], NOW)
    _watch(fresh, DAYS * 24)
    for kind, hour, basis in (
        *(("panic", hour, "window") for hour in (400, 300, 199, 250, 150)),
        *(("reversal", 91, "window"), ("panic", 50, "peg")),
    ):
        fresh.query(
            "INSERT INTO sentinel.alerts (observed_at, reference_at, price_usd, reference_usd,"
            " move, threshold, coin_key, level, basis, kind)"
            " SELECT %s, %s, 90, 100, -0.1, 0.05, coin_key, 1, %s, %s::sentinel.alert_kind"
            " FROM sentinel.coins WHERE coin_id = 'bitcoin' RETURNING alert_id",
            _hours_before_end(hour),
            _hours_before_end(hour + 1),
            *(basis, kind),
        )


def _watch(fresh: FreshDatabase, hours: float) -> None:
    fresh.query(
        "INSERT INTO sentinel.alert_trackers (threshold, effective_multiplier, coin_key, state,"
        " watched_since) SELECT 0.05, 1.5, coin_key, '{}', %s FROM sentinel.coins"
        " WHERE coin_id = 'bitcoin'"
        " ON CONFLICT (coin_key) DO UPDATE SET watched_since = excluded.watched_since"
        " RETURNING coin_key",
        _hours_before_end(hours),
    )


@pytest.mark.usefixtures("prices")
def test_the_score_counts_caught_missed_and_stray_alerts(api: ApiSession) -> None:
    found = api.get_json(PATH)
    assert datetime.fromisoformat(found["start"]) == _hours_before_end(DAYS * 24)
    assert datetime.fromisoformat(found["end"]) == END
    assert found["fall_depth"] == 0.05
    assert found["alerts"] == {
        "falls": 4,
        "caught": 3,
        "missed": 1,
        "stray": 2,
        "median_delay_seconds": 0.0,
        "alerts_per_week": pytest.approx(7 / DAYS * 7, rel=0.01),
    }
    fixed = found["fixed_percentage"]
    assert (fixed["falls"], fixed["stray"]) == (4, 0)
    assert fixed["caught"] + fixed["missed"] == 4
    assert 0.05 < fixed["threshold"] < 0.2
    assert fixed["alerts_per_week"] == pytest.approx(7 / DAYS * 7, rel=0.5)


@pytest.mark.usefixtures("prices")
def test_an_hour_later_only_falls_since_the_coin_is_watched_count_as_missed(
    api: ApiSession, fresh: FreshDatabase, time_: FakeTime
) -> None:
    first = api.get_json(PATH)
    _watch(fresh, 150)
    assert api.get_json(PATH, n=1) == first, "computed once an hour"
    time_.sleep(3600)
    second = api.get_json(PATH, n=2)
    assert datetime.fromisoformat(second["start"]) == _hours_before_end(150)
    assert (second["alerts"]["falls"], second["alerts"]["missed"]) == (1, 1)
    assert second["fixed_percentage"] is None, "less than two weeks of prices"


@pytest.mark.usefixtures("prices")
def test_without_a_watched_day_there_is_nothing_to_judge(
    api: ApiSession, fresh: FreshDatabase
) -> None:
    unwatched = api.get_json("/coins/ethereum/alert-score")
    assert unwatched["start"] is unwatched["alerts"] is unwatched["fixed_percentage"] is None
    assert api.get("/coins/unknown/alert-score").status_code == 404
    _watch(fresh, 0)
    new = api.get_json(PATH)
    assert new["start"] == new["end"]
    assert new["alerts"]["falls"] == 0
    assert new["alerts"]["alerts_per_week"] is None
