"""The dashboard over ten million rows, in a browser: pages, refresh during ticks, filter.

A first page begins with an empty browser and ends when its table or chart is drawn; its bytes are
those of all files and of the WebSocket. A next page begins with a click on its link. A refresh
begins with a click that changes every number, right after a tick, so that no cached response of the
API is fresh.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import psycopg
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import days
from benchmarks.api import TICK, keep_ticking, wait_for
from benchmarks.results import Result, Unavailable
from benchmarks.scale import server
from safe_zone import ROOT
from tests.support.browser import FLAGS, free_port

NAVIGATION_SECONDS, REFRESH_SECONDS, TRANSFERRED_MB = 0.7, 0.5, 3.0

TABLE = "[data-testid=sentinel-table][data-drawn=true]"
CHART = "[data-testid=sentinel-chart][data-drawn=true]"
STATE = ".ms-list"
ALL_ROWS = ".ms-all:not([hidden])"
SETTINGS = "[data-testid=stPopover] button"
# Types into the filter and returns the milliseconds until all rows are laid out again.
REDRAW = """input => {
    const began = performance.now();
    input.value = "";
    input.dispatchEvent(new Event("input"));
    document.body.getBoundingClientRect();
    return performance.now() - began;
}"""
# Streamlit's script has ended and all of its page has arrived.
DONE = "[data-testid=stApp][data-test-script-state=notRunning]"


class DashboardPage(NamedTuple):
    """What to look for on a page."""

    name: str
    path: str
    # Of its link in the navigation.
    title: str
    # The selector of the part that a viewer came for.
    drawn: str
    # Of a part with amounts of money, which the currency changes; None: there is none.
    amounts: str | None
    # For the first page with an empty browser; None: no limit.
    first_seconds: float | None


PAGES = (
    DashboardPage("overview", "", "Overview", TABLE, TABLE, 2.0),
    DashboardPage("coin", "coin?coin=coin-7", "Coin", CHART, ".ms-coin-price", 3.0),
    DashboardPage("portfolio", "portfolio", "Portfolio", TABLE, TABLE, None),
    DashboardPage("pipeline", "pipeline", "Pipeline", STATE, None, None),
)


class Size(NamedTuple):
    """How much to measure."""

    history: days.History
    pages: Sequence[DashboardPage]
    # How often each page is opened.
    rounds: int
    # Longer than the dashboard and the API serve a cached response without checking it.
    cache_seconds: float
    # For Streamlit to finish what it draws after the last part of a page.
    settle_seconds: float


FULL, SMOKE = Size(days.FULL, PAGES, 7, 3.5, 1.5), Size(days.SMOKE, PAGES[:2], 1, 0.0, 0.5)


def measure(is_smoke: bool) -> Iterator[Result]:
    size = SMOKE if is_smoke else FULL
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise Unavailable("Chromium is not installed (apt-get install chromium)")
    with (
        server() as conninfo,
        psycopg.connect(conninfo, autocommit=True) as connection,
    ):
        days.fill(connection, size.history, datetime.now(UTC))
        _add_holdings(connection)
        with _running_dashboard(conninfo) as base, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
            for page in size.pages:
                yield from _measure_first(page, browser, base, connection, size)
            yield from _measure_navigation(browser, base, size)
            yield _measure_filter(browser, base)
            browser.close()


def _add_holdings(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("INSERT INTO sentinel.fx_rates VALUES (now(), 16250, 'idr')")
    connection.execute(
        """
        INSERT INTO sentinel.transactions (made_at, coin_id, quantity, price_usd, fee_usd, note)
        SELECT now() - interval '30 days', coin_id, 1, 1, 0, '' FROM sentinel.coins WHERE rank <= 20
        """
    )


@contextmanager
def _running_dashboard(conninfo: str) -> Iterator[str]:
    """Start the API, the dashboard and the ticks; yield the dashboard's address."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "DATABASE_URL": conninfo,
            "SENTINEL_STATE_DIR": folder,
            "SENTINEL_API_PORT": str(free_port()),
            "SENTINEL_DASHBOARD_PORT": str(free_port()),
        }
        processes = [
            subprocess.Popen([sys.executable, "-m", name], cwd=ROOT, env=environment)
            for name in ("services.api", "services.dashboard")
        ]
        stop = threading.Event()
        ticking = threading.Thread(target=keep_ticking, args=(conninfo, stop))
        base = f"http://127.0.0.1:{environment['SENTINEL_DASHBOARD_PORT']}"
        try:
            wait_for(f"http://127.0.0.1:{environment['SENTINEL_API_PORT']}/coins?limit=1")
            wait_for(f"{base}/_stcore/health")
            ticking.start()
            yield base
        finally:
            stop.set()
            if ticking.ident:
                ticking.join()
            for process in processes:
                process.kill()
                process.wait()


