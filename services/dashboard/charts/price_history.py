"""The price chart of a coin: prices, gaps, marks and alerts, with the forecast on top."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import plotly.graph_objects as go

from services.api_client import Json
from services.dashboard.charts.forecast import add_forecast
from services.dashboard.charts.style import (
    BACKFILLED_COLOR,
    FALL_COLOR,
    GAP_COLOR,
    HOVER_TEXT,
    PRICE_COLOR,
    REFERENCE_COLOR,
    RISE_COLOR,
    set_price_layout,
)
from services.dashboard.formatting import Formatter

# Points further apart than this many steps are not joined by a line: a gap stays visible.
MAX_JOINED_STEPS = 2.5


def draw_price_history(
    formatter: Formatter,
    *,
    points: Sequence[Json],
    step: timedelta,
    forecast: Json | None = None,
    recent: Sequence[Json] = (),
    alerts: Sequence[Json] = (),
    gaps: Sequence[Json] = (),
    watch: Json | None = None,
) -> go.Figure:
    """Return a coin's price chart, from the lists that the API returns.

    `step` is the usual time between two points, `watch` the coin's alert tracker. The forecast's
    line is fitted to `recent`, the single observations of the last hours.
    """
    figure = go.Figure()
    _add_gaps(figure, formatter, gaps)
    _add_prices(figure, formatter, points, step)
    _add_backfilled(figure, formatter, points)
    if watch:
        _add_marks(figure, formatter, watch)
    _add_alerts(figure, formatter, alerts, points)
    if forecast:
        add_forecast(figure, formatter, forecast, recent)
    return set_price_layout(figure, formatter)


def _add_prices(
    figure: go.Figure, formatter: Formatter, points: Sequence[Json], step: timedelta
) -> None:
    times: list[datetime] = []
    prices: list[float | None] = []
    texts: list[str] = []
    for point in points:
        time = formatter.axis_time(point["observed_at"])
        if times and step and time - times[-1] > MAX_JOINED_STEPS * step:
            # A point without a price interrupts the line.
            times.append(times[-1] + (time - times[-1]) / 2)
            prices.append(None)
            texts.append("")
        times.append(time)
        prices.append(formatter.convert_usd(point["price_usd"]))
        texts.append(formatter.price(point["price_usd"]))
    figure.add_scatter(
        x=times,
        y=prices,
        name="price",
        # The legend explains the marks, in as few lines as a phone has room for.
        showlegend=False,
        mode="lines",
        line={"color": PRICE_COLOR, "width": 1.6},
        text=texts,
        hovertemplate=HOVER_TEXT,
    )


def _add_backfilled(figure: go.Figure, formatter: Formatter, points: Sequence[Json]) -> None:
    backfilled = [point for point in points if point["backfilled"]]
    if backfilled:
        figure.add_scatter(
            x=[formatter.axis_time(point["observed_at"]) for point in backfilled],
            y=[formatter.convert_usd(point["price_usd"]) for point in backfilled],
            name="backfilled",
            mode="markers",
            marker={"color": BACKFILLED_COLOR, "size": 5, "symbol": "circle-open"},
            hoverinfo="skip",
        )


def _add_gaps(figure: go.Figure, formatter: Formatter, gaps: Sequence[Json]) -> None:
    for gap in gaps:
        figure.add_vrect(
            x0=formatter.axis_time(gap["start"]),
            x1=formatter.axis_time(gap["stop"]),
            fillcolor=GAP_COLOR,
            line_width=0,
            layer="below",
            name="gap",
            showlegend=gap is gaps[0],  # one legend entry for all gaps
        )


def _add_marks(figure: go.Figure, formatter: Formatter, watch: Json) -> None:
    """Draw the high-water and low-water mark. On a phone a longer label would lie on the price."""
    for name in ("high", "low"):
        mark_usd = watch[f"{name}_usd"]
        if mark_usd is not None:
            figure.add_hline(
                y=formatter.convert_usd(mark_usd),
                line={"color": REFERENCE_COLOR, "width": 1, "dash": "dot"},
                annotation={"text": name, "font": {"size": 11}},
                # At the newest price, which is between the marks: the text is beside the line.
                annotation_position="top right" if name == "high" else "bottom right",
            )


def _add_alerts(
    figure: go.Figure, formatter: Formatter, alerts: Sequence[Json], points: Sequence[Json]
) -> None:
    """Mark the alerts within the time span of the chart."""
    since = (
        datetime.fromisoformat(points[0]["observed_at"])
        if points
        else datetime.max.replace(tzinfo=UTC)
    )
    for kind, color, symbol in (
        ("panic", FALL_COLOR, "triangle-down"),
        ("reversal", RISE_COLOR, "triangle-up"),
    ):
        shown = [
            alert
            for alert in alerts
            if alert["kind"] == kind and datetime.fromisoformat(alert["observed_at"]) >= since
        ]
        if shown:
            figure.add_scatter(
                x=[formatter.axis_time(alert["observed_at"]) for alert in shown],
                y=[formatter.convert_usd(alert["price_usd"]) for alert in shown],
                name=kind,
                mode="markers",
                marker={"color": color, "size": 11, "symbol": symbol},
                text=[formatter.percent(alert["move"]) for alert in shown],
                hovertemplate=f"{HOVER_TEXT}<br>%{{x}}",
            )
