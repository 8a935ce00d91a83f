"""The charts of a report as `static/chart.js` reads them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel.backtesting import metrics
from sentinel.backtesting.backtest_report import BacktestReport, CoinReport
from sentinel.backtesting.portfolio import Trade
from sentinel.backtesting.price_series import Floats

MAX_POINTS = 1_200  # of a curve: as many as a screen has pixels across
MAX_PRICE_POINTS = 6_000  # of all coins together
MAX_COINS = 24  # with a chart of their own
MAX_MARKERS = 100  # with more trades, ticks take the place of triangles
DIGITS = 6  # of a value: a chart has few more pixels
LABELS = {
    "reset": "Whole range",
    "none": "No prices in this period.",
    "gap": "gap",
    **{name: name for name in ("open", "high", "low", "close")},
}


def describe_charts(report: BacktestReport) -> dict[str, object]:
    """Return the times of the curves, and the charts by the ids of their places in the page."""
    own, hold = report.curve, report.buy_and_hold_curve
    where = thin_extremes([own.equity, hold.equity], MAX_POINTS)
    charts = {
        "equity": _describe(
            "Value of the strategy beside buy and hold, in USD",
            [
                _line("strategy", own.equity[where]),
                _line("buy and hold", hold.equity[where], kind="dashes", color="fourth"),
            ],
            levels=[{"value": float(own.initial_usd), "text": "cash", "color": "muted"}],
            height=340,
        ),
        "drawdown": _describe(
            "Drawdown of the strategy and of buy and hold",
            [
                _line("strategy", -metrics.drawdowns(own)[where], kind="area", color="fall"),
                _line("buy and hold", -metrics.drawdowns(hold)[where], "dashes", "fourth"),
            ],
            unit="percent",
            height=200,
        ),
    }
    coins = list_charted(report)
    count = max(200, min(MAX_POINTS, MAX_PRICE_POINTS // max(1, len(coins))))
    for number, coin in enumerate(coins):
        charts[f"coin-{number}"] = _describe_coin(coin, count, is_alone=len(coins) == 1)
    return {"times": own.times[where].astype(int).tolist(), "charts": charts}


def list_charted(report: BacktestReport) -> list[CoinReport]:
    """Return the coins that have a chart: those with the most round trips if there are many."""
    busiest = sorted(report.coins, key=lambda coin: -len(coin.round_trips))[:MAX_COINS]
    return [coin for coin in report.coins if coin in busiest]


def list_fills(coin: CoinReport) -> list[Trade]:
    """Return the trades that orders made: without the pretended sale at the end."""
    return [trade for trade in coin.result.trades if trade.side != "close"]


def thin_extremes(columns: Sequence[Floats], target: int) -> NDArray[np.intp]:
    """Return about `target` indices that keep the highs and lows of columns of equal length."""
    length = len(columns[0])
    if length <= target:
        return np.arange(length)
    edges = np.linspace(0, length, max(1, target // (2 * len(columns))) + 1).astype(int)
    found = {0, length - 1}
    for column in columns:
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            part = column[first:last]
            found |= {first + int(part.argmin()), first + int(part.argmax())}
    return np.array(sorted(found))


def _describe_coin(coin: CoinReport, points: int, *, is_alone: bool) -> dict[str, Any]:
    series, fills = coin.prices, list_fills(coin)
    where = thin_extremes([series.prices], points)
    times = series.times[where].astype(int).tolist()
    return _describe(
        f"Price of {coin.coin_id} in USD, with purchases and sales",
        [_line("price", series.prices[where]) | {"times": times}],
        legend=[
            {"name": "bought", "color": "rise", "kind": "up"},
            {"name": "sold", "color": "fall", "kind": "down"},
        ],
        height=340 if is_alone else 240,
        # The page's script makes the marks, which would be most of its size otherwise.
        fills={
            "times": [int(trade.filled_at) for trade in fills],
            "values": _round(np.array([float(trade.price_usd) for trade in fills])),
            "bought": [int(trade.quantity > 0) for trade in fills],
            "is_tick": len(fills) > MAX_MARKERS,
        },
    )


def _describe(label: str, series: Sequence[dict[str, Any]], **options: Any) -> dict[str, Any]:
    return {
        "label": label,
        "view": label,
        "unit": "USD",
        "language": "en",
        "zone": "UTC",
        "log": False,
        "floor": 0.0,
        "extremes": False,
        "from": None,
        "to": None,
        "spans": [],
        "bands": [],
        "levels": [],
        "marks": [],
        "legend": [],
        "labels": LABELS,
        "series": series,
        **options,
    }


def _line(name: str, values: Floats, kind: str = "line", color: str = "price") -> dict[str, Any]:
    return {"name": name, "kind": kind, "color": color, "values": _round(values)}


def _round(values: Floats) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values.tolist()]
