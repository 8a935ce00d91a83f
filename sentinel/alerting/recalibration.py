"""Recalibrate one watched coin per tick: find the multiplier that keeps the target rate."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sentinel.alerting.alert_storage import read_new_prices
from sentinel.alerting.watched_coins import WatchedCoin
from sentinel.analytics import calibration
from sentinel.analytics.alerts import AlertRules
from sentinel.storage.connection import Connection

HISTORY = timedelta(days=28)  # eight alerts per coin at a target rate of two a week
RECALIBRATE_AFTER = timedelta(days=7)


def choose_coin(watched: Sequence[WatchedCoin], rules: AlertRules, now: datetime) -> str | None:
    """Return the coin whose calibration is due the longest; None if none is due.

    Only one coin per tick: a calibration takes a second or two.
    """
    if rules.target_rate is None:
        return None
    due = [coin for coin in watched if _is_due(coin, rules, now)]
    never = datetime.min.replace(tzinfo=UTC)
    oldest = min(due, key=lambda coin: coin.calibrated_at or never, default=None)
    return oldest.coin_id if oldest else None


def _is_due(coin: WatchedCoin, rules: AlertRules, now: datetime) -> bool:
    if coin.calibrated_at is None or coin.target_rate != rules.target_rate:
        return True
    # A negative age comes from a clock that was set back.
    return not timedelta() <= now - coin.calibrated_at < RECALIBRATE_AFTER


def calibrate_coin(
    connection: Connection,
    coin: WatchedCoin,
    watched: Sequence[WatchedCoin],
    rules: AlertRules,
    now: datetime,
) -> WatchedCoin:
    """Return the coin with a multiplier for its own history and those of the other watched coins.

    If that history is too short, the coin keeps the multiplier of `rules` and has no actual rate.
    """
    rows = read_new_prices(connection, {coin.coin_key: now - HISTORY}, now)[coin.coin_key]
    series = [(at.timestamp(), price) for at, price in rows]
    result = coin._replace(
        threshold_multiplier=rules.multiplier,
        target_rate=rules.target_rate,
        actual_rate=None,
        calibrated_at=now,
    )
    if not calibration.is_long_enough(series):
        return result
    others = [
        other.threshold_multiplier
        for other in watched
        if other.threshold_multiplier and not _is_due(other, rules, now)
    ]
    common = statistics.median(others) if others else None
    found = calibration.calibrate({coin.coin_id: series}, rules.target_rate or 0.0, rules, common)
    return result._replace(
        threshold_multiplier=found.median_multiplier, actual_rate=found.actual_rate
    )
