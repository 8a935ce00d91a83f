"""Score signals of 1, -1 and 0 on a coin in a few array operations, without the engine. Pure.

Such a signal holds either cash or coins, never both. Its trades are therefore its changes, and its
return is a product of price ratios. The results equal those of `engine.run_backtest`; the return
differs by rounding only. A result depends on its own coin alone, and uses no operation whose
rounding differs between processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sentinel.backtesting import engine
from sentinel.backtesting.portfolio import BASIS_POINTS, MIN_ORDER_USD, Costs
from sentinel.backtesting.price_series import Flags, Floats, PriceSeries

Indices = NDArray[np.intp]

MIN_ORDER_MARGIN = 1.01  # covers the rounding of the values that are compared with MIN_ORDER_USD
WINDOWS_AT_ONCE = 4_096  # of pauses whose medians are computed together: 3 MB


class Outcome(NamedTuple):
    """The result of a backtest."""

    # As a fraction.
    total_return: float
    # With the sale of the rest at the end.
    trades: int
    rejected_fills: int


@dataclass(frozen=True, slots=True, eq=False)
class CoinGrid:
    """The prices of a coin, and where orders on them are filled."""

    prices: Floats
    # Whether an order that is placed at a point is filled at the next one.
    is_fillable: Flags
    # The points where an order is rejected.
    unfillable: Indices
    # Of each span: its first point, and its last observed one, or the first if there is none.
    spans: Sequence[tuple[int, int]]
    # The lowest price as a share of the highest one.
    lowest_share: float


def build_coin_grid(series: PriceSeries, spans: Sequence[tuple[float, float]]) -> CoinGrid:
    """Return a coin's prices with what its backtests in some spans have in common.

    A span is (from, to before) in UNIX seconds and has at least one point.
    """
    is_fillable = _find_fillable(series)
    lowest_share = float(series.prices.min() / series.prices.max())
    return CoinGrid(
        series.prices,
        is_fillable,
        np.flatnonzero(series.is_observed & ~is_fillable),
        [_find_span(series, span) for span in spans],
        lowest_share,
    )


def _find_span(series: PriceSeries, span: tuple[float, float]) -> tuple[int, int]:
    first, stop = series.times.searchsorted(span).tolist()
    observed = np.flatnonzero(series.is_observed[first:stop])
    return first, first + int(observed[-1]) if len(observed) else first


def _find_fillable(series: PriceSeries) -> Flags:
    """Return `engine.is_fillable` of each point that may have an order; False at the last one."""
    pauses = np.diff(series.times)
    found = np.zeros(len(series), dtype=bool)
    found[:-1] = series.is_observed[:-1] & series.is_observed[1:]
    late = np.flatnonzero(found[:-1] & (pauses > engine.ACCEPTED_DELAY_SECONDS))
    full = late[late >= engine.PAUSES_FOR_MEDIAN]
    for index in late[: len(late) - len(full)].tolist():
        found[index] = engine.is_fillable(series, index)
    if len(full):
        windows = sliding_window_view(pauses, engine.PAUSES_FOR_MEDIAN)
        for first in range(0, len(full), WINDOWS_AT_ONCE):
            some = full[first : first + WINDOWS_AT_ONCE]
            usual = np.median(windows[some - engine.PAUSES_FOR_MEDIAN], axis=1)
            found[some] = pauses[some] <= engine.MAX_DELAY_FACTOR * usual
    return found


def is_all_or_nothing(signal: Floats) -> bool:
    """Return whether a signal only ever orders all of the cash or all of the coins."""
    return bool(((signal == 0) | (np.abs(signal) == 1)).all())


def score_signal(
    coin: CoinGrid, signal: Floats, costs: Costs, initial_usd: Decimal
) -> list[Outcome | None]:
    """Return the outcome of trading in each span.

    None: an order may be too small to be executed, which only the engine can tell.
    """
    keep = _round_trip_share(costs)
    # A portfolio that falls to this share of its value may place too small an order.
    least = float(MIN_ORDER_USD / initial_usd) * MIN_ORDER_MARGIN / (keep * coin.lowest_share)
    orders = _find_orders(coin, signal)
    return [_score_span(coin, orders, span, keep, least) for span in coin.spans]


def _round_trip_share(costs: Costs) -> float:
    """Return what a purchase and a sale at the same price leave of the money."""
    fee, slippage = costs.fee_bps / BASIS_POINTS, costs.slippage_bps / BASIS_POINTS
    return float((1 - fee) ** 2 * (1 - slippage) / (1 + slippage))


class _Orders(NamedTuple):
    """Where the orders of a signal would be placed, as ascending indices."""

    # All purchases that would be filled.
    buys: Indices
    # Those of them that follow a sale or nothing, and the sales that follow a purchase.
    entries: Indices
    exits: Indices
    # All purchases that would be rejected.
    rejected_buys: Indices
    # Rejected orders for what the portfolio does not hold already.
    rejected_changes: Indices


def _find_orders(coin: CoinGrid, signal: Floats) -> _Orders:
    """Return the orders of a signal, for a portfolio that holds cash at first."""
    filled = np.flatnonzero((signal != 0) & coin.is_fillable)
    sides = signal[filled]
    is_change = np.empty(len(filled), dtype=bool)
    is_change[:1] = sides[:1] > 0
    np.not_equal(sides[1:], sides[:-1], out=is_change[1:])
    wanted = signal[coin.unfillable]
    rejected, wanted = coin.unfillable[wanted != 0], wanted[wanted != 0]
    before = np.concatenate(([-1.0], sides))[filled.searchsorted(rejected)]
    return _Orders(
        filled[sides > 0],
        filled[is_change & (sides > 0)],
        filled[is_change & (sides < 0)],
        rejected[wanted > 0],
        rejected[wanted != before],
    )


def _score_span(
    coin: CoinGrid, orders: _Orders, span: tuple[int, int], keep: float, least: float
) -> Outcome | None:
    first, last = span
    entry = min([*orders.buys[orders.buys.searchsorted(first) :][:1].tolist(), last])
    rejected = len(_between(orders.rejected_buys, first, entry))
    rejected += len(_between(orders.rejected_changes, entry, last))
    if entry == last:
        return Outcome(0.0, 0, rejected) if least < 1 else None
    bought = np.append(entry, _between(orders.entries, entry + 1, last)) + 1
    sold = _between(orders.exits, entry, last) + 1
    trades = len(bought) + len(sold)
    if len(sold) < len(bought):
        sold, trades = np.append(sold, last), trades + 1
    values = np.multiply.accumulate(keep * (coin.prices[sold] / coin.prices[bought]))
    if min(1.0, values.min()) < least:
        return None
    return Outcome(float(values[-1]) - 1, trades, rejected)


def _between(indices: Indices, first: int, stop: int) -> Indices:
    start, end = indices.searchsorted((first, stop))
    return indices[start:end]
