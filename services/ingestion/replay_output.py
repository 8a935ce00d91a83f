"""Show a replay: the JSON object, a table on the terminal, and an HTML page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentinel import console
from sentinel.analytics.calibration import Calibration, Series
from sentinel.analytics.crossings import Alert
from sentinel.errors import ConfigurationError
from services.ingestion import replay_scores
from services.ingestion.replay_scores import Comparison

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN_ALERTS = 200
# Pixels, of the page.
COIN_HEIGHT, TABLE_ROW_HEIGHT, SPACE, TITLE_HEIGHT = 220, 22, 60, 100
PRICE_COLOR = "#2a78d6"
SYMBOLS = {"panic": ("triangle-down", "#c0392b"), "reversal": ("triangle-up", "#1e8449")}


@dataclasses.dataclass(frozen=True, slots=True)
class ReplayResult:
    """The alerts that histories would have raised."""

    # By coin.
    alerts: Mapping[str, list[Alert]]
    # The multipliers that they were found with, and the rate on the histories that these were
    # calibrated on.
    calibration: Calibration
    # Alerts per coin and week. None: the histories have no length.
    actual_rate: float | None
    # The rate that was asked for. None: the multiplier was given.
    target_rate: float | None
    comparison: Comparison


def as_json(result: ReplayResult) -> dict[str, Any]:
    """Return the object that `--json` prints. Scripts rely on its keys."""
    alerts = [
        {
            "coin_id": coin_id,
            "kind": alert.kind,
            "at": alert.observed_at.isoformat(),
            "price": alert.price_usd,
            "reference": alert.reference_usd,
            "move": alert.move,
            "threshold": alert.threshold,
            "step": alert.level,
        }
        for coin_id, alert in _sorted_alerts(result)
    ]
    return {
        "alerts": alerts,
        "per_coin_week": result.actual_rate,
        "k": result.calibration.median_multiplier,
        "k_by_coin": dict(result.calibration.multipliers),
        "wished_per_coin_week": result.target_rate,
        "fitted_per_coin_week": result.calibration.actual_rate,
        **replay_scores.as_json(result.comparison),
    }


def show(result: ReplayResult) -> None:
    """Print the alerts, and what they announced, as tables."""
    cells = [
        (
            f"{alert.observed_at:%Y-%m-%d %H:%M}",
            coin_id,
            alert.kind,
            alert.level,
            f"{alert.move:+.1%}",
            f"{alert.threshold:.1%}",
            console.format_number(alert.price_usd),
        )
        for coin_id, alert in _sorted_alerts(result)
    ]
    columns = ("time (UTC)", "coin", "kind", "level", "move", "threshold", "USD")
    title = f"{len(cells)} alerts"
    if len(cells) > SHOWN_ALERTS:
        title += f", the last {SHOWN_ALERTS} of them"
    console.show_table(title, columns, cells[-SHOWN_ALERTS:])
    rows = replay_scores.list_rows(result.comparison)
    console.show_table(replay_scores.TITLE, replay_scores.COLUMNS, rows)


def _sorted_alerts(result: ReplayResult) -> list[tuple[str, Alert]]:
    alerts = [(coin_id, alert) for coin_id, own in result.alerts.items() for alert in own]
    return sorted(alerts, key=lambda pair: (pair[1].at, pair[0]))


def summarize(result: ReplayResult) -> str:
    """Return the alert rate, the multiplier and the falls caught in two lines."""
    rate = "unknown" if result.actual_rate is None else f"{result.actual_rate:.2f}"
    text = f"{rate} alerts per coin and week over {len(result.alerts)} coins"
    if result.target_rate is not None:
        text += f" (target {result.target_rate:g})"
    text += f"; median threshold multiplier {result.calibration.median_multiplier:.2f}"
    return f"{text}\n{replay_scores.describe(result.comparison)}"


def write_page(result: ReplayResult, histories: Mapping[str, Series], path: Path) -> None:
    """Write the score, and each coin's prices and alerts, as one HTML page.

    Raises ConfigurationError if the file cannot be written.
    """
    figure = _make_plots(list(histories))
    _add_scores(figure, result.comparison)
    for row, (coin_id, series) in enumerate(histories.items(), start=2):
        _draw_coin(figure, row, series, result.alerts[coin_id])
    figure.update_layout(title=summarize(result).replace("\n", "<br>"), showlegend=False)
    try:
        figure.write_html(path, include_plotlyjs=True)
    except OSError as error:
        raise ConfigurationError(
            f"--plot {path} cannot be written ({error.strerror}): name another file"
        ) from error


def _make_plots(coin_ids: Sequence[str]) -> go.Figure:
    """Return an empty table, and below it an empty plot for each coin."""
    from plotly.subplots import make_subplots

    # The table has a header and the total besides the coins.
    heights = [(len(coin_ids) + 3) * TABLE_ROW_HEIGHT, *[COIN_HEIGHT] * len(coin_ids)]
    height = sum(heights) + SPACE * len(coin_ids)
    figure = make_subplots(
        rows=len(heights),
        row_heights=heights,
        vertical_spacing=SPACE / height,
        specs=[[{"type": "table"}], *[[{"type": "xy"}]] * len(coin_ids)],
        subplot_titles=["", *coin_ids],
    )
    margin = {"t": TITLE_HEIGHT, "b": SPACE}
    return figure.update_layout(height=height + TITLE_HEIGHT + SPACE, margin=margin)


def _add_scores(figure: go.Figure, comparison: Comparison) -> None:
    """Fill the table. Its first column is wide: Plotly cuts a coin's id that does not fit."""
    cells = list(zip(*replay_scores.list_rows(comparison), strict=True))
    figure.add_table(
        header={"values": replay_scores.COLUMNS},
        cells={"values": cells},
        columnwidth=[3, *[1] * (len(replay_scores.COLUMNS) - 1)],
        row=1,
        col=1,
    )


def _draw_coin(figure: go.Figure, row: int, series: Series, alerts: Sequence[Alert]) -> None:
    """Draw a coin's price and its alerts."""
    figure.add_scatter(
        x=[datetime.fromtimestamp(at, UTC) for at, _ in series],
        y=[price for _, price in series],
        name="USD",
        line={"width": 1, "color": PRICE_COLOR},
        row=row,
        col=1,
    )
    for kind, (symbol, color) in SYMBOLS.items():
        own = [alert for alert in alerts if alert.kind == kind]
        figure.add_scatter(
            x=[alert.observed_at for alert in own],
            y=[alert.price_usd for alert in own],
            text=[f"{alert.move:+.1%}, level {alert.level}" for alert in own],
            mode="markers",
            marker={"symbol": symbol, "color": color, "size": 9},
            name=kind,
            row=row,
            col=1,
        )
