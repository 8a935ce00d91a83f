"""Routes of forecasts."""

from __future__ import annotations

import pytest

from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import (
    ApiSession,
    problem_detail,
)
from tests.support.monitor import minutes


@pytest.mark.usefixtures("week")
def test_a_forecast_is_returned_with_its_track_record(
    api: ApiSession, fresh: FreshDatabase
) -> None:
    assert "too few observations" in problem_detail(api.get("/coins/bitcoin/forecast"), 404)
    fresh.query(
        "INSERT INTO sentinel.forecasts (coin_key, made_at, due_at, price_usd, "
        "slope_per_minute, predicted_usd, "
        "low_usd, high_usd,"
        " direction) SELECT coin_key, %s, %s, 90000, 0.0001, 90090, 89000, 91000, 'neutral'"
        " FROM sentinel.coins WHERE coin_id = 'bitcoin'",
        NOW,
        NOW + minutes(10),
    )
    fresh.query(
        "INSERT INTO sentinel.forecast_scores (coin_key, hour, abs_error, abs_no_change, "
        "scored, directional, hits, with_interval, within_interval, interval_score, "
        "constant_score, calm, within_calm, middle, within_middle, wild, within_wild)"
        " SELECT coin_key, %s - hours * interval '1 hour', 1.2, 1.0, 60, 10, 5, 50, 40,"
        " 0.25, 0.5, 20, 18, 20, 16, 10, 6"
        " FROM sentinel.coins, unnest(ARRAY[1, 2, 30]) AS hours WHERE coin_id = 'bitcoin'",
        NOW,
    )
    found = api.get_json("/coins/bitcoin/forecast")
    assert (found["predicted_usd"], found["low_usd"], found["high_usd"]) == (90_090, 89_000, 91_000)
    assert found["coverage"] == 0.8
    day, past_week = found["scores"]
    assert day == {
        "hours": 24, "scored": 120, "mase": pytest.approx(1.2), "hit_rate": 0.5, "directional": 20,
        "direction_result": "too early", "coverage": 0.8, "with_interval": 100,
        "calm": {"coverage": 0.9, "forecasts": 40}, "middle": {"coverage": 0.8, "forecasts": 40},
        "wild": {"coverage": 0.6, "forecasts": 20}, "interval_score": 0.005,
        "no_change_interval_score": 0.01, "result": "no edge",
    }  # fmt: skip
    assert (found["volatility"], found["volatility_class"]) == (None, None)  # of an old forecast
    assert past_week["scored"] == 180
    board = api.get_json("/forecasts/scoreboard")
    assert board["scores"][0]["result"] == "no edge"
    assert [coin["coin_id"] for coin in board["coins"]] == ["bitcoin"]
