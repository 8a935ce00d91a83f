"""The user's price targets: add, list, delete and preview them.

`target_checks` compares them with new prices. docs/monitor.md (Price targets) says when one fires.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from psycopg.rows import class_row

from safe_zone import RETENTION
from sentinel.alerting.target_prices import Observation, read_prices, read_quote
from sentinel.analytics.price_targets import (
    MAX_NOTE_CHARACTERS,
    MAX_OPEN_TARGETS,
    MAX_PRICE,
    Crossing,
    Currency,
    Direction,
    Line,
    choose_direction,
)
from sentinel.storage.connection import Connection

Source = Literal["api", "dashboard", "telegram", "settings"]
State = Literal["open", "fired", "expired", "deleted"]
Reason = Literal["bad_price", "past_expiry", "long_note", "no_price", "too_many"]

# Those that users see. A deleted one is an entry of ingest_config.json that must not come back.
LISTED: tuple[State, ...] = ("open", "fired", "expired")

TARGETS = """
SELECT t.target_id, t.coin_id, coalesce(c.symbol, t.coin_id) AS symbol,
       coalesce(c.name, t.coin_id) AS name, t.direction, t.price, t.currency, t.repeats,
       t.expires_at, t.note, t.source, t.state, t.created_at, t.checked_at, t.closed_at,
       t.last_fired_at, t.fired_count, t.is_armed, t.is_pending, t.returned_at
FROM sentinel.price_targets t LEFT JOIN sentinel.coins c USING (coin_id)
WHERE t.state = ANY (%(states)s)
  AND (%(coin_id)s::text IS NULL OR t.coin_id = %(coin_id)s::text)
  AND (%(target_id)s::bigint IS NULL OR t.target_id = %(target_id)s::bigint)
ORDER BY t.closed_at DESC NULLS FIRST, t.target_id DESC LIMIT %(limit)s OFFSET %(offset)s
"""

INSERT_TARGET = """
INSERT INTO sentinel.price_targets (created_at, checked_at, coin_id, direction, price, currency,
                                    repeats, expires_at, note, source, identity, is_armed)
SELECT %(now)s, %(now)s, %(coin_id)s, %(direction)s, %(price)s, %(currency)s, %(repeats)s,
       %(expires_at)s, %(note)s, %(source)s, %(identity)s, %(is_armed)s
WHERE (SELECT count(*) FROM sentinel.price_targets WHERE state = 'open') < %(max_open)s
RETURNING target_id
"""

# A target of ingest_config.json stays as a row: the next run must not add it again.
DELETE_TARGET = """
WITH kept AS (
    UPDATE sentinel.price_targets SET state = 'deleted', closed_at = %(now)s
    WHERE target_id = %(target_id)s AND source = 'settings' AND state = ANY (%(listed)s)
    RETURNING target_id
), removed AS (
    DELETE FROM sentinel.price_targets
    WHERE target_id = %(target_id)s AND source <> 'settings' RETURNING target_id
)
SELECT target_id FROM kept UNION ALL SELECT target_id FROM removed
"""


class TargetRejected(ValueError):
    """A price target cannot be added or previewed; the message says why, `reason` names it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class NewTarget:
    """A price target that a user asks for."""

    coin_id: str
    # The line, in `currency`.
    price: Decimal
    currency: Currency = "usd"
    # None: the direction in which the price has to move from where it is now.
    direction: Direction | None = None
    # Whether it fires again after the price has returned. False: it fires once.
    repeats: bool = False
    expires_at: datetime | None = None
    note: str = ""
    source: Source = "api"
    # Of an entry of ingest_config.json; None for other sources.
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class PriceTarget:
    """A stored price target."""

    target_id: int
    coin_id: str
    # The id if no run has stored the coin yet.
    symbol: str
    name: str
    direction: Direction
    # The line, in `currency`.
    price: Decimal
    currency: Currency
    repeats: bool
    expires_at: datetime | None
    note: str
    source: Source
    state: State
    created_at: datetime
    # The newest observation that was compared with the line.
    checked_at: datetime
    closed_at: datetime | None
    last_fired_at: datetime | None
    fired_count: int
    # Whether the next crossing fires; False: the price has to return first. None: not known yet.
    is_armed: bool | None
    is_pending: bool
    returned_at: datetime | None


