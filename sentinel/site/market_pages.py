"""Renders the market pages: the table of all coins, and a page for each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sentinel.site import pages
from sentinel.site.market import HOURS, Market, MarketCoin
from sentinel.site.market_rows import (
    HOUR,
    MIN_MOVE,
    SPARKLINE_HEIGHT,
    SPARKLINE_HOUR_WIDTH,
    TOP_COINS,
    MarketRow,
    find_movers,
    make_rows,
)
from sentinel.site.price_chart import HEIGHT, HOUR_WIDTH, PriceChart, make_chart

SCRIPT = "market.js"


def render_market(market: Market, shared: dict[str, Any]) -> dict[str, str]:
    """Return the market's files by their paths. `shared` holds what every page needs."""
    rows = make_rows(market)
    values = {**shared, **pages.read_style("site.css", "market.css"), "market": market}
    texts = {**pages.read_assets(SCRIPT), "market.html": _render_table(rows, values)}
    for place, row in enumerate(rows):
        before = rows[place - 1] if place else None
        after = rows[place + 1] if place + 1 < len(rows) else None
        texts[f"coins/{row.file}"] = _render_coin(row, values, before=before, after=after)
    return texts


def _render_table(rows: Sequence[MarketRow], values: dict[str, Any]) -> str:
    return pages.render(
        "market.html",
        **values,
        rows=rows,
        movers=find_movers(rows),
        newest_at=max((row.coin.observed_at for row in rows), default=None),
        begins_at=_find_beginning(values["market"]),
        top_coins=TOP_COINS,
        min_move=MIN_MOVE,
        line_size=(HOURS * SPARKLINE_HOUR_WIDTH, SPARKLINE_HEIGHT),
    )


def _find_beginning(market: Market) -> datetime | None:
    """Return the hour of the first price; None if it is in the first day of the charts."""
    starts = (_first_hour(coin) for coin in market.coins)
    first = min((start for start in starts if start is not None), default=0)
    return market.charts_from + HOUR * first if first >= 24 else None


def _first_hour(coin: MarketCoin) -> int | None:
    hours = (hour for hour, price in enumerate(coin.prices_usd) if price is not None)
    return next(hours, None)


def _render_coin(row: MarketRow, values: dict[str, Any], **neighbors: MarketRow | None) -> str:
    charts_from = values["market"].charts_from.astimezone(UTC)
    chart = make_chart(row.coin, charts_from)
    return pages.render(
        "coin.html",
        **values | {"root": "../"},
        **neighbors,
        row=row,
        chart=chart,
        charts_from=charts_from,
        hours=HOURS,
        chart_size=(HOURS * HOUR_WIDTH, HEIGHT),
        chart_data=chart and format_chart_data(chart, row.coin, charts_from),
    )


def format_chart_data(chart: PriceChart, coin: MarketCoin, charts_from: datetime) -> str:
    """Return what the crosshair shows, as JSON of numbers and fixed words only.

    `prices` has an entry for each hour, null in a gap; `backfilled` lists the hours of backfills.
    """
    decimals = chart.decimals + 1
    prices = ",".join("null" if p is None else f"{p:.{decimals}f}" for p in coin.prices_usd)
    hours = (str(hour) for hour, source in enumerate(coin.sources) if source == "backfilled")
    return (
        f'{{"from":{charts_from.timestamp():.0f},"low":{chart.edges.low},"high":{chart.edges.high},'
        f'"decimals":{max(decimals, 2)},"prices":[{prices}],"backfilled":[{",".join(hours)}]}}'
    )
