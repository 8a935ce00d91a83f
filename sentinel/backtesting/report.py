"""A backtest or a wallet as a page (Plotly) and as a picture (Matplotlib)."""

from __future__ import annotations

import html
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sentinel.backtesting import metrics
from sentinel.backtesting.engine import Outcome
from sentinel.backtesting.metrics import Curve, Performance
from sentinel.backtesting.portfolio import Trade
from sentinel.backtesting.price_series import Floats
from sentinel.errors import ConfigurationError

if TYPE_CHECKING:
    import plotly.graph_objects as go

OWN, OTHER, FALL = "#1f77b4", "#9a9a9a", "#c0392b"
MARKS = {"buy": ("triangle-up", "^", "#1e8449"), "sell": ("triangle-down", "v", FALL)}
MOST_POINTS = 4_000  # of a curve: more than a screen has columns


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What there is to show: the strategy's performance and holding's beside it, both curves, and
    the trades by coin."""

    title: str
    found: Performance
    hold: Performance
    curve: Curve
    hold_curve: Curve
    trades: Sequence[tuple[str, Trade]]
    remarks: Sequence[str] = ()


def report(
    title: str,
    coin_ids: Sequence[str],
    own: Sequence[Outcome],
    held: Sequence[Outcome],
    remarks: Sequence[str] = (),
) -> Report:
    """The report of outcomes on coins, with those of holding them and what else is to be said."""
    trades = [
        (coin_id, trade)
        for coin_id, outcome in zip(coin_ids, own, strict=True)
        for trade in outcome.trades
    ]
    return Report(
        title,
        metrics.measure_outcomes(own),
        metrics.measure_outcomes(held),
        metrics.curve(own),
        metrics.curve(held),
        sorted(trades, key=lambda entry: entry[1].at),
        remarks,
    )


def figures(report: Report) -> dict[str, float | int | None]:
    """All figures by name: USD, and fractions."""
    found = report.found
    return {
        "initial_usd": float(found.initial),
        "final_usd": float(found.final),
        "net_profit_usd": float(found.profit),
        "return": found.total_return,
        "buy_and_hold_return": report.hold.total_return,
        "fees_usd": float(found.fees),
        "trades": found.trades,
        "refused_fills": found.refused,
        "max_drawdown": found.max_drawdown,
        "exposure": found.exposure,
        "win_rate": found.win_rate,
        "cagr": found.cagr,
        "sharpe": found.sharpe,
        "sortino": found.sortino,
    }


NAMES = (
    *("final USD", "net profit USD", "return", "fees USD", "trades", "win rate", "max drawdown"),
    *("exposure", "CAGR", "Sharpe", "Sortino"),
)


def rows(found: Report) -> list[tuple[str, str, str, str]]:
    """The figures with their names: the strategy's, holding's, and cash's."""
    initial, nothing = found.found.initial, Decimal(0)
    cash = Performance(initial, initial, nothing, 0, 0, 0.0, 0.0, None, None, None, None)
    columns = map(_cells, (found.found, found.hold, cash))
    return list(zip(NAMES, *columns, strict=True))


def notes(found: Report) -> list[str]:
    """What a person should know beside the figures."""
    said = ["What is held at the end counts as sold at the last price.", *found.remarks]
    if found.found.trades < metrics.ENOUGH_TRADES:
        said.append(f"Fewer than {metrics.ENOUGH_TRADES} trades: ratios would be luck.")
    if found.found.refused:
        said.append(
            f"{found.found.refused} fills were refused: the next price was backfilled or came late."
        )
    return said


def _cells(found: Performance) -> tuple[str, ...]:
    return (
        f"{found.final:,.2f}",
        f"{found.profit:+,.2f}",
        f"{found.total_return:+.2%}",
        f"{found.fees:,.2f}",
        str(found.trades),
        _percent(found.win_rate),
        f"{found.max_drawdown:.2%}",
        f"{found.exposure:.0%}",
        _percent(found.cagr),
        _ratio(found.sharpe),
        _ratio(found.sortino),
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1%}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


# --- as a page -------------------------------------------------------------------------------