class TargetPreview(NamedTuple):
    """What a target would have done over the stored prices, as one that repeats."""

    direction: Direction
    # The newest price in the target's currency; None: none within a day.
    current_price: Decimal | None
    # Whether that price is at the line or beyond it: then it has to return first.
    is_reached: bool
    # The first price that was looked at; None: no stored prices.
    since: datetime | None
    crossings: list[Observation]


def add_target(connection: Connection, new: NewTarget, now: datetime) -> PriceTarget:
    """Store a target and return it. Raises TargetRejected."""
    _check_fields(new, now)
    line, current = _find_line(connection, new, now)
    parameters = dataclasses.asdict(new) | {
        "direction": line.direction,
        "is_armed": None if current is None else not line.is_reached(current),
        "now": now,
        "max_open": MAX_OPEN_TARGETS,
    }
    row = connection.execute(INSERT_TARGET, parameters).fetchone()
    if row is None:
        raise TargetRejected(
            "too_many", f"There are {MAX_OPEN_TARGETS} open price targets already: delete some."
        )
    [target] = list_targets(connection, target_id=row[0])
    return target


def list_targets(
    connection: Connection,
    *,
    coin_id: str | None = None,
    target_id: int | None = None,
    states: Sequence[State] = LISTED,
    limit: int | None = None,
    offset: int = 0,
) -> list[PriceTarget]:
    """Return the open targets, the newest first, then those that fired once or expired."""
    parameters = {
        "coin_id": coin_id,
        "target_id": target_id,
        "states": list(states),
        "limit": limit,
        "offset": offset,
    }
    with connection.cursor(row_factory=class_row(PriceTarget)) as cursor:
        return cursor.execute(TARGETS, parameters).fetchall()


def delete_target(connection: Connection, target_id: int, now: datetime) -> bool:
    """Delete a target; return False if there is no such target."""
    parameters = {"target_id": target_id, "now": now, "listed": list(LISTED)}
    return bool(connection.execute(DELETE_TARGET, parameters).fetchall())


def preview_target(connection: Connection, new: NewTarget, now: datetime) -> TargetPreview:
    """Return when a target would have fired over the stored prices. Raises TargetRejected."""
    _check_fields(new, now)
    line, current = _find_line(connection, new, now)
    crossing, since = Crossing(), None
    fired: list[Observation] = []
    wanted = [(0, new.coin_id, new.currency, now - RETENTION)]
    for _, observation in read_prices(connection, wanted, now):
        since = since or observation.at
        if crossing.observe(*observation, line):
            fired.append(observation)
    is_reached = current is not None and line.is_reached(current)
    return TargetPreview(line.direction, current, is_reached, since, fired)


def _check_fields(new: NewTarget, now: datetime) -> None:
    if not (new.price.is_finite() and 0 < new.price <= MAX_PRICE):
        raise TargetRejected("bad_price", f"The price must be above 0 and at most {MAX_PRICE:,}.")
    if new.expires_at and new.expires_at <= now:
        text = f"The target expires at {new.expires_at.isoformat()}, which is in the past."
        raise TargetRejected("past_expiry", text)
    if len(new.note) > MAX_NOTE_CHARACTERS:
        raise TargetRejected(
            "long_note", f"The note may have {MAX_NOTE_CHARACTERS} characters at most."
        )


def _find_line(
    connection: Connection, new: NewTarget, now: datetime
) -> tuple[Line, Decimal | None]:
    """Return the line with its direction, and the coin's newest price in the currency."""
    current = read_quote(connection, new.coin_id, new.currency, now)
    if new.direction:
        return Line(new.direction, new.price), current
    if current is None:
        text = f"{new.coin_id} has no price from the last day: say if the target is above or below."
        raise TargetRejected("no_price", text)
    return Line(choose_direction(new.price, current), new.price), current
