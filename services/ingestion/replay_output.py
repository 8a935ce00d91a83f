"""Show a replay: the JSON object, a table on the terminal, and an HTML page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sentinel import console
from sentinel.analytics.calibration import Calibration, Series
from sentinel.analytics.crossings import Alert
from sentinel.errors import ConfigurationError

SHOWN_ALERTS = 200


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
    }


def show(result: ReplayResult) -> None:
    """Print the alerts as a table."""
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


def _sorted_alerts(result: ReplayResult) -> list[tuple[str, Alert]]:
    alerts = [(coin_id, alert) for coin_id, own in result.alerts.items() for alert in own]
    return sorted(alerts, key=lambda pair: (pair[1].at, pair[0]))


def summarize(result: ReplayResult) -> str:
    """Return the alert rate and the multiplier in one line."""
    rate = "unknown" if result.actual_rate is None else f"{result.actual_rate:.2f}"
    text = f"{rate} alerts per coin and week over {len(result.alerts)} coins"
    if result.target_rate is not None:
        text += f" (target {result.target_rate:g})"
    return f"{text}; median threshold multiplier {result.calibration.median_multiplier:.2f}"


def write_page(result: ReplayResult, histories: Mapping[str, Series], path: Path) -> None:
    """Write the prices with their alerts as one HTML page. Raises ConfigurationError."""
    import plotly.graph_objects as go

    symbols = {"panic": ("triangle-down", "#c0392b"), "reversal": ("triangle-up", "#1e8449")}
    figure = go.Figure()
    for coin_id, series in histories.items():
        first = series[0][1]
        figure.add_scatter(
            x=[datetime.fromtimestamp(at, UTC) for at, _ in series],
            y=[price / first * 100 for _, price in series],
            name=coin_id,
            line={"width": 1},
        )
        for kind, (symbol, color) in symbols.items():
            own = [alert for alert in result.alerts[coin_id] if alert.kind == kind]
            figure.add_scatter(
                x=[alert.observed_at for alert in own],
                y=[alert.price_usd / first * 100 for alert in own],
                text=[f"{coin_id}: {kind} {alert.move:+.1%}, level {alert.level}" for alert in own],
                mode="markers",
                marker={"symbol": symbol, "color": color, "size": 9},
                name=f"{coin_id} {kind}",
                showlegend=False,
            )
    figure.update_layout(title=summarize(result), yaxis_title="price, first = 100")
    try:
        figure.write_html(path, include_plotlyjs=True)
    except OSError as error:
        raise ConfigurationError(
            f"--plot {path} cannot be written ({error.strerror}): name another file"
        ) from error
