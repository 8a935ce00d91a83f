"""The figures of trust, read from a database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from safe_zone import RETENTION
from sentinel.alerting.alert_score import MAX_PRICES, choose_span, score_if_due
from sentinel.alerting.options import MonitorOptions
from sentinel.site.status import AlertWeek, Backup, ForecastScore, Trust
from sentinel.site.trust_reader import list_public_alerts, read_trust
from sentinel.storage import service_status
from sentinel.storage.connection import Connection, open_connection
from tests.conftest import FreshDatabase
from tests.support import alert_history
from tests.support.monitor import load

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
OPTIONS = MonitorOptions(top_coins=1)
NOTHING = Trust(forecasts=[], alerts=None, backup=None)


@pytest.fixture
def connection(fresh: FreshDatabase) -> Iterator[Connection]:
    with open_connection(fresh.address()) as opened:
        yield opened


def test_alerts_have_figures_and_show_no_coin_that_is_watched_for_another_reason_than_its_rank(
    fresh: FreshDatabase, connection: Connection
) -> None:
    alert_history.store(fresh, NOW)
    _check_weeks(connection)
    _check_published_alerts(connection)
    _check_daily_score(connection)


def _check_weeks(connection: Connection) -> None:
    found = read_trust(connection, OPTIONS, NOW).alerts
    assert found
    assert found.falls is None, "not scored yet"
    assert (found.coins_watched, found.target_rate) == (1, 2.0)
    mondays = [date(2026, 10, 26) + timedelta(weeks=n) for n in range(4)]
    assert found.weeks == [
        AlertWeek(start=monday, alerts=alerts, coins_watched=1)
        for monday, alerts in zip(mondays, (0, 2, 3, 2), strict=True)
    ], "since the coin is watched"


def _check_published_alerts(connection: Connection) -> None:
    found = list_public_alerts(connection, OPTIONS, NOW)
    hours = [(NOW - alert.at) / timedelta(hours=1) for alert in found]
    assert hours == [50, 91, 150], "of the last 7 days, the newest first"
    assert (found[0].coin_id, found[0].kind, found[0].move) == ("bitcoin", "panic", -0.1)
    own = MonitorOptions(top_coins=0, watchlist=["bitcoin"])
    assert list_public_alerts(connection, own, NOW) == []
    trust = read_trust(connection, own, NOW)
    assert trust.alerts
    assert trust.alerts.coins_watched == 1
    with connection.transaction(force_rollback=True):
        connection.execute("UPDATE sentinel.coins SET rank = rank + 300")
        assert list_public_alerts(connection, OPTIONS, NOW) == [], "the best here, but no top coin"


def _check_daily_score(connection: Connection) -> None:
    score_if_due(connection, OPTIONS, NOW)
    connection.execute("DELETE FROM sentinel.alerts WHERE kind = 'panic' AND basis = 'window'")
    score_if_due(connection, OPTIONS, NOW + timedelta(hours=11))
    found = read_trust(connection, OPTIONS, NOW).alerts
    assert found
    assert (found.falls, found.caught, found.missed, found.stray) == (4, 3, 1, 2)
    assert (found.scored_days, found.scored_at) == (60, NOW), "once a day"
    assert found.actual_rate == pytest.approx(7 / 20 * 7, rel=0.01)
    tomorrow = NOW + timedelta(hours=12)
    score_if_due(connection, OPTIONS, tomorrow)
    found = read_trust(connection, OPTIONS, NOW).alerts
    assert found
    assert (found.caught, found.missed, found.scored_at) == (0, 4, tomorrow)


def test_forecasts_and_backups_have_figures_where_they_exist(
    fresh: FreshDatabase, connection: Connection
) -> None:
    score_if_due(connection, OPTIONS, NOW)
    assert read_trust(connection, OPTIONS, NOW) == NOTHING
    load(fresh.address(), [(NOW, "bitcoin", 100.0), (NOW, "ethereum", 1.0)], NOW)
    connection.execute(
        "INSERT INTO sentinel.forecast_scores (coin_key, hour, abs_error, abs_no_change, scored,"
        " directional, hits, with_interval, within_interval, calm, within_calm)"
        " SELECT coin_key, %s, 9, 10, 200, 100, 60, 200, 160, 50, 45 FROM sentinel.coins",
        [NOW - timedelta(hours=30)],
    )
    state = {"verified_at": "2026-11-19T03:00:00Z", "bytes": 9, "rows": 7, "problem": "no disk"}
    service_status.record(connection, "backup", state, NOW)
    found = read_trust(connection, OPTIONS, NOW)
    day, week = found.forecasts
    assert (day.hours, day.scored, day.mase, day.result) == (24, 0, None, "too early")
    assert week == ForecastScore(
        hours=168,
        scored=400,
        mase=0.9,
        hit_rate=0.6,
        coverage=0.8,
        coverage_calm=0.9,
        coverage_wild=None,
        result="edge",
    )
    assert found.backup == Backup(
        verified_at=datetime(2026, 11, 19, 3, tzinfo=UTC),
        size_bytes=9,
        rows=7,
        last_attempt_at=NOW,
        last_attempt_failed=True,
    )
    connection.execute("DROP SCHEMA sentinel CASCADE")
    assert read_trust(connection, OPTIONS, NOW) == NOTHING
    assert list_public_alerts(connection, OPTIONS, NOW) == []


@pytest.mark.parametrize(
    ("coins", "days", "minutes"), [(1, 60, 5), (20, 60, 10), (60, 60, 30), (500, 16, 60)]
)
def test_more_coins_are_scored_in_larger_steps(coins: int, days: int, minutes: int) -> None:
    assert choose_span(coins) == (days, timedelta(minutes=minutes))
    assert coins * days * 24 * 60 / minutes <= MAX_PRICES
    assert days <= RETENTION.days
