"""The equity curve of a paper-trading wallet, with its trades."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from datetime import datetime

import plotly.graph_objects as go

from services.api_client import Json
from services.dashboard.charts.style import (
    FALL_COLOR,
    HOVER_TEXT,
    PRICE_COLOR,
    REFERENCE_COLOR,
    RISE_COLOR,
    set_price_layout,
)
from services.dashboard.formatting import Formatter
from services.dashboard.text import escape_html


def draw_equity_curve(
    formatter: Formatter, curve: Sequence[Json], trades: Sequence[Json]
) -> go.Figure:
    """Return a wallet's value over time beside buy and hold, with its trades."""
    figure = go.Figure()
    _add_line(figure, formatter, curve, "buy_and_hold_usd", "buy and hold", REFERENCE_COLOR)
    _add_line(figure, formatter, curve, "value_usd", "wallet", PRICE_COLOR)
    _add_trades(figure, formatter, curve, trades, "buy", RISE_COLOR, "triangle-up")
    _add_trades(figure, formatter, curve, trades, "sell", FALL_COLOR, "triangle-down")
    return set_price_layout(figure, formatter)


def _add_line(
    figure: go.Figure,
    formatter: Formatter,
    curve: Sequence[Json],
    key: str,
    name: str,
    color: str,
) -> None:
    figure.add_scatter(
        x=[formatter.axis_time(point["valued_at"]) for point in curve],
        y=[formatter.convert_usd(point[key]) for point in curve],
        name=name,
        mode="lines",
        line={"color": color, "width": 1.6},
        text=[formatter.price(point[key]) for point in curve],
        hovertemplate=HOVER_TEXT,
    )


def _add_trades(
    figure: go.Figure,
    formatter: Formatter,
    curve: Sequence[Json],
    trades: Sequence[Json],
    side: str,
    color: str,
    symbol: str,
) -> None:
    shown = [trade for trade in trades if trade["side"] == side]
    if not shown:
        return
    values = _find_values(curve, [trade["traded_at"] for trade in shown])
    figure.add_scatter(
        x=[formatter.axis_time(trade["traded_at"]) for trade in shown],
        y=[formatter.convert_usd(value_usd) for value_usd in values],
        name=side,
        mode="markers",
        marker={"color": color, "size": 9, "symbol": symbol},
        text=[_describe_trade(formatter, trade) for trade in shown],
        hovertemplate=HOVER_TEXT,
    )


def _find_values(curve: Sequence[Json], times: Sequence[str]) -> list[float]:
    """Return the wallet's value at the last point of the curve before each time."""
    curve_times = [datetime.fromisoformat(point["valued_at"]) for point in curve]
    indexes = [bisect.bisect_right(curve_times, datetime.fromisoformat(time)) - 1 for time in times]
    return [float(curve[max(0, index)]["value_usd"]) for index in indexes]


def _describe_trade(formatter: Formatter, trade: Json) -> str:
    price = formatter.price(float(trade["price_usd"]))
    return f"{trade['side']} {escape_html(trade['coin_id'])} at {price}"