def write_html(found: Report, path: Path) -> None:
    """One page that needs no network. Raises ConfigurationError where it cannot be written."""
    cells = "".join(
        f"<tr><th>{name}</th><td>{own}</td><td>{hold}</td><td>{cash}</td></tr>"
        for name, own, hold, cash in rows(found)
    )
    table = f"<table><tr><th></th><th>strategy</th><th>buy and hold</th><th>cash</th></tr>{cells}"
    text = "".join(f"<p>{html.escape(note)}</p>" for note in notes(found))
    chart = figure(found).to_html(full_html=False, include_plotlyjs=True)
    title = html.escape(found.title)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font-family:sans-serif;margin:2em}td,th{text-align:right;padding:.2em 1em}"
        f"</style><h1>{title}</h1>{table}</table>{text}{chart}</html>"
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise _unwritable("--html", path, error) from error


def figure(found: Report) -> go.Figure:
    """Worth over time with the trades marked, and the drawdown below it."""
    from plotly.subplots import make_subplots

    chart: go.Figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.04
    )
    for name, curve, colour in _curves(found):
        times, worth = _thinned(curve.times, curve.equity)
        chart.add_scatter(x=times, y=worth, name=name, line={"color": colour}, row=1, col=1)
    for side, (symbol, _, colour) in MARKS.items():
        marked = _marked(found, side)
        if marked:
            at, stood, words = zip(*marked, strict=True)
            chart.add_scatter(
                x=at,
                y=stood,
                text=words,
                mode="markers",
                name=side,
                marker={"symbol": symbol, "color": colour, "size": 9},
                row=1,
                col=1,
            )
    times, falls = _thinned(found.curve.times, -metrics.drawdowns(found.curve.equity))
    chart.add_scatter(
        x=times, y=falls, name="drawdown", fill="tozeroy", line={"color": FALL}, row=2, col=1
    )
    chart.update_yaxes(title="USD", row=1, col=1)
    chart.update_yaxes(title="drawdown", tickformat=".0%", row=2, col=1)
    chart.update_layout(hovermode="x unified", height=640, margin={"t": 20})
    return chart


def _curves(found: Report) -> tuple[tuple[str, Curve, str], ...]:
    """What is drawn, with its name and colour; the strategy's above the other."""
    return ("buy and hold", found.hold_curve, OTHER), ("strategy", found.curve, OWN)


def _marked(found: Report, side: str) -> list[tuple[datetime, float, str]]:
    """Where the curve stood at the trades of a side."""
    marked = []
    for coin_id, trade in found.trades:
        if trade.side == side:
            place = int(np.searchsorted(found.curve.times, trade.at, side="right")) - 1
            words = f"{side} {abs(trade.quantity):.6g} {coin_id} at {trade.price:.6g}"
            marked.append((_moment(trade.at), float(found.curve.equity[place]), words))
    return marked


def thinned(length: int, most: int) -> list[int]:
    """Places of every so manyth point of a curve and of the last, about `most` of them."""
    step = max(1, -(-length // most))
    return sorted({*range(0, length, step), length - 1})


def _thinned(times: Floats, values: Floats) -> tuple[list[datetime], list[float]]:
    places = thinned(len(times), MOST_POINTS)
    return [_moment(at) for at in times[places].tolist()], values[places].tolist()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


# --- as a picture ----------------------------------------------------------------------------


def write_png(found: Report, path: Path) -> None:
    """The same as a picture. Raises ConfigurationError where it cannot be written."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(11, 7), layout="constrained")
    above, below = picture.subplots(2, 1, sharex=True, height_ratios=[7, 3])
    for name, curve, colour in _curves(found):
        times, worth = _thinned(curve.times, curve.equity)
        above.plot(times, worth, color=colour, label=name, linewidth=1.2)
    for side, (_, symbol, colour) in MARKS.items():
        marked = _marked(found, side)
        if marked:
            at, stood, _words = zip(*marked, strict=True)
            above.plot(at, stood, symbol, color=colour, label=side, markersize=6)
    times, falls = _thinned(found.curve.times, metrics.drawdowns(found.curve.equity) * -100)
    below.fill_between(times, falls, color=FALL, alpha=0.4)
    above.set_title(found.title.replace("$", r"\$"))
    above.set_ylabel("USD")
    below.set_ylabel("drawdown, %")
    above.legend()
    for axes in (above, below):
        axes.grid(alpha=0.3)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a letter that no font here has
            picture.savefig(path, format="png", dpi=120)
    except OSError as error:
        raise _unwritable("--png", path, error) from error


def _unwritable(flag: str, path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"{flag} {path} cannot be written ({error.strerror})")
