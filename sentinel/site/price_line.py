"""A coin's hourly prices as SVG paths: gaps stay open, backfilled stretches are apart."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

from sentinel.site.market import HourSource


class LinePaths(NamedTuple):
    """The `d` attributes of two paths; an empty one draws nothing."""

    observed: str
    # Stretches that begin or end at a backfilled price.
    backfilled: str


class Bounds(NamedTuple):
    """The prices at the lower and the upper edge of a drawing, in USD."""

    low: float
    high: float

    def widen(self, share: float) -> Bounds:
        """Return bounds that are at least a share of the price apart."""
        missing = max(share * self.high - (self.high - self.low), 0.0)
        return Bounds(self.low - missing / 2, self.high + missing / 2)


def find_bounds(prices_usd: Sequence[float | None]) -> Bounds | None:
    """Return the lowest and the highest price; None without any."""
    known = [price for price in prices_usd if price is not None]
    return Bounds(min(known), max(known)) if known else None


def draw_line(
    prices_usd: Sequence[float | None],
    sources: Sequence[HourSource],
    bounds: Bounds,
    *,
    hour_width: int,
    height: int,
) -> LinePaths:
    """Return the paths in a drawing whose units are whole numbers, the oldest hour at x = 0.

    A path has a point in the middle of each hour. `hour_width` is an even number.
    """
    scale = height / (bounds.high - bounds.low) if bounds.high > bounds.low else 0.0
    drawn: dict[bool, list[str]] = {False: [], True: []}
    y_before: int | None = None
    was_backfilled: bool | None = None  # the stretch before
    for hour, price in enumerate(prices_usd):
        if price is None:
            y_before = None
            continue
        y = round((bounds.high - price) * scale)
        x = hour * hour_width + hour_width // 2
        is_backfilled = sources[hour] == "backfilled"
        if y_before is None:
            drawn[is_backfilled].append(f"M{x} {y}h0")  # a lone price is a dot
        else:
            is_backfilled = is_backfilled or sources[hour - 1] == "backfilled"
            if is_backfilled != was_backfilled:
                drawn[is_backfilled].append(f"M{x - hour_width} {y_before}")
            drawn[is_backfilled].append(_step(hour_width, y - y_before))
        y_before, was_backfilled = y, is_backfilled
    return LinePaths(*("".join(drawn[kind]) for kind in (False, True)))


@functools.lru_cache(maxsize=4096)
def _step(dx: int, dy: int) -> str:
    """Return the step of a path to the next point; a minus sign separates numbers, too."""
    return f"l{dx}{dy}" if dy < 0 else f"l{dx} {dy}"
