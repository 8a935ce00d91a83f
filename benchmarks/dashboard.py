"""The dashboard over ten million rows, in a browser: first paint and refresh during ticks.

A first paint begins with an empty browser and ends when the page shows its figures. The charts wait
for Plotly's code of five megabytes and are reported separately. A refresh begins with a click that
changes every number, right after a tick, so that no cached response of the API is fresh.
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

FIRST_PAINT_SECONDS, REFRESH_SECONDS = 3.0, 1.0


METRIC, CHART = "[data-testid=stMetricValue]", ".js-plotly-plot .trace"


class DashboardPage(NamedTuple):
    """What to look for on a page."""

    name: str
    path: str
    # The selectors of its figures and of its last part.
    figures: str
    last: str | None
    # A text that the page shows in rupiah only, and one that it shows in USD only.
    text_in_idr: str
    text_in_usd: str


TABLE = "[data-testid=stDataFrame] canvas"
PAGES = (
    DashboardPage("overview", "", TABLE, None, "listed in IDR", "listed in USD"),
    DashboardPage("coin", "coin?coin=coin-7", METRIC, CHART, "Rp", "$"),
    DashboardPage(
        "portfolio", "portfolio", METRIC, CHART, "Profit in 24 h, IDR", "Profit in 24 h, USD"
    ),
    DashboardPage(
        "pipeline", "pipeline", METRIC, None, "Price per coin, IDR", "Price per coin, USD"
    ),
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


FULL, SMOKE = Size(days.FULL, PAGES, 7, 3.5, 1.5), Size(days.SMOKE, PAGES[1:2], 1, 0.0, 0.5)


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
                yield from _measure_page(page, browser, base, connection, size)
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


def _measure_page(
    kind: DashboardPage,
    browser: Browser,
    base: str,
    connection: psycopg.Connection[tuple[object, ...]],
    size: Size,
) -> Iterator[Result]:
    paints, complete, frames, refreshes = [], [], [], []

    def tick() -> None:
        connection.execute(TICK, {"now": datetime.now(UTC)})
        time.sleep(size.cache_seconds)

    for _ in range(size.rounds):
        context = browser.new_context(viewport={"width": 1440, "height": 1100})
        page = context.new_page()
        tick()
        began = time.perf_counter()
        page.goto(f"{base}/{kind.path}", wait_until="commit")
        page.wait_for_selector("[data-testid=stApp]")
        frames.append(time.perf_counter() - began)
        page.wait_for_selector(kind.figures)
        paints.append(time.perf_counter() - began)
        if kind.last:
            page.wait_for_selector(kind.last)
            complete.append(time.perf_counter() - began)
        page.wait_for_timeout(size.settle_seconds * 1e3)
        for currency, text in (("IDR", kind.text_in_idr), ("USD", kind.text_in_usd)):
            tick()
            refreshes.append(_time_click(page, currency, text))
        context.close()
    frame, note = statistics.median(frames), "Streamlit's empty frame"
    for what, seconds, limit, floor in (
        ("first paint", paints, FIRST_PAINT_SECONDS, frame),
        ("with its charts", complete, None, frame),
        ("refresh", refreshes, REFRESH_SECONDS, None),
    ):
        if seconds:
            name, median = f"{kind.name}: {what}", statistics.median(seconds)
            reason = note if floor else ""
            yield Result(name, median, "s", at_most=limit, floor=floor, note=reason)
            yield Result(f"{name}, worst of {len(seconds)}", max(seconds), "s")


def _time_click(page: Page, currency: str, text: str) -> float:
    began = time.perf_counter()
    page.get_by_role("radio", name=currency).first.click()
    page.get_by_text(text).first.wait_for()
    return time.perf_counter() - began
