"""The chart of all pages: lines, candles, volume, gaps, bands, levels and marks over time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import streamlit as st

from services.dashboard.formatting import Formatter
from services.dashboard.language import current_language, tr
from services.dashboard.server.static_files import make_loader

# Names of colors in chart.css.
Color = Literal[
    "price",
    "second",
    "third",
    "fourth",
    "rise",
    "fall",
    "forecast",
    "backfilled",
    "volume",
    "muted",
    "gap",
    "band",
]
Unit = Literal["USD", "IDR", "percent"]

_mount = st.components.v2.component("sentinel_chart", js=make_loader("chart"), isolate_styles=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a chart, its candles, or bars or an area at its foot. None interrupts a line."""

    name: str
    kind: Literal["line", "area", "dashes", "steps", "candles", "bars", "volume"] = "line"
    color: Color = "price"
    # Seconds since 1970, ascending.
    times: Sequence[int]
    # Of candles: the close.
    values: Sequence[float | None]
    open: Sequence[float | None] = ()
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    # Length of a candle in seconds.
    step: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time: a gap, or backfilled prices. Seconds since 1970."""

    # Seconds since 1970.
    start: int
    stop: int
    kind: Literal["gap", "backfilled"]


@dataclass(frozen=True, slots=True)
class Band:
    """The area between two lines, such as the interval of a forecast."""

    times: Sequence[int]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line with a text, such as a price target."""

    value: float
    text: str
    color: Color = "muted"


@dataclass(frozen=True, slots=True)
class Mark:
    """An event at a time and a value, such as an alert or a purchase; the tooltip names it."""

    at: int
    value: float
    text: str
    shape: Literal["up", "down", "square"]
    color: Color


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """An entry of the legend beside the series, such as a kind of mark."""

    name: str
    color: Color
    kind: Literal["gap", "backfilled", "band", "up", "down", "square", "dashes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart over time."""

    # What screen readers say instead of it.
    label: str
    series: Sequence[Series]
    unit: Unit
    # The ends of the time axis in seconds since 1970; None: of the data.
    start: int | None = None
    stop: int | None = None
    spans: Sequence[Span] = ()
    bands: Sequence[Band] = ()
    levels: Sequence[Level] = ()
    marks: Sequence[Mark] = ()
    legend: Sequence[LegendEntry] = ()
    is_log: bool = False
    # The value axis covers at least this share of the values.
    floor: float = 0.0
    # Whether the highest and the lowest value of the first series are written beside it.
    has_extremes: bool = False
    # What the chart shows, such as the coin and the period: with another one the zoom ends.
    view: str = ""
    # Pixels; narrow windows get less.
    height: int = 380


def show_chart(key: str, chart: Chart, formatter: Formatter) -> None:
    """Show a chart. A zoom stays until the chart's view, or the kind of its series, changes."""
    _mount(key=key, data=describe_chart(chart, formatter))


def describe_chart(chart: Chart, formatter: Formatter) -> dict[str, Any]:
    """Return a chart as the browser's script reads it."""
    return {
        "view": chart.view,
        "label": chart.label,
        "unit": chart.unit,
        "language": current_language(),
        "zone": formatter.zone.key,
        "log": chart.is_log,
        "floor": chart.floor,
        "extremes": chart.has_extremes,
        "height": chart.height,
        "from": chart.start,
        "to": chart.stop,
        "series": [_describe_series(series) for series in chart.series],
        "spans": [{"from": s.start, "to": s.stop, "kind": s.kind} for s in chart.spans],
        "bands": [dataclasses.asdict(band) for band in chart.bands],
        "levels": [dataclasses.asdict(level) for level in chart.levels],
        "marks": [dataclasses.asdict(mark) for mark in chart.marks],
        "legend": [dataclasses.asdict(entry) for entry in chart.legend],
        "labels": {
            "reset": tr("Whole range"),
            "none": tr("No prices in this period."),
            "gap": tr("gap"),
            "open": tr("open"),
            "high": tr("high"),
            "low": tr("low"),
            "close": tr("close"),
        },
    }


def _describe_series(series: Series) -> dict[str, Any]:
    """Return a series; a value that is no finite number, which JSON cannot hold, becomes None."""
    columns = {name: getattr(series, name) for name in ("values", "open", "low", "high")}
    finite = {
        name: [value if value is not None and math.isfinite(value) else None for value in column]
        for name, column in columns.items()
    }
    return {
        "name": series.name,
        "kind": series.kind,
        "color": series.color,
        "times": list(series.times),
        "step": series.step,
        **finite,
    }


def to_seconds(time: str) -> int:
    """Return a time of the API in seconds since 1970."""
    return int(datetime.fromisoformat(time).timestamp())
