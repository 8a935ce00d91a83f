"""Compare the open price targets with new prices, and compose the messages of those that fire."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sentinel.alerting import configured_targets
from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.price_targets import PriceTarget, State, list_targets
from sentinel.alerting.target_prices import Observation, read_prices
from sentinel.analytics.price_targets import Crossing, Line
from sentinel.notifications.messages import Message, MessageFormatter
from sentinel.notifications.target_messages import FiredTarget, compose_target_message
from sentinel.storage.connection import Connection

Row = dict[str, Any]

LATE_AFTER = timedelta(minutes=15)  # then the message says that the crossing is not new

# Locked, so that no target fires that is deleted meanwhile.
LOCK_TARGETS = """
SELECT target_id, identity FROM sentinel.price_targets
WHERE state = 'open' OR source = 'settings' ORDER BY target_id FOR UPDATE
"""

SAVE_PROGRESS = """
UPDATE sentinel.price_targets
SET checked_at = %(checked_at)s, is_armed = %(is_armed)s, is_pending = %(is_pending)s,
    returned_at = %(returned_at)s, last_fired_at = %(last_fired_at)s,
    fired_count = %(fired_count)s, state = %(state)s, closed_at = %(closed_at)s
WHERE target_id = %(target_id)s
"""


def check_targets(
    connection: Connection, options: MonitorOptions, formatter: MessageFormatter, now: datetime
) -> list[Message]:
    """Compare the open targets with the new prices, in the caller's transaction.

    The targets of the settings are added first. Return the messages of those that fire: the caller
    queues them in the same transaction.
    """
    locked = connection.execute(LOCK_TARGETS).fetchall()
    if not (locked or options.price_targets):
        return []
    stored = {identity for _, identity in locked if identity}
    configured_targets.apply_configured_targets(connection, options.price_targets, stored, now)
    opened = list_targets(connection, states=["open"])
    if not opened:
        return []
    observations: dict[int, list[Observation]] = {target.target_id: [] for target in opened}
    wanted = [(t.target_id, t.coin_id, t.currency, t.checked_at) for t in opened]
    for target_id, observation in read_prices(connection, wanted, now):
        observations[target_id].append(observation)
    changed, fired = list[Row](), list[FiredTarget]()
    for target in opened:
        new = observations[target.target_id]
        row, crossings = _check_target(target, new, now)
        changed.append(row)
        if crossings:
            fired.append(_describe(target, crossings[-1], new[-1], now))
    for row in changed:  # executemany would wait for its results, also in a pipeline
        connection.execute(SAVE_PROGRESS, row)
    return [compose_target_message(each, formatter) for each in fired]


def _check_target(
    target: PriceTarget, observations: Sequence[Observation], now: datetime
) -> tuple[Row, list[Observation]]:
    """Feed a target the new prices; return its new row and the crossings that fire it."""
    line = Line(target.direction, target.price)
    crossing = Crossing(
        target.is_armed, target.is_pending, target.returned_at, target.last_fired_at
    )
    checked_at, crossings = target.checked_at, list[Observation]()
    state: State = "open"
    for observation in observations:
        if target.expires_at and observation.at >= target.expires_at:
            break
        checked_at = observation.at
        if crossing.observe(*observation, line):
            crossings.append(observation)
            if not target.repeats:
                state = "fired"
                break
    if state == "open" and target.expires_at and target.expires_at <= now:
        state = "expired"
    row = dataclasses.asdict(crossing) | {
        "target_id": target.target_id,
        "checked_at": checked_at,
        "fired_count": target.fired_count + len(crossings),
        "state": state,
        "closed_at": None if state == "open" else now,
    }
    return row, crossings


def _describe(
    target: PriceTarget, crossed: Observation, newest: Observation, now: datetime
) -> FiredTarget:
    """Return what the message says. Several crossings since the last check are one message."""
    return FiredTarget(
        target_id=target.target_id,
        coin_id=target.coin_id,
        symbol=target.symbol,
        name=target.name,
        line=Line(target.direction, target.price),
        currency=target.currency,
        repeats=target.repeats,
        note=target.note,
        crossed_at=crossed.at,
        price=crossed.price,
        late_price=newest.price if now - crossed.at > LATE_AFTER else None,
    )
