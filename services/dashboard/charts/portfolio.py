"""Charts of the portfolio: net worth over time, and allocation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from services.api_client import Json
from services.dashboard.charts.style import (
    HOVER_TEXT,
    PRICE_COLOR,
    SMALL_HEIGHT,
    set_currency_axis,
    set_layout,
)
from services.dashboard.formatting import Formatter
from services.dashboard.text import escape_html


def draw_net_worth(formatter: Formatter, history: Sequence[Json]) -> go.Figure:
    """Return the net worth of sixty days; with hidden amounts, its change since the first day."""
    key = f"net_worth_{formatter.currency.lower()}"
    known = [day for day in history if day[key] is not None]
    values = [float(day[key]) for day in known]
    figure = go.Figure()
    if formatter.hide_amounts:
        # Days before the first purchase have a net worth of 0.
        first = next((value for value in values if value), None)
        values = [value / first - 1 if first else value for value in values]
        texts = [formatter.percent(value) for value in values]
        figure.update_yaxes(tickformat="+.1%")
    else:
        texts = [formatter.own_amount(str(value), formatter.currency) for value in values]
        set_currency_axis(figure, formatter)
    figure.add_scatter(
        x=[formatter.axis_time(day["valued_at"]) for day in known],
        y=values,
        name="net worth",
        mode="lines+markers",
        line={"color": PRICE_COLOR},
        marker={"size": 4},
        text=texts,
        hovertemplate=HOVER_TEXT,
    )
    return set_layout(figure, SMALL_HEIGHT)


def draw_allocation(holdings: Sequence[Json], names: Mapping[str, str]) -> go.Figure:
    """Return the share of each holding in the net worth."""
    shown = [holding for holding in holdings if holding["share"]]
    figure = go.Figure(
        go.Pie(
            labels=[escape_html(names[holding["coin_id"]]) for holding in shown],
            values=[holding["share"] for holding in shown],
            hole=0.6,
            textinfo="label+percent",
            hoverinfo="label+percent",
            sort=False,  # the API lists the most valuable holding first
        )
    )
    figure.update_layout(showlegend=False)
    return set_layout(figure, SMALL_HEIGHT)
