"""Links that show the portfolio in percentages: their tokens, and what the page shows."""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from starlette.applications import Starlette
from starlette.types import Message

from safe_zone import Settings
from services.api.portfolio import shares
from services.api.portfolio.growth_line import compute_growth_line
from services.api.portfolio.models import ExchangeRate, PriceQuote, Transaction
from services.api.portfolio.net_worth import list_days, list_prices
from services.api.portfolio.period_returns import Course, compute_returns
from services.api.portfolio.timeline import list_flows
from services.api.portfolio.valuation import ValuationPrices, value_portfolio
from services.api.share_page import SharedFigures, render_share_pages
from services.dashboard.server.status_page import make_routes
from services.settings import MonitorSettings
from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import TOKEN, ApiSession, problem_detail
from tests.services.api.test_returns import days_ago, entry, make_book

D = Decimal
DAY = timedelta(days=1)
PRICES = {"bitcoin": 90_210.37, "<b>ether": 3_517.29}


def price(coin: str, at: datetime) -> float:
    return PRICES[coin] * (1 + days_ago(at) / 100)


def buy_and_sell(factor: int) -> list[Transaction]:
    """Return a portfolio of two coins that is `factor` times as large."""
    return [
        entry(D("0.13577531") * factor, 170_000, days=90, note="4711", wallet="grandmother"),
        entry(D("1.98765432") * factor, 4_500, days=30, coin="<b>ether"),
        entry(D("-0.0246802") * factor, 91_000, days=1.5),
    ]


def render(own: list[Transaction]) -> dict[str, str]:
    course = Course.follow(own, NOW)
    assert course
    days = list_days(own, NOW, 366)
    book = make_book(course.list_wanted() | list_prices(days), price, lambda *_: 16_411)
    at = NOW - timedelta(minutes=7)
    quotes = {coin: PriceQuote(D(str(price(coin, NOW))), at) for coin in PRICES}
    market = ValuationPrices(quotes, ExchangeRate(D(16_411), at))
    labels = {"bitcoin": ("btc", "Bitcoin"), "<b>ether": ("<b>eth", "<b>Ether")}
    portfolio = value_portfolio(own, market, market, NOW - DAY, labels)
    line = compute_growth_line(days, course.flows, book)
    figures = SharedFigures(portfolio, compute_returns(course, book), line, NOW)
    return {language: page.decode() for language, page in render_share_pages(figures).items()}


def test_the_page_of_a_portfolio_a_thousand_times_as_large_is_the_same() -> None:
    pages = render(buy_and_sell(1))
    assert pages == render(buy_and_sell(1009))
    for page in pages.values():
        [path] = re.findall(r' d="(.*?)"', page)
        shown = page.replace(path, "").partition("</style>")[2]
        shown = re.sub('viewBox=".*?"', "", shown)
        assert not re.search("grandmother|4711|<b>", shown)
        # The only date is that of the oldest price, and no number is longer than a percentage.
        assert re.findall(r"\d{4}-\d\d-\d\d", shown) == ["2026-11-20"]
        assert max(map(len, re.findall(r"\d+", shown.replace("2026", "")))) <= 3
    assert re.findall(r"<bdi>(.*?)</bdi>", pages["en"]) == [
        *("Bitcoin", "BTC", "&lt;b&gt;Ether", "&lt;B&gt;ETH"),
    ]
    parts = [float(each) for each in re.findall(r'number">([\d.]+)%</span>', pages["en"])]
    assert sum(parts) == pytest.approx(100, abs=0.11)
    # Bitcoin's return since the first payment, 90 days ago, would tell its price at that minute.
    assert pages["en"].count('<td class="number">—</td></tr>') == 2
    assert "https://www.coingecko.com/en/api" in pages["en"]
    assert "7 min ago" in pages["en"]
    assert "7 menit yang lalu" in pages["id"]


def test_a_missing_price_leaves_a_dash_and_no_date_of_a_payment() -> None:
    own = [entry(1, 170_000, days=90), entry(1, 90_000, days=30, coin="unknown")]
    course = Course.follow(own, NOW)
    assert course
    book = make_book(set(), price, price)
    market = ValuationPrices({}, None)
    portfolio = value_portfolio(own, market, market, NOW - DAY)
    figures = SharedFigures(portfolio, compute_returns(course, book), [], NOW)
    page = render_share_pages(figures)["en"].decode()
    assert page.count('<td class="number ">—</td>') == 6
    assert page.count("no price") == 2
    assert not re.search(r"\d{4}-\d\d-\d\d", page)


