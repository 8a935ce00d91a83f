"""The chart of one coin: what it draws, what it says in words, and the values for its crosshair."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from sentinel.site.market import HOURS, MarketCoin
from sentinel.site.price_line import Bounds, LinePaths, draw_line, find_bounds

HOUR = timedelta(hours=1)
# The units of the drawing; the page stretches it to its width.
HOUR_WIDTH, HEIGHT = 10, 1000
GRID_STEPS = 6  # at most so many distances of lines lie between the lowest and the highest price
ROUND_FACTORS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
SHARE = 100 / HOURS  # of the width in percent, for one hour
FLAT_SHARE = 0.02  # of the price: the height of a chart whose price never changed
MIN_DAY_LABEL_HOURS = 15  # a shorter part of a day has no room for its label


class Mark(NamedTuple):
    """A place in the drawing, in percent of its width and height."""

    x: float
    y: float
    price_usd: float
    at: datetime

    @property
    def anchor(self) -> str:
        """The end of the label that is at `x`, so that the label stays inside the drawing."""
        return "start" if self.x < 15 else "end" if self.x > 85 else "middle"


class Span(NamedTuple):
    """Hours in a row without a price."""

    first_hour: int
    hours: int

    @property
    def x(self) -> float:
        """Where it begins, in percent of the width."""
        return self.first_hour * SHARE

    @property
    def width(self) -> float:
        """How wide it is, in percent of the width."""
        return self.hours * SHARE


class ChartDay(NamedTuple):
    """The part of one UTC day that the chart shows."""

    day: datetime
    first_hour: int
    # The last price of each hour in USD.
    prices_usd: Sequence[float | None]

    @property
    def bounds(self) -> Bounds | None:
        """The lowest and the highest price; None without any."""
        return find_bounds(self.prices_usd)

    @property
    def last_usd(self) -> float | None:
        """The last price; None without any."""
        return next((price for price in reversed(self.prices_usd) if price is not None), None)

    @property
    def x(self) -> float:
        """Where it begins, in percent of the width."""
        return self.first_hour * SHARE

    @property
    def middle(self) -> float | None:
        """The place of its label, in percent of the width; None: it has no room for one."""
        hours = len(self.prices_usd)
        return self.x + hours / 2 * SHARE if hours >= MIN_DAY_LABEL_HOURS else None


@dataclass(frozen=True, slots=True)
class PriceChart:
    """A chart of all hours of the figures."""

    # The prices at its lower and upper edge.
    edges: Bounds
    # Prices of the horizontal lines, the highest first, at equal distances.
    grid: Sequence[float]
    # Decimal places of the labels.
    decimals: int
    line: LinePaths
    high: Mark
    low: Mark
    gaps: Sequence[Span]
    backfilled_hours: int
    # None: the history is older than the chart.
    begins_at: datetime | None
    days: Sequence[ChartDay]

    @property
    def gap_hours(self) -> int:
        """The hours of all gaps together."""
        return sum(gap.hours for gap in self.gaps)


def make_chart(coin: MarketCoin, charts_from: datetime) -> PriceChart | None:
    """Return the chart of a coin; None without any price."""
    prices = coin.prices_usd
    bounds = find_bounds(prices)
    if bounds is None:
        return None
    grid, decimals = _choose_grid(bounds)
    edges = Bounds(grid[-1], grid[0])
    first = next(hour for hour, price in enumerate(prices) if price is not None)
    return PriceChart(
        edges=edges,
        grid=grid,
        decimals=decimals,
        line=draw_line(prices, coin.sources, edges, hour_width=HOUR_WIDTH, height=HEIGHT),
        high=_mark(prices, bounds.high, edges, charts_from),
        low=_mark(prices, bounds.low, edges, charts_from),
        gaps=_find_gaps(prices, first),
        backfilled_hours=sum(source == "backfilled" for source in coin.sources),
        begins_at=charts_from + HOUR * first if first else None,
        days=list(_split_days(prices, charts_from)),
    )


def _choose_grid(bounds: Bounds) -> tuple[list[float], int]:
    """Return round prices from above the highest to below the lowest, and their decimal places."""
    low, high = bounds if bounds.high > bounds.low else bounds.widen(FLAT_SHARE)
    step = _round_up((high - low) / GRID_STEPS or 1.0)
    lowest = math.floor(low / float(step))
    # One step above a price that was always zero.
    highest = max(lowest + 1, math.ceil(high / float(step)))
    grid = [float(step * line) for line in range(highest, lowest - 1, -1)]
    return grid, max(0, -int(step.normalize().as_tuple().exponent))


def _round_up(distance: float) -> Decimal:
    """Return the next larger of 1, 2, 2.5 and 5, or of these times a power of ten."""
    power = Decimal(1).scaleb(math.floor(math.log10(distance)))
    steps = (power * factor for factor in ROUND_FACTORS)
    return next(step for step in steps if step >= distance)


def _mark(
    prices: Sequence[float | None], price_usd: float, edges: Bounds, charts_from: datetime
) -> Mark:
    hour = prices.index(price_usd)
    y = (edges.high - price_usd) / (edges.high - edges.low) * 100
    return Mark((hour + 0.5) * SHARE, y, price_usd, charts_from + HOUR * hour)


def _find_gaps(prices: Sequence[float | None], first: int) -> list[Span]:
    """Return the gaps since the first price. The last hour is not over, so it is none."""
    gaps = []
    hours = enumerate(prices[first:-1], start=first)
    for is_gap, span in itertools.groupby(hours, key=lambda entry: entry[1] is None):
        if is_gap:
            numbers = [hour for hour, _ in span]
            gaps.append(Span(numbers[0], len(numbers)))
    return gaps


def _split_days(prices: Sequence[float | None], charts_from: datetime) -> Iterator[ChartDay]:
    for start in range(-charts_from.hour, len(prices), 24):
        first = max(start, 0)
        yield ChartDay(charts_from + HOUR * start, first, prices[first : start + 24])
