"""What a coin's alerts caught and missed, beside a fixed percentage."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.services.api.client import ApiSession
from tests.support import alert_history
from tests.support.alert_history import DAYS

PATH = "/coins/bitcoin/alert-score"
END = NOW.replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def prices(fresh: FreshDatabase) -> None:
    alert_history.store(fresh, END)


@pytest.mark.usefixtures("prices")
def test_the_score_counts_caught_missed_and_stray_alerts(api: ApiSession) -> None:
    found = api.get_json(PATH)
    assert datetime.fromisoformat(found["start"]) == END - timedelta(days=DAYS)
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
    alert_history.watch(fresh, END - timedelta(hours=150))
    api.empty_cache()
    assert api.get_json(PATH) == first, "computed once an hour"
    time_.sleep(3600)
    api.empty_cache()
    second = api.get_json(PATH)
    assert datetime.fromisoformat(second["start"]) == END - timedelta(hours=150)
    assert (second["alerts"]["falls"], second["alerts"]["missed"]) == (1, 1)
    assert second["fixed_percentage"] is None, "less than two weeks of prices"


@pytest.mark.usefixtures("prices")
def test_without_a_watched_day_there_is_nothing_to_judge(
    api: ApiSession, fresh: FreshDatabase
) -> None:
    unwatched = api.get_json("/coins/ethereum/alert-score")
    assert unwatched["start"] is unwatched["alerts"] is unwatched["fixed_percentage"] is None
    assert api.get("/coins/unknown/alert-score").status_code == 404
    alert_history.watch(fresh, END)
    new = api.get_json(PATH)
    assert new["start"] == new["end"]
    assert new["alerts"]["falls"] == 0
    assert new["alerts"]["alerts_per_week"] is None
