"""Colors, sizes and axes that all charts share."""

from __future__ import annotations

import plotly.graph_objects as go

from services.dashboard.formatting import Formatter

PRICE_COLOR, BACKFILLED_COLOR, FORECAST_COLOR = "#2a78d6", "#9a6dd7", "#e08a00"
FALL_COLOR, RISE_COLOR = "#d64545", "#1f9d63"
GAP_COLOR = "rgba(128,128,128,0.18)"
INTERVAL_COLOR = "rgba(224,138,0,0.22)"
REFERENCE_COLOR = "rgba(128,128,128,0.8)"
# Pixels.
HEIGHT, SMALL_HEIGHT = 380, 280
# Shows the text of a point instead of Plotly's own number format.
HOVER_TEXT = "%{text}"


def set_price_layout(figure: go.Figure, formatter: Formatter) -> go.Figure:
    """Lay out a price chart: legend below, one tooltip for all lines, axis in the currency."""
    figure.update_layout(legend={"orientation": "h", "y": -0.15, "x": 0}, hovermode="x unified")
    return set_layout(set_currency_axis(figure, formatter), HEIGHT)


def set_currency_axis(figure: go.Figure, formatter: Formatter) -> go.Figure:
    """Write the axis in full numbers of the viewer's currency.

    Plotly's abbreviations are English: its M is a million, while an Indonesian M is a miliar, a
    thousand times as much.
    """
    is_idr = formatter.currency == "IDR"
    figure.update_yaxes(
        tickprefix="Rp" if is_idr else "$", separatethousands=True, exponentformat="none"
    )
    figure.update_layout(separators=",." if is_idr else ".,")
    return figure


def set_layout(figure: go.Figure, height: int) -> go.Figure:
    """Set height and margins, and keep the viewer's zoom when the chart refreshes."""
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        # A constant revision tells Plotly to keep the state of the chart before.
        uirevision="kept",
    )
    return figure
