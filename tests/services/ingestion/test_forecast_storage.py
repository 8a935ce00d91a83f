"""Forecasts, their scores and the changes that the next bands are made from, in PostgreSQL."""

from __future__ import annotations

import numpy as np
import pytest

from sentinel.analytics.forecast import Forecast, make_forecast
from sentinel.analytics.forecast_band import Band, VolatilityClass, compute_interval_score
from sentinel.storage.connection import Session
from services.ingestion import forecast_storage
from tests.conftest import NOW, FreshDatabase
from tests.support.monitor import load, minutes

MADE = NOW - minutes(60)
PRICE = 100.0
COINS: tuple[VolatilityClass, ...] = ("calm", "middle", "wild")
RADII = np.array([0.001, 0.002, 0.01])
CONSTANT_RADIUS = 0.005
CHANGES = np.array([0.0005, 0.004, 0.02])


def _forecast(volatility_class: VolatilityClass, radius: float) -> Forecast:
    return make_forecast(PRICE, 0.0, 0.001, Band(radius, CONSTANT_RADIUS, volatility_class))


@pytest.fixture
def scored(fresh: FreshDatabase, session: Session) -> FreshDatabase:
    """Return a database with one scored forecast of each volatility class."""
    due = MADE + minutes(10)
    prices = zip(COINS, (PRICE * np.exp(CHANGES)).tolist(), strict=True)
    load(fresh.address(), [(due, coin_id, price) for coin_id, price in prices], NOW)
    keys: dict[str, int] = dict(fresh.query("SELECT coin_id, coin_key FROM sentinel.coins"))
    forecasts = {
        keys[name]: _forecast(name, radius)
        for name, radius in zip(COINS, RADII.tolist(), strict=True)
    }
    session.use(lambda c: forecast_storage.save_forecasts(c, forecasts, MADE))
    session.use(lambda c: forecast_storage.score_forecasts(c, NOW, NOW))
    return fresh


def test_a_band_is_scored_in_its_class_beside_one_of_constant_width(scored: FreshDatabase) -> None:
    [counts] = scored.query(
        "SELECT sum(calm), sum(within_calm), sum(middle), sum(within_middle), sum(wild), "
        "sum(within_wild), sum(with_interval), sum(within_interval) FROM sentinel.forecast_scores"
    )
    assert counts == (1, 1, 1, 0, 1, 0, 3, 1)
    [sums] = scored.query(
        "SELECT sum(interval_score), sum(constant_score) FROM sentinel.forecast_scores"
    )
    expected = [
        compute_interval_score(radii, CHANGES).sum()
        for radii in (RADII, np.full(3, CONSTANT_RADIUS))
    ]
    assert sums == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("scored")
def test_the_next_band_is_made_from_the_changes_of_scored_forecasts(session: Session) -> None:
    past = session.use(lambda c: forecast_storage.read_past_changes(c, NOW))
    assert sorted(float(one.changes[0]) for one in past.values()) == pytest.approx(CHANGES)
    assert [(one.with_band, one.volatilities.tolist()) for one in past.values()] == [
        (1, pytest.approx([0.001]))
    ] * 3
    assert sorted(one.missed for one in past.values()) == [0, 1, 1]


def test_a_forecast_of_an_older_version_is_scored_and_makes_no_band(
    fresh: FreshDatabase, session: Session
) -> None:
    load(fresh.address(), [(MADE + minutes(10), "bitcoin", PRICE)], NOW)
    fresh.query(
        "INSERT INTO sentinel.forecasts (coin_key, made_at, due_at, price_usd, slope_per_minute, "
        "predicted_usd, low_usd, high_usd, direction)"
        " SELECT coin_key, %s, %s, 100, 0, 100, 99, 101, 'neutral' FROM sentinel.coins",
        MADE,
        MADE + minutes(10),
    )
    session.use(lambda c: forecast_storage.score_forecasts(c, NOW, NOW))
    assert fresh.query(
        "SELECT scored, within_interval, interval_score, calm + middle + wild "
        "FROM sentinel.forecast_scores"
    ) == [(1, 1, 0.0, 0)]
    assert session.use(lambda c: forecast_storage.read_past_changes(c, NOW)) == {}
