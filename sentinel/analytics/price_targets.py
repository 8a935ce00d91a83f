"""A price target: a line that a coin's price crosses from the other side. Pure.

A target is *armed* while the price is on the other side of its line. An armed target fires when two
observations in a row are at the line or beyond it, so that a single wrong price fires nothing. It
then waits for the price to return, and is armed again by two observations in a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

Direction = Literal["above", "below"]
Currency = Literal["usd", "idr"]

# Limits of what users may ask for.
MAX_OPEN_TARGETS = 200
MAX_NOTE_CHARACTERS = 200
MAX_PRICE = Decimal(10**20)

# A price has returned when it is this share of the line away from it, …
RETURN_SHARE = Decimal("0.01")
# … or has been on the other side for this long. A stablecoin may never move by a percent.
RETURN_TIME = timedelta(days=1)
# After it has fired, a target is armed again no sooner than this.
MIN_PAUSE = timedelta(hours=1)


class Line(NamedTuple):
    """The price of a target, in the target's currency, and the side that is beyond it."""

    direction: Direction
    price: Decimal

    def is_reached(self, price: Decimal) -> bool:
        """Return whether a price is at the line or beyond it."""
        return price >= self.price if self.direction == "above" else price <= self.price

    def is_far_before(self, price: Decimal) -> bool:
        """Return whether a price is on the other side, by RETURN_SHARE of the line at least."""
        distance = self.price * RETURN_SHARE
        if self.direction == "above":
            return price <= self.price - distance
        return price >= self.price + distance


@dataclass(slots=True)
class Crossing:
    """What a target remembers of the prices before. Observations come in the order of time."""

    # None: no observation has shown on which side of the line the price is.
    is_armed: bool | None = None
    # The newest observation asks for a change that the next one has to confirm.
    is_pending: bool = False
    # While the target is not armed: since when the price is on the other side.
    returned_at: datetime | None = None
    last_fired_at: datetime | None = None

    def observe(self, at: datetime, price: Decimal, line: Line) -> bool:
        """Process the next observation and return whether the target fires."""
        is_reached = line.is_reached(price)
        if self.is_armed is None:
            self.is_armed = not is_reached
            return False
        should_change = is_reached if self.is_armed else self._has_returned(at, price, line)
        if not (should_change and self.is_pending):
            self.is_pending = should_change
            return False
        self.is_armed, self.is_pending, self.returned_at = not self.is_armed, False, None
        if not self.is_armed:
            self.last_fired_at = at
        return not self.is_armed

    def _has_returned(self, at: datetime, price: Decimal, line: Line) -> bool:
        if line.is_reached(price):
            self.returned_at = None
            return False
        self.returned_at = self.returned_at or at
        if self.last_fired_at and at - self.last_fired_at < MIN_PAUSE:
            return False
        return line.is_far_before(price) or at - self.returned_at >= RETURN_TIME


def choose_direction(line_price: Decimal, current_price: Decimal) -> Direction:
    """Return the direction in which the price has to move to reach the line."""
    return "above" if line_price > current_price else "below"
