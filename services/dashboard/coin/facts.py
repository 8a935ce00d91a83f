"""The figures of a coin as HTML: name, price and changes in a line, the others in a list."""

from __future__ import annotations

import html
from collections.abc import Iterator

from sentinel import amounts
from services.api_client import Json, quote_segment
from services.dashboard.formatting import Formatter
from services.dashboard.language import tr
from services.dashboard.text import MAX_NAME_CHARACTERS, shorten

ARROWS = {"rise": "▲", "fall": "▼", "": ""}
COINGECKO = "https://www.coingecko.com/en/coins/"


def format_title(formatter: Formatter, page: Json, *, is_old: bool) -> str:
    """Return name, rank, price and changes of a coin as HTML."""
    coin = page["coin"]
    name = html.escape(shorten(coin["name"], MAX_NAME_CHARACTERS))
    symbol = html.escape(shorten(coin["symbol"].upper(), MAX_NAME_CHARACTERS))
    rank = "" if coin["rank"] is None else f" · #{coin['rank']}"
    spans = (tr("{hours} h", hours=1), tr("{hours} h", hours=24), tr("{days} d", days=7))
    keys = ("change_1h", "change_24h", "change_7d")
    changes = "".join(
        f"<span><i>{html.escape(span)}</i> {_format_change(formatter, page[key])}</span>"
        for span, key in zip(spans, keys, strict=True)
    )
    price = html.escape(formatter.price(coin["price_usd"]))
    return (
        f'<div class="ms-coin{" ms-old" if is_old else ""}" data-testid="coin-title">'
        f'<h1>{name} <small>{symbol}{rank}</small></h1><b class="ms-coin-price">{price}</b>'
        f'<span class="ms-changes">{changes}</span></div>'
    )


def _format_change(formatter: Formatter, change: float | None) -> str:
    tone = amounts.classify_change(change)
    arrow = f'<span aria-hidden="true">{ARROWS[tone]}</span> ' if tone else ""
    return f'<b class="ms-{tone or "flat"}">{arrow}{html.escape(formatter.percent(change))}</b>'


def format_facts(formatter: Formatter, page: Json, *, is_old: bool) -> str:
    """Return the other figures of a coin as HTML, with a link to its page at CoinGecko."""
    rows = "".join(
        f"<div><dt>{html.escape(label)}</dt><dd>{value}</dd></div>"
        for label, value in _list_facts(formatter, page)
    )
    coin = page["coin"]
    age = formatter.age(coin["observed_at"])
    is_backfilled = coin["source"] == "backfilled"
    text = tr("{age} ago, backfilled", age=age) if is_backfilled else tr("{age} ago", age=age)
    time = html.escape(formatter.time(coin["observed_at"]))
    link = html.escape(COINGECKO + quote_segment(coin["coin_id"]))
    source = (
        f'<a href="{link}" target="_blank" rel="noopener">CoinGecko ↗</a>, '
        f'<span title="{time}">{html.escape(text)}</span>'
    )
    return (
        f'<dl class="ms-facts{" ms-old" if is_old else ""}" data-testid="coin-facts">{rows}'
        f"<div><dt>{html.escape(tr('Price from'))}</dt><dd>{source}</dd></div></dl>"
    )


def _list_facts(formatter: Formatter, page: Json) -> Iterator[tuple[str, str]]:
    coin = page["coin"]
    yield tr("Range, 24 h"), _format_range(formatter, page)
    yield tr("Market cap"), html.escape(formatter.compact_amount(coin["market_cap_usd"]))
    yield tr("Volume, 24 h"), html.escape(formatter.compact_amount(coin["volume_24h_usd"]))


def _format_range(formatter: Formatter, page: Json) -> str:
    """Return a bar from the lowest to the highest price of a day, with a mark for the price now."""
    low, high, now = page["low_24h_usd"], page["high_24h_usd"], page["coin"]["price_usd"]
    if low is None or high is None:
        return html.escape(amounts.UNKNOWN)
    share = min(1.0, max(0.0, (now - low) / (high - low))) if high > low else 0.5
    return (
        f"<span>{html.escape(formatter.price(low))}</span>"
        f'<span class="ms-range" aria-hidden="true"><i style="left: {share:.1%}"></i></span>'
        f"<span>{html.escape(formatter.price(high))}</span>"
    )