def test_the_line_shows_growth_without_payments() -> None:
    own = [entry(1, 100, days=5), entry(9, 110, days=3), entry(-5, 121, days=1)]
    levels = {5: 100, 4: 110, 3: 110, 2: None, 1: 121, 0: 121}

    def known(_coin: str, at: datetime) -> int | None:
        return levels[round(days_ago(at))]

    days = list_days(own, NOW, 60)
    flows = list_flows(own)
    wanted = list_prices(days) | {("bitcoin", flow.at) for flow in flows}
    book = make_book(wanted, known, lambda *_: None)
    line = compute_growth_line(days, flows, book)
    assert [level and round(level, 9) for level in line] == [100, 110, 110, None, 121, 121]
    del book.quotes["bitcoin", flows[1].at]
    line = compute_growth_line(days, flows, book)
    assert [level and round(level, 9) for level in line] == [100, None, 110, 110]


@pytest.fixture
def api(portfolio_api: ApiSession, week_database: FreshDatabase) -> ApiSession:
    week_database.query("TRUNCATE sentinel.portfolio_shares")
    return portfolio_api


def create(api: ApiSession, **fields: str) -> str:
    """Create a link and return its path."""
    response = api.post("/portfolio/shares", json=fields)
    assert response.status_code == 201, response.text
    return str(response.json()["path"])


def test_a_link_needs_no_other_token_until_it_is_revoked(
    api: ApiSession, week_database: FreshDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path, stranger = create(api, label="family"), ApiSession(api.base)
    page = stranger.get(path)
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for name, value in {
        "Cache-Control": "private, no-store",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
        "Content-Security-Policy": "frame-ancestors 'none'",
    }.items():
        assert page.headers[name] == value
    assert "Portofolio" in stranger.get(path, params={"lang": "id"}).text
    assert stranger.head(path).status_code == 200
    problem_detail(stranger.get("/portfolio/shares"), 401)
    [listed] = api.get_json("/portfolio/shares")["items"]
    assert listed == {
        "share_id": listed["share_id"],
        "label": "family",
        "created_at": "2026-11-20T12:00:30Z",
        "expires_at": None,
        "last_used_at": "2026-11-20T12:00:30Z",
    }
    # The token is in no log of ours, and in no table.
    token = path.removeprefix("/share/")
    assert len(token) == 22
    ours = [record for record in caplog.records if not record.name.startswith("urllib3")]
    assert not any(token in record.getMessage() for record in ours)
    [row] = week_database.query("SELECT share::text FROM sentinel.portfolio_shares AS share")
    assert token not in row[0]
    assert api.delete(f"/portfolio/shares/{listed['share_id']}").status_code == 204
    problem_detail(api.delete(f"/portfolio/shares/{listed['share_id']}"), 404)
    assert stranger.get(path).status_code == 404


def test_every_link_that_does_not_work_gets_the_same_response(
    api: ApiSession, week_database: FreshDatabase
) -> None:
    path = create(api, expires_at=(NOW + DAY).isoformat())
    assert "not in the future" in problem_detail(
        api.post("/portfolio/shares", json={"expires_at": NOW.isoformat()}), 409
    )
    stranger = ApiSession(api.base)
    assert stranger.get(path).status_code == 200
    week_database.query("UPDATE sentinel.portfolio_shares SET expires_at = %s", NOW)
    responses = [
        stranger.get(each)
        for each in (
            path,
            path[:-1],
            f"{path}a",
            "/share/x",
            "/share/%00",
            "/share/ü",
            f"{path}?lang=id",
        )
    ]
    assert {each.status_code for each in responses} == {404}
    assert len({each.content for each in responses}) == 1
    varying = {"date"}
    headers = [{k.lower(): v for k, v in each.headers.items()} for each in responses]
    assert len({str({k: v for k, v in each.items() if k not in varying}) for each in headers}) == 1


def test_the_use_of_a_link_is_noted_once_an_hour() -> None:
    used = shares.Share(1, "", NOW, None, NOW)
    assert not shares.is_use_due(used, NOW + timedelta(minutes=59))
    assert shares.is_use_due(used, NOW + timedelta(hours=1))


def test_the_dashboard_passes_the_page_on(api: ApiSession) -> None:
    monitor = MonitorSettings(settings=Settings(), api_token=TOKEN, api_url=api.base)
    path = create(api)

    def visit(path: str, query: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query,
            "headers": [],
        }
        asyncio.run(Starlette(routes=make_routes(monitor))(scope, receive, send))
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], headers, sent[1]["body"]

    status, headers, body = visit(path, b"lang=id&x=../portfolio")
    assert (status, headers["referrer-policy"]) == (200, "no-referrer")
    assert headers["cache-control"] == "private, no-store"
    assert b"Portofolio" in body
    assert [visit(each)[0] for each in ("/share/..", "/share/x", "/share/%2e%2e")] == [404] * 3
