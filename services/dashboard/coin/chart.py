"""The chart of a coin from the API's response: prices, gaps, alerts, targets, own transactions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from services.api_client import Json
from services.dashboard.coin.controls import CoinView
from services.dashboard.coin.history import (
    MAX_JOINED_STEPS,
    HistoryPoints,
    arrange_points,
    find_backfilled,
    find_gaps,
)
from services.dashboard.coin.marks import (
    build_levels,
    list_legend,
    mark_alerts,
    mark_transactions,
)
from services.dashboard.elements.chart import Band, Chart, Color, Series, to_seconds
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr

# The value axis covers at least this share: a calm hour must not look like a storm.
FLOOR = 0.004
HEIGHT = 400


class ComparedCoin(NamedTuple):
    """Another coin in the chart, and its history over the same period."""

    name: str
    points: Sequence[Json]
    step_seconds: float


def build_coin_chart(
    formatter: Formatter, page: Json, view: CoinView, compared: ComparedCoin | None = None
) -> Chart:
    """Return the chart of a coin. Beside another one, both are changes since the start."""
    history, name = page["history"], page["coin"]["name"]
    points = arrange_points(
        history["points"], history["step_seconds"], page["gaps"], as_candles=view.has_candles
    )
    convert = _rebase(points) if compared else formatter.convert_usd
    forecast = page["forecast"] if view.is_short and not compared else None
    start, stop = _find_ends(history, points, forecast)
    found = (*find_gaps(page["gaps"], points), *find_backfilled(points))
    spans = [span for span in found if span.start < stop and start < span.stop]
    series = [_build_prices(points, convert, name if compared else tr("Price"), view)]
    if compared:
        other = arrange_points(compared.points, compared.step_seconds)
        series.append(_build_prices(other, _rebase(other), compared.name, view, "second"))
    elif view.has_volume:
        series.append(_build_volume(points, formatter))
    if forecast:
        series.append(_build_forecast(forecast, convert))
    events = (
        *mark_alerts(formatter, page["alerts"], convert),
        *mark_transactions(formatter, page["transactions"], points, convert),
    )
    marks = [mark for mark in events if start <= mark.at <= stop]
    bands = _build_bands(forecast, convert)
    return Chart(
        label=tr("Price of {name}", name=name),
        series=series,
        unit="percent" if compared else formatter.currency,
        start=start,
        stop=stop,
        spans=spans,
        bands=bands,
        levels=list(build_levels(formatter, page["price_targets"], convert)),
        marks=marks,
        legend=list(list_legend(spans, bands, marks)),
        is_log=view.is_log and not compared,
        floor=FLOOR,
        has_extremes=not compared,
        view=f"{page['coin']['coin_id']} {view.period}",
        height=HEIGHT,
    )


# --- prices ----------------------------------------------------------------------------------


def _rebase(points: HistoryPoints) -> Callable[[float], float]:
    """Return what turns a price into its change since the first one, as a fraction."""
    first = next((point["price_usd"] for point in points.points if point), None)
    return lambda price: price / first - 1 if first else 0.0


def _build_prices(
    points: HistoryPoints,
    convert: Callable[[float], float],
    name: str,
    view: CoinView,
    color: Color = "price",
) -> Series:
    if view.has_candles and points.step:
        return Series(
            name=name,
            kind="candles",
            times=points.times,
            values=points.column("price_usd", convert),
            open=points.column("open_usd", convert),
            low=points.column("low_usd", convert),
            high=points.column("high_usd", convert),
            step=points.step,
        )
    values = points.column("price_usd", convert)
    return Series(name=name, color=color, times=points.times, values=values)


def _build_volume(points: HistoryPoints, formatter: Formatter) -> Series:
    return Series(
        name=tr("Volume, 24 h"),
        kind="volume",
        color="volume",
        times=points.times,
        values=points.column("volume_24h_usd", formatter.convert_usd),
    )


def _find_ends(history: Json, points: HistoryPoints, forecast: Json | None) -> tuple[int, int]:
    """Return the first and the last second of the time axis."""
    stop = to_seconds(forecast["due_at"]) if forecast else 0
    start = to_seconds(history["start"])
    # The archive begins with a whole day.
    if points.times and points.times[0] - start > MAX_JOINED_STEPS * max(points.step, 1):
        start = points.times[0] if history["start"] < history["points"][0]["observed_at"] else start
    return start, max(stop, to_seconds(history["end"]))


# --- the forecast ----------------------------------------------------------------------------


def _build_forecast(forecast: Json, convert: Callable[[float], float]) -> Series:
    return Series(
        name=tr("Next 10 min"),
        kind="dashes",
        color="forecast",
        times=[to_seconds(forecast[key]) for key in ("made_at", "due_at")],
        values=[convert(forecast[key]) for key in ("price_usd", "predicted_usd")],
    )


def _build_bands(forecast: Json | None, convert: Callable[[float], float]) -> list[Band]:
    """Return the interval as a triangle that opens from the price at the time of the forecast."""
    if forecast is None or forecast["low_usd"] is None:
        return []
    times = [to_seconds(forecast[key]) for key in ("made_at", "due_at")]
    low, high = (
        [convert(forecast["price_usd"]), convert(forecast[key])] for key in ("low_usd", "high_usd")
    )
    return [Band(times, low, high)]
