"""The market pages: what they show, what they say where something is missing, and strange names."""

from __future__ import annotations

import gzip
import posixpath
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from sentinel.site.market import HOURS, HourSource, Market
from sentinel.site.site_files import SiteFigures, render_site
from tests.support.market import make_coin, make_market
from tests.support.site import make_status

# As found in CoinGecko's list, and as an attacker would choose them.
STRANGE = {
    "../../index": "<script>alert(1)</script>",
    "a%2fb?c#d": "\"'><img src=x onerror=alert(1)>",
    "_": "{{ 7 * 7 }}</title></style>",
    "index": "x" * 60,
}


class _Reader(HTMLParser):
    """Collects the text, the tags and the links of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def _render(market: Market) -> dict[str, bytes]:
    return render_site(SiteFigures(make_status(), market))


def _read(market: Market, path: str = "market.html") -> str:
    return _Reader(_render(market)[path]).text


def test_the_table_shows_each_coin_in_dollars_and_rupiah() -> None:
    text = _read(make_market(make_coin()))
    assert "1 Bitcoin BIT $100.00 Rp1,625,000 +3.0% +25.0% $1.90T $42.0B" in text
    assert "Rupiah at Rp16,250 for 1 USD, a rate stored 20 Nov, 11:51" in text
    assert "Data provided by CoinGecko" in text
    assert "h older" not in text


def test_words_stand_where_something_is_missing() -> None:
    assert "No coin has a price yet." in _read(make_market())
    assert "No rupiah rate is stored" in _read(make_market(make_coin(), idr_per_usd=None))
    first_day = make_coin(prices_usd=[None] * 150 + [100.0] * 20, market_cap_usd=None, rank=None)
    text = _read(make_market(first_day))
    assert "The prices here begin on 19 Nov, 17:00." in text
    assert "No price of 24 hours ago is stored" in text
    assert "— Bitcoin BIT $100.00 Rp1,625,000 — — — $42.0B" in text
    nothing = make_market(make_coin(prices_usd=[None] * HOURS))
    assert "No price of the last 7 days is stored." in _read(nothing, "coins/bitcoin.html")
    calm = make_market(make_coin(prices_usd=[100.0] * HOURS))
    assert "No coin of the top 100 is up by 1% or more." in _read(calm)


def test_the_page_of_a_coin_says_in_words_what_its_chart_lacks() -> None:
    sources: list[HourSource] = ["observed"] * HOURS
    sources[40:52] = ["backfilled"] * 12
    prices: list[float | None] = [100.0] * HOURS
    prices[10], prices[20], prices[30:32] = None, None, [None, None]
    market = make_market(make_coin(prices_usd=prices, sources=sources))
    text = _read(market, "coins/bitcoin.html")
    assert "3 gaps, 4 hours in all; 12 hours backfilled." in text
    assert "Fri 13 Nov $100.00 $100.00 $100.00 1 of 13 h" in text
    whole = _read(make_market(make_coin()), "coins/bitcoin.html")
    assert "No gap; nothing backfilled." in whole


def test_an_old_price_says_by_how_much() -> None:
    old = make_coin("old", observed_at=make_coin().observed_at.replace(hour=8))
    market = make_market(make_coin(), old)
    assert "$100.00 Rp1,625,000 3 h older" in _read(market)
    assert "3 h older than the newest price of all coins" in _read(market, "coins/old.html")


def test_strange_names_are_text() -> None:
    coins = [make_coin(coin_id, name=name, symbol=name) for coin_id, name in STRANGE.items()]
    strange = _render(make_market(*coins))
    usual = _render(make_market(*[make_coin(str(number)) for number in range(len(STRANGE))]))
    assert [_Reader(page).tags for path, page in strange.items() if path.endswith(".html")] == [
        _Reader(page).tags for path, page in usual.items() if path.endswith(".html")
    ]
    text = _Reader(strange["market.html"]).text
    assert all(name in text for name in STRANGE.values())


def test_every_link_of_a_market_page_leads_to_a_file() -> None:
    files = _render(make_market(*[make_coin(coin_id) for coin_id in STRANGE]))
    pages = [path for path in files if path.startswith(("market.html", "coins/"))]
    assert len(pages) == len(STRANGE) + 1
    for path in pages:
        for link in _Reader(files[path]).links:
            if not link.startswith(("https://", "#")) and not link.endswith(".xml"):
                assert (
                    posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(link)))
                    in files
                )


@pytest.mark.slow
def test_five_hundred_coins_are_a_light_page() -> None:
    prices = [(100.0 + (hour * 7919) % 101 / 10) for hour in range(HOURS)]
    coins = [
        make_coin(f"coin-{n}", prices_usd=prices[n % 9 :] + prices[: n % 9]) for n in range(500)
    ]
    files = _render(make_market(*coins))
    first_load = ("market.html", "site.js", "market.js", "icon.svg")
    assert sum(len(gzip.compress(files[name])) for name in first_load) < 250_000
