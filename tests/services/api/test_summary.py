"""The header line that every page shows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from psycopg.types.json import Jsonb

from sentinel.coin import to_iso
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.services.api.client import ApiSession
from tests.support.monitor import load, minutes


def test_the_summary_adds_up_the_coins_of_the_last_day_and_names_failing_checks(
    api: ApiSession, fresh: FreshDatabase, time_: FakeTime
) -> None:
    caps = {"bitcoin": 3e12, "ethereum": 1e12, "no-cap": None, "no-longer-fetched": 9e12}
    old = {"no-longer-fetched": timedelta(days=2)}
    rows = [(NOW - old.get(coin_id, timedelta()), coin_id, 1.0) for coin_id in caps]
    load(fresh.address(), rows, NOW, idr=16_250.0)
    for coin_id, cap in caps.items():
        fresh.query(
            "UPDATE sentinel.coins SET market_cap_usd = %s WHERE coin_id = %s", cap, coin_id
        )
    fresh.query(
        "INSERT INTO sentinel.service_status VALUES ('ingestion', %s, %s)",
        NOW + minutes(5),
        Jsonb({"interval_seconds": 60, "errors": []}),
    )
    time_.at += minutes(6)
    assert api.get_json("/summary") == {
        "market_cap_usd": 4e12, "coins": 3, "bitcoin_share": 0.75,
        "idr_per_usd": 16_250.0, "idr_observed_at": to_iso(NOW),
        "newest_observation": to_iso(NOW), "age_seconds": 360.0,
        "interval_seconds": 60.0, "missed_runs": 5, "state": "warning",
        "problems": [{"name": "freshness", "state": "warning", "message":
                      "The newest observation is 6 minutes old, 5 runs are missing."}],
    }  # fmt: skip


@pytest.mark.before_first_run
def test_the_summary_says_why_there_is_none(api: ApiSession, fresh: FreshDatabase) -> None:
    fresh.query("CREATE TABLE market_data (price numeric)")
    found = api.get_json("/summary")
    assert (found["state"], found["market_cap_usd"]) == ("unhealthy", None)
    assert "No data can be read from the database" in found["problems"][0]["message"]
