"""Write a report as an HTML page (Plotly) or as a PNG image (Matplotlib)."""

from __future__ import annotations

import html
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sentinel.backtesting import metrics
from sentinel.backtesting.backtest_report import (
    BacktestReport,
    format_rows,
    list_notes,
    thin_indices,
)
from sentinel.backtesting.price_series import Floats

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Times, and a value at each of them.
Points = tuple[list[datetime], list[float]]

STRATEGY_COLOR, BUY_AND_HOLD_COLOR, DRAWDOWN_COLOR = "#1f77b4", "#9a9a9a", "#c0392b"
# The marker of each side: Plotly's symbol, Matplotlib's marker, color.
MARKERS = {
    "buy": ("triangle-up", "^", "#1e8449"),
    "sell": ("triangle-down", "v", DRAWDOWN_COLOR),
}
MAX_POINTS = 4_000  # of a curve: more than a screen has pixels across


def write_html(report: BacktestReport, path: Path) -> None:
    """Write one page that needs no network. Raises OSError."""
    cells = "".join(
        f"<tr><th>{label}</th><td>{own}</td><td>{hold}</td><td>{cash}</td></tr>"
        for label, own, hold, cash in format_rows(report)
    )
    table = f"<table><tr><th></th><th>strategy</th><th>buy and hold</th><th>cash</th></tr>{cells}"
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in list_notes(report))
    chart = _draw_page_chart(report).to_html(full_html=False, include_plotlyjs=True)
    title = html.escape(report.headline)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font-family:sans-serif;margin:2em}td,th{text-align:right;padding:.2em 1em}"
        f"</style><h1>{title}</h1>{table}</table>{notes}{chart}</html>"
    )
    path.write_text(page, encoding="utf-8")


def _draw_page_chart(report: BacktestReport) -> go.Figure:
    """Return the equity curves with the trades, and the drawdown below them."""
    from plotly.subplots import make_subplots

    chart: go.Figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.04
    )
    for name, (times, values), color in _list_curves(report):
        chart.add_scatter(x=times, y=values, name=name, line={"color": color}, row=1, col=1)
    for side, (symbol, _, color) in MARKERS.items():
        times, values, labels = _list_markers(report, side)
        marker = {"symbol": symbol, "color": color, "size": 9}
        style = {"mode": "markers", "name": side, "marker": marker}
        if times:
            chart.add_scatter(x=times, y=values, text=labels, **style, row=1, col=1)
    times, falls = _thin(report.curve.times, -metrics.drawdowns(report.curve))
    line = {"color": DRAWDOWN_COLOR}
    chart.add_scatter(x=times, y=falls, name="drawdown", fill="tozeroy", line=line, row=2, col=1)
    chart.update_yaxes(title="USD", row=1, col=1)
    chart.update_yaxes(title="drawdown", tickformat=".0%", row=2, col=1)
    chart.update_layout(hovermode="x unified", height=640, margin={"t": 20})
    return chart


def write_png(report: BacktestReport, path: Path) -> None:
    """Write the curves as an image. Raises OSError."""
    from matplotlib.figure import Figure

    image = Figure(figsize=(11, 7), layout="constrained")
    above, below = image.subplots(2, 1, sharex=True, height_ratios=[7, 3])
    for name, (times, values), color in _list_curves(report):
        above.plot(times, values, color=color, label=name, linewidth=1.2)
    for side, (_, marker, color) in MARKERS.items():
        times, values, _ = _list_markers(report, side)
        if times:
            above.plot(times, values, marker, color=color, label=side, markersize=6)
    times, falls = _thin(report.curve.times, metrics.drawdowns(report.curve) * -100)
    below.fill_between(times, falls, color=DRAWDOWN_COLOR, alpha=0.4)
    above.set_title(report.headline.replace("$", r"\$"))  # Matplotlib reads $…$ as a formula
    above.set_ylabel("USD")
    below.set_ylabel("drawdown, %")
    above.legend()
    for axes in (above, below):
        axes.grid(alpha=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a character that no font here has
        image.savefig(path, format="png", dpi=120)


def _list_curves(report: BacktestReport) -> list[tuple[str, Points, str]]:
    """Return (name, points, color); the last one is drawn on top."""
    hold, own = report.buy_and_hold_curve, report.curve
    return [
        ("buy and hold", _thin(hold.times, hold.equity), BUY_AND_HOLD_COLOR),
        ("strategy", _thin(own.times, own.equity), STRATEGY_COLOR),
    ]


def _list_markers(
    report: BacktestReport, side: str
) -> tuple[list[datetime], list[float], list[str]]:
    """Return the times, the values of the curve and the labels of the trades of a side."""
    trades = [(coin_id, trade) for coin_id, trade in report.trades if trade.side == side]
    times = np.array([trade.filled_at for _, trade in trades])
    indices = np.searchsorted(report.curve.times, times, side="right") - 1
    labels = [
        f"{side} {abs(trade.quantity):.6g} {coin_id} at {trade.price_usd:.6g}"
        for coin_id, trade in trades
    ]
    return _to_datetimes(times), report.curve.equity[indices].tolist(), labels


def _thin(times: Floats, values: Floats) -> Points:
    indices = thin_indices(len(times), MAX_POINTS)
    return _to_datetimes(times[indices]), values[indices].tolist()


def _to_datetimes(times: Floats) -> list[datetime]:
    return [datetime.fromtimestamp(at, UTC) for at in times.tolist()]
