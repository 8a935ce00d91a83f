"""The health check."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from psycopg.types.json import Jsonb

from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.services.api.client import (
    ApiSession,
)
from tests.support.monitor import load, minutes


def test_health_checks_the_database_the_freshness_of_prices_and_the_loop(
    api: ApiSession, fresh: FreshDatabase, time_: FakeTime
) -> None:
    response = api.get("/health")
    assert response.status_code == 503
    assert "start the ingestion" in response.json()["checks"]["freshness"]["message"]
    assert response.json()["last_run_at"] is None
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    state = {"interval_seconds": 300, "message": "all well", "errors": []}
    fresh.query(
        "INSERT INTO sentinel.service_status VALUES ('ingestion', %s, %s)", NOW, Jsonb(state)
    )
    assert api.get_json("/health")["status"] == "ok"
    time_.at += minutes(16)
    stale = api.get("/health")
    assert stale.status_code == 503
    assert stale.json()["missed_runs"] == 2
    assert datetime.fromisoformat(stale.json()["last_run_at"]) == NOW
    assert not stale.json()["checks"]["freshness"]["is_ok"]
    assert not stale.json()["checks"]["last_run"]["is_ok"]


def test_a_loop_with_an_interval_of_weeks_becomes_unhealthy(
    api: ApiSession, fresh: FreshDatabase, time_: FakeTime
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    state = {"interval_seconds": 14 * 86_400, "message": "", "errors": []}
    fresh.query(
        "INSERT INTO sentinel.service_status VALUES ('ingestion', %s, %s)", NOW, Jsonb(state)
    )
    assert api.get_json("/health")["status"] == "ok"
    time_.at += timedelta(hours=4)
    assert api.get("/health").status_code == 503


def test_an_error_of_the_loop_is_reported(api: ApiSession, fresh: FreshDatabase) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    state = {"interval_seconds": 300, "message": "", "errors": ["CoinGecko is away."]}
    fresh.query(
        "INSERT INTO sentinel.service_status VALUES ('ingestion', %s, %s)", NOW, Jsonb(state)
    )
    response = api.get("/health")
    assert response.status_code == 503
    assert response.json()["checks"]["last_run"]["message"] == "CoinGecko is away."


@pytest.mark.before_first_run
def test_a_database_that_cannot_be_used_fails_the_check_of_the_database(
    api: ApiSession, fresh: FreshDatabase
) -> None:
    fresh.query("CREATE TABLE market_data (price numeric)")
    response = api.get("/health")
    assert response.status_code == 503
    assert "of another program" in response.json()["checks"]["database"]["message"]
