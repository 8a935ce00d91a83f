"""The route of a coin's price history."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from services.api.history_request import choose_step
from services.api.schemas.coins import HistoryResponse
from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import (
    ApiSession,
    problem_detail,
)
from tests.support.monitor import minutes


def test_a_history_step_has_the_first_and_the_last_price_of_the_step(week_api: ApiSession) -> None:
    found = week_api.get_json(
        "/coins/bitcoin/history",
        start=(NOW - timedelta(hours=6)).isoformat(),
        resolution="1h",
    )
    assert HistoryResponse.model_validate(found).model_dump(mode="json") == found
    assert found["resolution"] == "1h"
    whole = [point for point in found["points"] if point["observations"] == 4]
    assert len(whole) == 6
    for point in whole:
        at = datetime.fromisoformat(point["observed_at"])
        last = (NOW - (at + timedelta(minutes=45, seconds=30))) / minutes(15)
        assert point["price_usd"] == point["low_usd"] == 90_000 + round(last)
        assert point["open_usd"] == point["high_usd"] == point["low_usd"] + 3


def test_raw_returns_every_observation(
    week_api: ApiSession,
) -> None:
    span = {"start": (NOW - timedelta(hours=2)).isoformat(), "end": NOW.isoformat()}
    assert len(week_api.get_json("/coins/bitcoin/history", resolution="raw", **span)["points"]) == 8
    # A step that the span is too long for becomes the next one.
    found = week_api.get_json("/coins/bitcoin/history", hours=24 * 60, resolution="raw")
    assert (found["resolution"], len(found["points"])) == ("5m", 7 * 96)


@pytest.mark.parametrize(
    ("hours", "line", "candles"),
    [
        (1, "5m", "5m"),
        (24, "5m", "15m"),
        (168, "30m", "2h"),
        (720, "2h", "6h"),
        (1440, "4h", "12h"),
    ],
)
def test_auto_chooses_the_step_by_the_span_and_the_number_of_points(
    hours: int, line: str, candles: str
) -> None:
    span = timedelta(hours=hours)
    assert (choose_step(span, "auto", 400), choose_step(span, "auto", 120)) == (line, candles)


def test_a_span_before_the_first_observation_begins_with_it(week_api: ApiSession) -> None:
    for span in ({"start": "1066-01-01"}, {"hours": 24 * 365 * 20}):
        found = week_api.get_json("/coins/bitcoin/history", **span)
        assert datetime.fromisoformat(found["start"]) == NOW - minutes(15 * (7 * 96 - 1))
        assert found["resolution"] == "30m"


def test_a_history_can_be_requested_by_hours(week_api: ApiSession) -> None:
    found = week_api.get_json("/coins/bitcoin/history", hours=2, resolution="raw")
    assert len(found["points"]) == 8
    both = week_api.get("/coins/bitcoin/history?hours=2&start=2026-11-20T00:00:00Z")
    assert "give one of them" in problem_detail(both, 409)


@pytest.mark.usefixtures("week")
def test_history_steps_count_backfilled_observations(api: ApiSession, fresh: FreshDatabase) -> None:
    fresh.query("UPDATE sentinel.observations SET source = 'backfilled' WHERE observed_at < %s",
                NOW - minutes(31))  # fmt: skip
    points = api.get_json("/coins/bitcoin/history", resolution="1h")["points"]
    assert all(point["backfilled"] == point["observations"] for point in points[:-2])
    assert [(p["observations"], p["backfilled"]) for p in points[-2:]] == [(4, 2), (1, 0)]
