"""The pictures, as Plotly figures. Pure: answers of the API in, figures out."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import plotly.graph_objects as go

from services.dashboard.formatting import Formatter
from services.dashboard.text import label, read_time

Json = Mapping[str, Any]
PRICE, BACKFILLED, FIT = "#2a78d6", "#9a6dd7", "#e08a00"
PANIC, REVERSAL, GAP = "#d64545", "#1f9d63", "rgba(128,128,128,0.18)"
BAND = "rgba(224,138,0,0.22)"
MARK = "rgba(128,128,128,0.8)"
HEIGHT = 380
FIT_WINDOW = timedelta(minutes=60)  # that the API's forecasts are fitted to
FIT_POINTS = 15
HOVER = "%{text}"
LONGEST_STRETCH = 2.5  # steps; points further apart are not joined by a line


def price_history(
    viewer: Formatter,
    points: Sequence[Json],
    step: timedelta,
    forecast: Json | None,
    recent: Sequence[Json],
    alerts: Sequence[Json],
    gaps: Sequence[Json],
    watch: Json | None,
) -> go.Figure:
    """A coin's price with what is known of it: the forecast's fit and band, marks, alerts, gaps.

    `recent` are single observations of the last hours, which the fit is drawn through.
    """
    figure = go.Figure()
    _add_gaps(figure, viewer, gaps)
    _add_prices(figure, viewer, points, step)
    if watch:
        _add_marks(figure, viewer, watch)
    _add_alerts(figure, viewer, alerts, points)
    if forecast:
        _add_forecast(figure, viewer, forecast, recent)
    return _dressed(figure, viewer)


def _add_prices(
    figure: go.Figure, viewer: Formatter, points: Sequence[Json], step: timedelta
) -> None:
    times: list[datetime | None] = []
    prices: list[float | None] = []
    told: list[str] = []
    before: datetime | None = None
    for point in points:
        at = viewer.local(point["observed_at"])
        if before is not None and step and at - before > LONGEST_STRETCH * step:
            times.append(before + (at - before) / 2)
            prices.append(None)  # a hole stays a hole
            told.append("")
        times.append(at)
        prices.append(viewer.convert(point["price_usd"]))
        told.append(viewer.price(point["price_usd"]))
        before = at
    figure.add_scatter(
        x=times,
        y=prices,
        name="price",
        mode="lines",
        line={"color": PRICE, "width": 1.6},
        text=told,
        hovertemplate=HOVER,
    )
    filled = [point for point in points if point["backfilled"]]
    if filled:
        figure.add_scatter(
            x=[viewer.local(point["observed_at"]) for point in filled],
            y=[viewer.convert(point["price_usd"]) for point in filled],
            name="backfilled",
            mode="markers",
            marker={"color": BACKFILLED, "size": 5, "symbol": "circle-open"},
            hoverinfo="skip",
        )


def _add_gaps(figure: go.Figure, viewer: Formatter, gaps: Sequence[Json]) -> None:
    for gap in gaps:
        figure.add_vrect(
            x0=viewer.local(gap["start"]),
            x1=viewer.local(gap["stop"]),
            fillcolor=GAP,
            line_width=0,
            layer="below",
            name="gap",
            showlegend=gap is gaps[0],
        )


def _add_marks(figure: go.Figure, viewer: Formatter, watch: Json) -> None:
    for kind, words in (("high", "high-water mark"), ("low", "low-water mark")):
        if watch[f"{kind}_usd"] is not None:
            figure.add_hline(
                y=viewer.convert(watch[f"{kind}_usd"]),
                line={"color": MARK, "width": 1, "dash": "dot"},
                annotation={"text": words, "font": {"size": 11}},
                annotation_position="top left" if kind == "high" else "bottom left",
            )


def _add_alerts(
    figure: go.Figure, viewer: Formatter, alerts: Sequence[Json], points: Sequence[Json]
) -> None:
    since = read_time(points[0]["observed_at"]) if points else datetime.max.replace(tzinfo=UTC)
    for kind, colour, symbol in (
        ("panic", PANIC, "triangle-down"),
        ("reversal", REVERSAL, "triangle-up"),
    ):
        shown = [a for a in alerts if a["kind"] == kind and read_time(a["observed_at"]) >= since]
        if shown:
            figure.add_scatter(
                x=[viewer.local(alert["observed_at"]) for alert in shown],
                y=[viewer.convert(alert["price_usd"]) for alert in shown],
                name=kind,
                mode="markers",
                marker={"color": colour, "size": 11, "symbol": symbol},
                text=[viewer.percent(alert["move"]) for alert in shown],
                hovertemplate="%{text}<br>%{x}",
            )


def _add_forecast(
    figure: go.Figure, viewer: Formatter, forecast: Json, recent: Sequence[Json]
) -> None:
    made, due = viewer.local(forecast["made_at"]), viewer.local(forecast["due_at"])
    fitted = fit_line(forecast, recent)
    if fitted:
        figure.add_scatter(
            x=[viewer.local(at.isoformat()) for at, _ in fitted],
            y=[viewer.convert(price) for _, price in fitted],
            name="fit of the last 60 minutes",
            mode="lines",
            line={"color": FIT, "width": 1.5, "dash": "dash"},
            text=[viewer.price(price) for _, price in fitted],
            hovertemplate=HOVER,
        )
    if forecast["low_usd"] is not None:
        at_start, low, high = (
            viewer.convert(forecast[key]) for key in ("price_usd", "low_usd", "high_usd")
        )
        figure.add_scatter(
            x=[made, due, due],
            y=[at_start, high, low],
            name=f"next 10 minutes, {forecast['coverage']:.0%} band",
            mode="lines",
            fill="toself",
            fillcolor=BAND,
            line={"width": 0},
            text=[viewer.price(forecast[key]) for key in ("price_usd", "high_usd", "low_usd")],
            hovertemplate=HOVER,
        )
    figure.add_scatter(
        x=[made, due],
        y=[viewer.convert(forecast["price_usd"]), viewer.convert(forecast["predicted_usd"])],
        name="forecast",
        mode="lines",
        line={"color": FIT, "width": 2.5},
        text=[viewer.price(forecast[key]) for key in ("price_usd", "predicted_usd")],
        hovertemplate=HOVER,
    )


def fit_line(forecast: Json, recent: Sequence[Json]) -> list[tuple[datetime, float]]:
    """The straight line (in the price's logarithm) that a forecast rests on, over its hour.

    The API gives the slope; least squares run through the middle of the points, which gives the
    level. Empty where no observation of the hour is at hand.
    """
    made = read_time(forecast["made_at"])
    hour = [
        ((at - made) / timedelta(minutes=1), math.log(point["price_usd"]))
        for point in recent
        if (at := read_time(point["observed_at"])) > made - FIT_WINDOW and at <= made
        if not point["backfilled"] and point["price_usd"] > 0
    ]
    if not hour:
        return []
    slope = forecast["slope_per_minute"]
    level = sum(price - slope * minute for minute, price in hour) / len(hour)
    first = -(FIT_WINDOW / timedelta(minutes=1))
    minutes = [first * (1 - n / (FIT_POINTS - 1)) for n in range(FIT_POINTS)]
    return [(made + timedelta(minutes=m), math.exp(level + slope * m)) for m in minutes]


def paper_money(viewer: Formatter, curve: Sequence[Json], trades: Sequence[Json]) -> go.Figure:
    """A wallet's worth over time beside that of holding, its trades marked."""
    figure = go.Figure()
    times = [viewer.local(point["valued_at"]) for point in curve]
    moments = [read_time(point["valued_at"]) for point in curve]

    def worth_at(at: str) -> float:
        """What the wallet was worth at the last point until then."""
        place = max(0, bisect.bisect_right(moments, read_time(at)) - 1)
        return float(curve[place]["value_usd"])

    for key, name, colour in (
        ("buy_and_hold_usd", "buy and hold", MARK),
        ("value_usd", "wallet", PRICE),
    ):
        figure.add_scatter(
            x=times,
            y=[viewer.convert(point[key]) for point in curve],
            name=name,
            mode="lines",
            line={"color": colour, "width": 1.6},
            text=[viewer.price(point[key]) for point in curve],
            hovertemplate=HOVER,
        )
    for side, colour, symbol in (
        ("buy", REVERSAL, "triangle-up"),
        ("sell", PANIC, "triangle-down"),
    ):
        made = [trade for trade in trades if trade["side"] == side]
        if made:
            figure.add_scatter(
                x=[viewer.local(trade["traded_at"]) for trade in made],
                y=[viewer.convert(worth_at(trade["traded_at"])) for trade in made],
                name=side,
                mode="markers",
                marker={"color": colour, "size": 9, "symbol": symbol},
                text=[
                    f"{side} {label(trade['coin_id'])} at {viewer.price(float(trade['price_usd']))}"
                    for trade in made
                ],
                hovertemplate=HOVER,
            )
    return _dressed(figure, viewer)


def net_worth(viewer: Formatter, history: Sequence[Json]) -> go.Figure:
    """The net worth of sixty days in the viewer's currency; for the discreet, as a change since the
    first day."""
    key = f"net_worth_{viewer.shown_currency.lower()}"
    known = [
        (viewer.local(day["valued_at"]), float(day[key])) for day in history if day[key] is not None
    ]
    figure = go.Figure()
    first = next((worth for _, worth in known if worth), None)
    values = [worth / first - 1 if viewer.hide_amounts and first else worth for _, worth in known]
    told = [
        viewer.percent(value)
        if viewer.hide_amounts
        else viewer.own(str(value), viewer.shown_currency)
        for value in values
    ]
    figure.add_scatter(
        x=[at for at, _ in known],
        y=values,
        name="net worth",
        mode="lines+markers",
        line={"color": PRICE},
        marker={"size": 4},
        text=told,
        hovertemplate=HOVER,
    )
    if viewer.hide_amounts:
        figure.update_yaxes(tickformat="+.1%")
        return _plain(figure, 280)
    return _plain(_in_currency(figure, viewer), 280)


def allocation(holdings: Sequence[Json], called: Mapping[str, str]) -> go.Figure:
    """What part of the net worth each holding is."""
    shown = [holding for holding in holdings if holding["share"]]
    figure = go.Figure(
        go.Pie(
            labels=[label(called[holding["coin_id"]]) for holding in shown],
            values=[holding["share"] for holding in shown],
            hole=0.6,
            textinfo="label+percent",
            hoverinfo="label+percent",
            sort=False,
        )
    )
    figure.update_layout(showlegend=False)
    return _plain(figure, 280)


def _dressed(figure: go.Figure, viewer: Formatter) -> go.Figure:
    figure.update_layout(
        legend={"orientation": "h", "y": -0.15, "x": 0},
        hovermode="x unified",
    )
    return _plain(_in_currency(figure, viewer), HEIGHT)


def _in_currency(figure: go.Figure, viewer: Formatter) -> go.Figure:
    """Whole numbers on the axis, written as in the currency's country: Plotly's own abbreviations
    are English, where M is a million and not a miliar."""
    is_idr = viewer.shown_currency == "IDR"
    figure.update_yaxes(
        tickprefix="Rp" if is_idr else "$", separatethousands=True, exponentformat="none"
    )
    figure.update_layout(separators=",." if is_idr else ".,")
    return figure


def _plain(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        # What a viewer has zoomed into stays so when the picture is drawn anew.
        uirevision="kept",
    )
    return figure
