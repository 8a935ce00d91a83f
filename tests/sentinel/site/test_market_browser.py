"""The market pages in a browser: sorting, search, the box of all coins and the crosshair."""

from __future__ import annotations

import functools
import http.server
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from sentinel.site.market import HOURS, HourSource, MarketCoin
from sentinel.site.site_files import SiteFigures, render_site, write_files
from tests.support.browser import PHONE, running_browser
from tests.support.market import make_coin, make_market
from tests.support.serving import serving
from tests.support.site import make_status

pytestmark = pytest.mark.slow


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _coins() -> list[MarketCoin]:
    """103 coins, from 1 to 103 USD in the order of their names. The last three are not top 100."""
    sources: list[HourSource] = ["observed"] * HOURS
    sources[-3], sources[-2] = "backfilled", "gap"
    prices = [50.0] * (HOURS - 3) + [98.0, None, 100.0]
    usual = {"prices_usd": prices, "sources": sources}
    coins = [make_coin(f"coin-{n:03}", rank=n, price_usd=float(n), **usual) for n in range(1, 104)]
    coins[1] = make_coin("long", rank=2, name="x" * 60, symbol="y" * 30, price_usd=500.0)
    coins[2] = make_coin("no-cap", rank=3, price_usd=3.0, market_cap_usd=None)
    return coins


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("site")
    write_files(render_site(SiteFigures(make_status(), make_market(*_coins()))), folder)
    handler = functools.partial(_Handler, directory=str(folder))
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    with running_browser() as found:
        yield found


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """Yield a window whose pages must log no error."""
    opened = browser.new_page()
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert errors == []


def _names(page: Page) -> list[str]:
    return [name for name in page.locator("tbody a").all_inner_texts() if name]


def test_the_table_is_sorted_and_searched_without_a_server(address: str, page: Page) -> None:
    page.goto(f"{address}/market.html")
    rows = page.locator("tbody tr:visible")
    expect(rows).to_have_count(100)
    price = page.get_by_role("button", name="Price")
    price.press("Enter")
    assert _names(page)[:2] == ["x" * 60, "Coin-103"]
    expect(page.locator("th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    price.press("Enter")
    assert _names(page)[:2] == ["Coin-001", "No-Cap"]
    page.get_by_role("button", name="Market cap").click()
    assert _names(page)[-1] == "No-Cap"  # the unknown is last
    page.get_by_label("Show all 103 coins").check()
    expect(rows).to_have_count(103)
    page.get_by_label("Show all 103 coins").uncheck()
    search = page.get_by_label("Search")
    search.fill("CÖIN-103")
    expect(rows).to_have_count(1)
    search.fill("nosuchcoin")
    expect(page.get_by_text("No coin found for “nosuchcoin”.")).to_be_visible()
    search.fill("")
    expect(rows).to_have_count(100)


def test_the_crosshair_follows_arrow_keys_and_the_pointer(address: str, page: Page) -> None:
    page.goto(f"{address}/coins/coin-001.html")
    hour = page.get_by_label("Hour of the chart")
    readout = page.locator("#readout")
    hour.press("ArrowLeft")
    expect(readout).to_have_text("Fri 20 Nov, 11:00: no price")
    hour.press("ArrowLeft")
    expect(readout).to_have_text("Fri 20 Nov, 10:00: $98.00, backfilled")
    expect(hour).to_have_attribute("aria-valuetext", "Fri 20 Nov, 10:00: $98.00, backfilled")
    box = hour.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + 9)
    expect(readout).to_have_text("Fri 13 Nov, 11:00: $50.00")


def test_long_names_do_not_widen_the_page_on_a_phone(address: str, page: Page) -> None:
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    page.goto(f"{address}/market.html")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    page.goto(f"{address}/coins/long.html")
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]


def test_without_a_script_all_coins_can_be_read(address: str, browser: BrowserContext) -> None:
    assert browser.browser is not None
    context = browser.browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/market.html")
    assert page.locator("tbody tr:visible").count() == 100
    assert not page.get_by_label("Search").is_visible()
    page.get_by_label("Show all 103 coins").check()
    assert page.locator("tbody tr:visible").count() == 103
    context.close()
