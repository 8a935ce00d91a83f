"""The forecast in a price chart: the fitted line, the interval and the predicted price."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import plotly.graph_objects as go

from services.api_client import Json
from services.dashboard.charts.style import FORECAST_COLOR, HOVER_TEXT, INTERVAL_COLOR
from services.dashboard.formatting import Formatter

MINUTE = timedelta(minutes=1)
# The API fits its forecasts to this time before they are made.
FIT_WINDOW = timedelta(minutes=60)
# Points of the drawn line; more would not look different.
FIT_POINTS = 15


def add_forecast(
    figure: go.Figure, formatter: Formatter, forecast: Json, recent: Sequence[Json]
) -> None:
    """Add the fit through the last hour, the interval and the forecast to a price chart."""
    _add_fit(figure, formatter, compute_fit_line(forecast, recent))
    if forecast["low_usd"] is not None:
        _add_interval(figure, formatter, forecast)
    figure.add_scatter(
        x=[formatter.axis_time(forecast[key]) for key in ("made_at", "due_at")],
        y=[formatter.convert_usd(forecast[key]) for key in ("price_usd", "predicted_usd")],
        name="forecast",
        mode="lines",
        line={"color": FORECAST_COLOR, "width": 2.5},
        text=[formatter.price(forecast[key]) for key in ("price_usd", "predicted_usd")],
        hovertemplate=HOVER_TEXT,
    )


def _add_fit(
    figure: go.Figure, formatter: Formatter, line: Sequence[tuple[datetime, float]]
) -> None:
    if line:
        figure.add_scatter(
            x=[formatter.axis_time(time.isoformat()) for time, _ in line],
            y=[formatter.convert_usd(price_usd) for _, price_usd in line],
            name="fit, last 60 minutes",
            showlegend=False,
            mode="lines",
            line={"color": FORECAST_COLOR, "width": 1.5, "dash": "dash"},
            text=[formatter.price(price_usd) for _, price_usd in line],
            hovertemplate=HOVER_TEXT,
        )


def _add_interval(figure: go.Figure, formatter: Formatter, forecast: Json) -> None:
    """Add the interval as a triangle that opens from the last price."""
    made, due = (formatter.axis_time(forecast[key]) for key in ("made_at", "due_at"))
    corners = ("price_usd", "high_usd", "low_usd")
    figure.add_scatter(
        x=[made, due, due],
        y=[formatter.convert_usd(forecast[key]) for key in corners],
        name=f"next 10 minutes, {forecast['coverage']:.0%} interval",
        showlegend=False,
        mode="lines",
        fill="toself",
        fillcolor=INTERVAL_COLOR,
        line={"width": 0},
        text=[formatter.price(forecast[key]) for key in corners],
        hovertemplate=HOVER_TEXT,
    )


def compute_fit_line(forecast: Json, recent: Sequence[Json]) -> list[tuple[datetime, float]]:
    """Return the line that a forecast rests on, straight in the price's logarithm, over its hour.

    The API returns the slope only. A least-squares line runs through the mean of its points, which
    gives the level. Empty if there is no observation in the hour.
    """
    made = datetime.fromisoformat(forecast["made_at"])
    points = [
        ((time - made) / MINUTE, math.log(point["price_usd"]))
        for point in recent
        if made - FIT_WINDOW < (time := datetime.fromisoformat(point["observed_at"])) <= made
        if not point["backfilled"] and point["price_usd"] > 0
    ]
    if not points:
        return []
    slope = forecast["slope_per_minute"]
    level = sum(log_price - slope * minute for minute, log_price in points) / len(points)
    first_minute = -(FIT_WINDOW / MINUTE)
    minutes = [first_minute * (1 - number / (FIT_POINTS - 1)) for number in range(FIT_POINTS)]
    return [(made + minute * MINUTE, math.exp(level + slope * minute)) for minute in minutes]
