"""A sweep as an HTML page and as a PNG image: heat maps, and training against unseen days."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sentinel.backtesting import html_page, sweep_report
from sentinel.backtesting.backtest_report import format_day
from sentinel.backtesting.walk_forward import CandidateResult, SweepResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_ROWS = 200  # of the table
MAX_DOTS = 2_000
PERIODS = {"in training": "training_returns", "on unseen days": "test_returns"}
WIDTH, HEIGHT, MARGIN = 640, 360, 74  # of the scatter plot, in its own units
FALL, HOLD = "#b9302a", "#4d5a68"


def write_html(result: SweepResult, path: Path) -> None:
    """Write the page. Raises OSError, ModuleNotFoundError without Jinja2."""
    page = html_page.render(
        "sweep.html",
        result=result,
        fold=result.folds[-1],
        sentence=sweep_report.describe_unseen(result),
        heat_map=sweep_report.build_heat_map(result),
        periods=PERIODS,
        largest=_largest(result),
        scatter=_place_dots(result),
        shown=result.table[:MAX_ROWS],
        format_value=sweep_report.format_value,
        format_day=format_day,
    )
    path.write_text(page, encoding="utf-8")


def write_png(result: SweepResult, path: Path) -> None:
    """Write the image. Raises OSError, ModuleNotFoundError without Matplotlib."""
    from matplotlib.figure import Figure

    image = Figure(figsize=(12, 4.6), layout="constrained")
    image.suptitle(sweep_report.describe_unseen(result), x=0.01, ha="left", weight="bold")
    *maps, scatter = image.subplots(1, 3)
    for axes, (title, name) in zip(maps, PERIODS.items(), strict=True):
        axes.set_title(title, loc="left", fontsize=10)
        _draw_map(axes, result, name)
    scatter.set_title("all candidates", loc="left", fontsize=10)
    x, y = _columns(result.table)
    scatter.plot(x * 100, y * 100, "o", markersize=3.5, color=HOLD, alpha=0.5)
    fold = result.folds[-1]
    scatter.plot(
        fold.training_return * 100, fold.test_return * 100, "D", color=FALL, label="winner"
    )
    hold = fold.buy_and_hold_return * 100
    scatter.axhline(hold, color=HOLD, ls="--", linewidth=0.9, label="buy and hold")
    scatter.set(xlabel="return in training, %", ylabel="return on unseen days, %")
    scatter.legend(frameon=False, fontsize=8)
    scatter.grid(alpha=0.3)
    image.savefig(path, format="png", dpi=120)


def _draw_map(axes: Axes, result: SweepResult, name: str) -> None:
    found, most = sweep_report.build_heat_map(result), _largest(result) * 100
    if found is None:
        axes.set_axis_off()
        return
    values = np.full((len(found.rows), len(found.columns)), np.nan)
    for row, down in enumerate(found.rows):
        for column, across in enumerate(found.columns):
            if one := found.cells.get((across, down)):
                values[row, column] = getattr(one, name)[-1] * 100
    axes.imshow(values, cmap="RdYlGn", vmin=-most, vmax=most, aspect="auto")
    columns = [sweep_report.format_value(value) for value in found.columns]
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.set_yticks(range(len(found.rows)), map(sweep_report.format_value, found.rows), fontsize=8)
    axes.set(xlabel=found.across, ylabel=found.down or "")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value) and values.size <= MAX_ROWS:
            axes.text(column, row, f"{value:+.0f}", ha="center", va="center", fontsize=7)


def _columns(table: Any) -> tuple[Any, Any]:
    """Return the candidates' returns in the last training and in the test block after it."""
    return (
        np.array([one.training_returns[-1] for one in table]),
        np.array([one.test_returns[-1] for one in table]),
    )


def _largest(result: SweepResult) -> float:
    """Return the largest return or loss of the heat map's cells, above 0."""
    found = sweep_report.build_heat_map(result)
    cells: list[CandidateResult] = list(found.cells.values()) if found else []
    returns = [getattr(one, name)[-1] for one in cells for name in PERIODS.values()]
    return max(map(abs, returns), default=0.0) or 1.0


def _place_dots(result: SweepResult) -> dict[str, Any]:
    """Return the places of the candidates, the winner and the axes in the scatter plot."""
    step = -(-len(result.table) // MAX_DOTS)
    x, y = _columns(result.table[::step])
    fold = result.folds[-1]
    ends_x = _pad([*x.tolist(), fold.training_return, 0.0])
    ends_y = _pad([*y.tolist(), fold.test_return, fold.buy_and_hold_return, 0.0])

    def across(value: float) -> float:
        return round(MARGIN + (value - ends_x[0]) / (ends_x[1] - ends_x[0]) * (WIDTH - MARGIN), 1)

    def up(value: float) -> float:
        part = (value - ends_y[0]) / (ends_y[1] - ends_y[0])
        return round((HEIGHT - MARGIN) * (1 - part) + 6, 1)

    return {
        "size": (WIDTH, HEIGHT, MARGIN),
        "dots": [(across(a), up(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)],
        "winner": (across(fold.training_return), up(fold.test_return)),
        "hold": up(fold.buy_and_hold_return),
        "zero": (across(0.0), up(0.0)),
        "labels_x": [(across(value), value) for value in np.linspace(*ends_x, 5)[1:-1].tolist()],
        "labels_y": [(up(value), value) for value in np.linspace(*ends_y, 5)[1:-1].tolist()],
    }


def _pad(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low or 0.01) * 0.08
    return low - room, high + room
