"""A report as a PNG image (Matplotlib), to post: figures, value, drawdowns."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sentinel.backtesting import metrics
from sentinel.backtesting.backtest_report import FORMATS, BacktestReport
from sentinel.backtesting.price_series import Floats
from sentinel.backtesting.report_charts import MAX_MARKERS, thin_extremes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The light palette of static/chart.css and static/base.css.
INK, MUTED, LINE = "#1a222c", "#566170", "#dde2e8"
STRATEGY, HOLD, RISE, FALL = "#1f6fc4", "#4d5a68", "#167a50", "#b9302a"
MAX_POINTS = 2_000  # of a curve: more than the image has pixels across
# Under the title.
FIGURES = ("return", "max drawdown", "Sharpe", "round trips")


def write_report(report: BacktestReport, path: Path) -> None:
    """Write the image. Raises OSError, ModuleNotFoundError without Matplotlib."""
    from matplotlib.figure import Figure

    image = Figure(figsize=(11, 7))
    above, below = image.subplots(2, 1, sharex=True, height_ratios=[7, 3])
    image.subplots_adjust(left=0.04, right=0.93, top=0.78, bottom=0.06, hspace=0.08)
    _write_heading(image, report)
    _draw_value(above, report)
    _draw_drawdowns(below, report)
    for axes in (above, below):
        axes.yaxis.tick_right()
        axes.tick_params(colors=MUTED, length=0)
        axes.grid(color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        axes.margins(x=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a character that no font here has
        image.savefig(path, format="png", dpi=120)


def _write_heading(image: Figure, report: BacktestReport) -> None:
    image.text(0.04, 0.945, _escape(report.title), fontsize=17, weight="bold", color=INK)
    image.text(0.04, 0.912, _escape(report.subject), fontsize=10.5, color=MUTED)
    own, hold = report.strategy, report.buy_and_hold
    cells = [(label, FORMATS[label](own), FORMATS[label](hold)) for label in FIGURES]
    share = report.better_than_random
    cells.append(("random entries beaten", "-" if share is None else f"{share:.0%}", ""))
    for number, (label, figure, other) in enumerate(cells):
        left = 0.04 + 0.18 * number
        image.text(left, 0.875, label, fontsize=9.5, color=MUTED)
        image.text(left, 0.838, figure, fontsize=15, weight="bold", color=INK)
        is_compared = other and label != "round trips"
        image.text(left, 0.812, f"hold {other}" if is_compared else "", fontsize=9.5, color=MUTED)


def _draw_value(axes: Axes, report: BacktestReport) -> None:
    own, hold = report.curve, report.buy_and_hold_curve
    where = thin_extremes([own.equity, hold.equity], MAX_POINTS)
    times = _to_dates(own.times[where])
    axes.axhline(float(own.initial_usd), color=MUTED, linewidth=0.8, dashes=(4, 4), label="cash")
    axes.plot(times, hold.equity[where], color=HOLD, linewidth=1.1, ls="--", label="buy and hold")
    axes.plot(times, own.equity[where], color=STRATEGY, linewidth=1.5, label="strategy")
    fills = [trade for _, trade in report.trades if trade.side != "close"]
    for is_purchase, label, marker, color in ((1, "bought", "^", RISE), (0, "sold", "v", FALL)):
        chosen = [trade.filled_at for trade in fills if (trade.quantity > 0) == is_purchase]
        if not chosen:
            continue
        at = np.array(chosen)
        values = own.equity[np.searchsorted(own.times, at, side="right") - 1]
        # Many triangles would hide the line.
        is_tick = len(fills) > MAX_MARKERS
        axes.plot(
            _to_dates(at),
            values,
            ls="",
            color=color,
            label=label,
            marker="|" if is_tick else marker,
            markersize=5 if is_tick else 6,
            markeredgewidth=0.7 if is_tick else 0,
        )
    axes.legend(frameon=False, ncols=5, loc="upper left", fontsize=9, labelcolor=MUTED)
    axes.yaxis.set_major_formatter("${x:,.0f}")


def _draw_drawdowns(axes: Axes, report: BacktestReport) -> None:
    own, hold = metrics.drawdowns(report.curve), metrics.drawdowns(report.buy_and_hold_curve)
    where = thin_extremes([own, hold], MAX_POINTS)
    times = _to_dates(report.curve.times[where])
    axes.fill_between(times, own[where] * -100, color=FALL, alpha=0.15, linewidth=0)
    axes.plot(times, hold[where] * -100, color=HOLD, linewidth=1, ls="--")
    axes.plot(times, own[where] * -100, color=FALL, linewidth=1.2)
    axes.yaxis.set_major_formatter("{x:.0f}%")
    axes.set_title("drawdown", loc="left", fontsize=9, color=MUTED, pad=2)


def _escape(text: str) -> str:
    return text.replace("$", r"\$")  # Matplotlib reads $…$ as a formula


def _to_dates(times: Floats) -> NDArray[np.datetime64]:
    return (times * 1e6).astype("datetime64[us]")
