"""Each kind of page in a browser, below a path as at GitHub Pages: requests, weight, accessibility.

The market's scripts have tests of their own in `test_market_browser.py`.
"""

from __future__ import annotations

import functools
import gzip
import http.server
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from sentinel.site.site_files import render_site, write_files
from tests.support.browser import PHONE, WIDE, running_browser
from tests.support.market import make_coin, make_market
from tests.support.serving import serving
from tests.support.site import NOW, make_full_figures, make_status

pytestmark = pytest.mark.slow

AXE = Axe().axe_script

# Each kind of page, and the most bytes of its first load, gzipped.
PAGES = {
    "index.html": 60_000,
    "trust.html": 60_000,
    "market.html": 250_000,
    "coins/coin-01.html": 60_000,
}
# The names that Tab reaches, besides the links of every page.
REACHED = {
    "index.html": {"Skip to the content", "Status", "Trust", "Market"},
    "trust.html": {"Skip to the content"},
    "market.html": {"Search", "Price", "Market cap", "Coin-01"},
    "coins/coin-01.html": {"Hour of the chart"},
}
# The name and the outline of the element that has the focus; null behind the last one.
FOCUSED = """() => {
  const element = document.activeElement;
  if (element === document.body) return null;
  const label = element.labels?.[0] ?? element;
  const name = element.ariaLabel ?? label.textContent;
  return [name.trim().replace(/\\s+/g, " "), getComputedStyle(element).outlineStyle];
}"""
BLOCKING = """() => performance.getEntriesByType("resource")
  .filter((entry) => entry.renderBlockingStatus === "blocking").map((entry) => entry.name)"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Site:
    """The pages on a server, a browser, and what it requested."""

    def __init__(self, folder: Path, address: str, browser: BrowserContext) -> None:
        self.folder, self.address, self.browser = folder, address, browser
        self.paths: list[str] = []
        self.errors: list[str] = []

    def open(self, path: str, age: timedelta = timedelta(minutes=5)) -> Page:
        """Open a page some time after it was made."""
        self.paths, self.errors = [], []
        page = self.browser.new_page()
        page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        page.clock.set_fixed_time(NOW + age)
        page.on("request", lambda request: self.paths.append(request.url))
        # A violation of the policy is an error of the console.
        page.on("console", lambda message: self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(f"{self.address}/{path}")
        return page

    def weigh(self) -> int:
        """Return the bytes of the requested files, gzipped; all of them are on the server."""
        files = [path.removeprefix(f"{self.address}/") for path in self.paths]
        return sum(len(gzip.compress((self.folder / name).read_bytes())) for name in files)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    coins = [make_coin(f"coin-{n:02}", rank=n, price_usd=float(n)) for n in range(1, 21)]
    coins[3] = replace(coins[3], sources=["gap", "backfilled"] * (len(coins[3].sources) // 2))
    figures = replace(make_full_figures(), market=make_market(*coins))
    write_files(render_site(figures), folder / "name")
    handler = functools.partial(_Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with serving(server) as served, running_browser() as browser:
        yield Site(folder / "name", f"http://127.0.0.1:{served.server_port}/name", browser)


def _find_violations(page: Page, *rules: str) -> list[str]:
    """Return what axe finds: contrast, labels, headings, landmarks and more, or by some rules."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found: list[dict[str, Any]] = page.evaluate("o => axe.run(o)", options)["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def _reach_by_tab(page: Page) -> dict[str, str]:
    """Return the names of what the Tab key reaches, each with the style of its outline."""
    reached: dict[str, str] = {}
    for _ in range(25):
        page.keyboard.press("Tab")
        if not (focused := page.evaluate(FOCUSED)):
            break
        reached[focused[0]] = focused[1]
    return reached


@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_light_quiet_and_accessible(site: Site, path: str) -> None:
    page = site.open(path)
    assert _find_violations(page) == []
    reached = _reach_by_tab(page)
    assert reached.keys() >= REACHED[path]
    assert "none" not in reached.values()  # the focus can be seen
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    assert _find_violations(page, "color-contrast") == []
    assert page.evaluate(BLOCKING) == []
    page.close()
    assert site.errors == []
    assert all(each.startswith(f"{site.address}/") for each in site.paths)
    assert 5_000 < site.weigh() < PAGES[path]


def test_a_page_that_is_older_than_three_intervals_says_so(site: Site) -> None:
    age = timedelta(seconds=3 * make_status().interval_seconds)
    page = site.open("trust.html", age)
    banner = page.locator(".old-page")
    expect(banner).to_be_hidden()
    page.clock.set_fixed_time(NOW + age + timedelta(minutes=1))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(banner).to_have_text(
        "This page was made 3 hours ago. The job that makes it seems to have stopped."
    )
    assert _find_violations(page, "color-contrast") == []
    page.close()


def test_the_scripts_run_from_a_folder_too(site: Site) -> None:
    page = site.browser.new_page()
    page.goto((site.folder / "market.html").as_uri())
    expect(page.locator(".old-page")).to_be_visible()  # by site.js
    page.get_by_label("Search").fill("coin-20")  # by market.js
    expect(page.locator("tbody tr:visible")).to_have_count(1)
    page.close()