def _measure_first(
    kind: DashboardPage,
    browser: Browser,
    base: str,
    connection: psycopg.Connection[tuple[object, ...]],
    size: Size,
) -> Iterator[Result]:
    """Measure a page in an empty browser, and its refresh."""
    seconds, megabytes, refreshes = [], [], []

    def tick() -> None:
        connection.execute(TICK, {"now": datetime.now(UTC)})
        time.sleep(size.cache_seconds)

    for _ in range(size.rounds):
        with _new_window(browser) as page:
            transferred = _count_bytes(page)
            tick()
            began = time.perf_counter()
            page.goto(f"{base}/{kind.path}", wait_until="commit")
            page.locator(kind.drawn).first.wait_for()
            seconds.append(time.perf_counter() - began)
            page.wait_for_timeout(size.settle_seconds * 1e3)
            megabytes.append(sum(transferred) / 1e6)
            if kind.amounts:
                page.locator(SETTINGS).first.click()
                for currency, sign in (("IDR", "Rp"), ("USD", "$")):
                    tick()
                    refreshes.append(_time_refresh(page, kind.amounts, currency, sign))
    yield from _summarize(f"{kind.name}: first page", seconds, kind.first_seconds)
    yield Result(
        f"{kind.name}: transferred", max(megabytes), "MB", at_most=TRANSFERRED_MB, note="no cache"
    )
    if refreshes:
        yield from _summarize(f"{kind.name}: refresh", refreshes, REFRESH_SECONDS)


def _measure_navigation(browser: Browser, base: str, size: Size) -> Iterator[Result]:
    """Measure clicks from page to page in a browser that has visited each once."""
    seconds: dict[str, list[float]] = {kind.name: [] for kind in size.pages}
    with _new_window(browser) as page:
        for kind in size.pages:
            page.goto(f"{base}/{kind.path}")
            page.locator(kind.drawn).first.wait_for()
        for _ in range(size.rounds):
            for kind in size.pages:
                page.wait_for_timeout(size.settle_seconds * 1e3)
                began = time.perf_counter()
                page.get_by_role("link", name=kind.title, exact=True).first.click()
                page.wait_for_url(f"**/{kind.path.partition('?')[0]}*")
                page.locator(kind.drawn).first.wait_for()
                page.locator(DONE).wait_for()
                seconds[kind.name].append(time.perf_counter() - began)
    for name, times in seconds.items():
        yield from _summarize(f"{name}: warm navigation", times, NAVIGATION_SECONDS)


def _measure_filter(browser: Browser, base: str) -> Result:
    """Measure how long the table of all coins needs to follow the filter."""
    with _new_window(browser) as page:
        page.goto(base)
        page.locator(TABLE).first.wait_for()
        if page.locator(ALL_ROWS).count():
            page.locator(ALL_ROWS).first.click()
        milliseconds = page.locator(f"{TABLE} input").first.evaluate(REDRAW)
    return Result("overview: all rows filtered again", milliseconds / 1e3, "s", at_most=0.1)


@contextmanager
def _new_window(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        yield context.new_page()
    finally:
        context.close()


def _count_bytes(page: Page) -> list[float]:
    """Return a list that grows by the bytes of each file and message that the browser receives."""
    transferred: list[float] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda e: transferred.append(e["encodedDataLength"]))
    # Binary messages are reported in base64.
    session.on(
        "Network.webSocketFrameReceived",
        lambda e: transferred.append(len(e["response"]["payloadData"]) * 3 / 4),
    )
    return transferred


def _time_refresh(page: Page, amounts: str, currency: str, sign: str) -> float:
    """Return the seconds from the choice of a currency until the page shows its amounts."""
    began = time.perf_counter()
    page.get_by_role("radio", name=currency).first.click()
    page.locator(amounts).filter(has_text=sign).first.wait_for()
    return time.perf_counter() - began


def _summarize(name: str, seconds: Sequence[float], at_most: float | None) -> Iterator[Result]:
    yield Result(name, statistics.median(seconds), "s", at_most=at_most)
    yield Result(f"{name}, worst of {len(seconds)}", max(seconds), "s")
