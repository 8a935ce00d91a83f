"""The alerts of a tick: update the trackers with new prices and queue the messages.

Trackers, price targets, alerts and messages change in one transaction. A restart therefore repeats
no alert and loses none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Sequence
from datetime import UTC, datetime, timedelta

from sentinel.alerting import alert_storage, recalibration, target_checks
from sentinel.alerting.alert_storage import TRACKER_JSON
from sentinel.alerting.announcements import announce
from sentinel.alerting.composition import compose_messages
from sentinel.alerting.follow_ups import queue_follow_up
from sentinel.alerting.mutes import read_muted
from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.watched_coins import WatchedCoin, read_watched_coins
from sentinel.analytics.alerts import NEVER, AlertRules, Tracker
from sentinel.analytics.crossings import Alert
from sentinel.notifications.alert_messages import AlertContext
from sentinel.notifications.messages import MessageFormatter
from sentinel.storage.connection import Connection
from sentinel.storage.transactions import pipelined_transaction

STALE_AFTER = timedelta(minutes=15)  # an older observation updates the marks and raises no alert
WARM_UP = timedelta(days=14)  # of stored prices: they teach a new coin's volatility and peg
LOCK_KEY = 0x414C5254  # "ALRT": the advisory lock of the process that updates the trackers


def make_rules(options: MonitorOptions) -> AlertRules:
    """Return the alert rules that the settings describe."""
    return AlertRules(
        multiplier=options.threshold_multiplier,
        window=timedelta(hours=options.window_hours),
        horizon=timedelta(hours=options.horizon_hours),
        volatility_half_life=timedelta(hours=options.volatility_half_life_hours),
        min_threshold=options.min_threshold,
        max_threshold=options.max_threshold,
        target_rate=options.alerts_per_coin_week,
    )


def process_new_prices(
    connection: Connection,
    options: MonitorOptions,
    formatter: MessageFormatter,
    targets: Sequence[str],
    now: datetime,
) -> int:
    """Update the trackers with the new prices, in one transaction; return the number of alerts.

    The price targets are checked too. The alerts are recorded and the messages queued for `targets`
    (fingerprints of the addresses).
    """
    rules = make_rules(options)
    with pipelined_transaction(connection):
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])
        watched = read_watched_coins(connection, options)
        to_calibrate = recalibration.choose_coin(watched, rules, now)
        muted = read_muted(connection, now)
        alerts = _update_trackers(connection, watched, rules, to_calibrate, muted, now)
        alerts = _add_what_messages_show(connection, alerts, now)
        messages = compose_messages(connection, alerts, watched, muted, formatter, now)
        messages += target_checks.check_targets(connection, options, formatter, now)
        announce(connection, messages, options, targets, now)
        alert_storage.record_outcomes(connection, now)
        queue_follow_up(connection, options, formatter, targets, now)
    return len(alerts)


def _update_trackers(
    connection: Connection,
    watched: Sequence[WatchedCoin],
    rules: AlertRules,
    to_calibrate: str | None,
    muted: Container[str],
    now: datetime,
) -> list[AlertContext]:
    """Update and store every tracker; return the new alerts. Those of muted coins are marked."""
    trackers = {
        coin.coin_key: TRACKER_JSON.validate_python(coin.state) if coin.state else Tracker()
        for coin in watched
    }
    since = {
        key: now - WARM_UP
        if tracker.last_at == NEVER
        else datetime.fromtimestamp(tracker.last_at, UTC)
        for key, tracker in trackers.items()
    }
    prices = alert_storage.read_new_prices(connection, since, now)
    alerts: list[AlertContext] = []
    changed: list[tuple[WatchedCoin, Tracker, AlertRules]] = []
    for coin in watched:
        tracker = trackers[coin.coin_key]
        is_due = coin.coin_id == to_calibrate
        current = (
            recalibration.calibrate_coin(connection, coin, watched, rules, now) if is_due else coin
        )
        own_rules = _apply_calibration(rules, current)
        for alert in _observe_prices(tracker, prices[coin.coin_key], own_rules, now):
            is_announced = coin.coin_id not in muted
            alert_storage.record_alert(connection, coin, alert, is_announced=is_announced)
            names = (coin.coin_id, coin.symbol, coin.name)
            alerts.append(AlertContext(alert, *names, coin.quantity, None))
        if prices[coin.coin_key] or is_due:
            changed.append((current, tracker, own_rules))
    alert_storage.save_trackers(connection, changed, now)
    return alerts


def _add_what_messages_show(
    connection: Connection, alerts: Sequence[AlertContext], now: datetime
) -> list[AlertContext]:
    """Return the alerts with the rupiah's rate and the prices of a day ago."""
    if not alerts:
        return []
    times = {context.coin_id: context.alert.observed_at for context in alerts}
    prices = alert_storage.read_day_ago_prices(connection, times)
    rate = alert_storage.read_idr_rate(connection, now)
    return [
        context._replace(idr_per_usd=rate, day_ago_usd=prices.get(context.coin_id))
        for context in alerts
    ]


def _apply_calibration(rules: AlertRules, coin: WatchedCoin) -> AlertRules:
    if rules.target_rate and coin.threshold_multiplier:
        multiplier = max(rules.multiplier, coin.threshold_multiplier)
        return dataclasses.replace(rules, multiplier=multiplier)
    return rules


def _observe_prices(
    tracker: Tracker,
    prices: Sequence[tuple[datetime, float]],
    rules: AlertRules,
    now: datetime,
) -> list[Alert]:
    """Feed prices to a tracker; return the alerts.

    A new coin's stored prices teach its tracker the volatility. The marks start at the newest one:
    a high before the coin was watched must not raise an alert.
    """
    is_new = tracker.last_at == NEVER
    alerts: list[Alert] = []
    for at, price in prices:
        may_alert = now - at <= STALE_AFTER and not is_new
        alerts += tracker.observe(at.timestamp(), price, rules, may_alert=may_alert)
    if is_new and prices:
        for state in (tracker.panic, tracker.reversal):
            state.reset(tracker.last_at, tracker.confirmation.price_usd)
    return alerts
