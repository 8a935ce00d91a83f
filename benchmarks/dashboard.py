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
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg

from benchmarks import days
from benchmarks.api import TICK, keep_ticking, wait_for
from benchmarks.scale import print_heading, print_result, server
from safe_zone import ROOT

ROUNDS = 7
FIRST_PAINT_SECONDS, REFRESH_SECONDS = 3.0, 1.0
# Longer than the dashboard and the API serve a cached response without checking it.
CACHE_SECONDS = 3.5
METRIC, CHART = "[data-testid=stMetricValue]", ".js-plotly-plot .trace"
# For each page: its path, the selectors of its figures and of its last part, a text that the page
# shows in rupiah only, and one that it shows in USD only.
PAGES = {
    "overview": ("", "[data-testid=stDataFrame] canvas", None, "listed in IDR", "listed in USD"),
    "coin": ("coin?coin=coin-7", METRIC, CHART, "Rp", "$"),
    "portfolio": ("portfolio", METRIC, CHART, "Profit in 24 h, IDR", "Profit in 24 h, USD"),
    "pipeline": ("pipeline", METRIC, None, "Price per coin, IDR", "Price per coin, USD"),
}


def main() -> None:
    """Measure the dashboard, or explain why not."""
    print_heading(
        f"Dashboard: {days.ROWS:,} rows, a browser, a tick a minute and before each refresh"
    )
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("skipped: Chromium is not installed (apt-get install chromium)", flush=True)
        return
    with server() as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            days.fill(connection, datetime.now(UTC))
            _add_holdings(connection)
        _measure(conninfo, chromium)


def _add_holdings(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("INSERT INTO sentinel.fx_rates VALUES (now(), 16250, 'idr')")
    connection.execute(
        """
        INSERT INTO sentinel.transactions (made_at, coin_id, quantity, price_usd, fee_usd, note)
        SELECT now() - interval '30 days', coin_id, 1, 1, 0, '' FROM sentinel.coins WHERE rank <= 20
        """
    )


def _measure(conninfo: str, chromium: str) -> None:
    from tests.support.browser import free_port

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
            _measure_pages(base, chromium, conninfo)
        finally:
            stop.set()
            ticking.join()
            for process in processes:
                process.kill()
                process.wait()


def _measure_pages(base: str, chromium: str, conninfo: str) -> None:
    from playwright.sync_api import sync_playwright

    from tests.support.browser import FLAGS

    with sync_playwright() as driver, psycopg.connect(conninfo, autocommit=True) as connection:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))

        def tick() -> None:
            connection.execute(TICK, {"now": datetime.now(UTC)})
            time.sleep(CACHE_SECONDS)

        for name, (path, figures, last, idr_text, usd_text) in PAGES.items():
            paints, complete, floors, refreshes = [], [], [], []
            for _ in range(ROUNDS):
                context = browser.new_context(viewport={"width": 1440, "height": 1100})
                page = context.new_page()
                tick()
                began = time.perf_counter()
                page.goto(f"{base}/{path}", wait_until="commit")
                page.wait_for_selector("[data-testid=stApp]")
                floors.append(time.perf_counter() - began)
                page.wait_for_selector(figures)
                paints.append(time.perf_counter() - began)
                if last:
                    page.wait_for_selector(last)
                    complete.append(time.perf_counter() - began)
                page.wait_for_timeout(1500)
                for currency, text in (("IDR", idr_text), ("USD", usd_text)):
                    tick()
                    refreshes.append(_time_click(page, currency, text))
                context.close()
            _report(f"{name}: first paint", paints, FIRST_PAINT_SECONDS, statistics.median(floors))
            if complete:
                _report(f"{name}: with its charts", complete, None, statistics.median(floors))
            _report(f"{name}: refresh", refreshes, REFRESH_SECONDS, None)
        browser.close()


def _time_click(page: object, currency: str, text: str) -> float:
    from playwright.sync_api import Page

    assert isinstance(page, Page)
    click: Callable[[], object] = page.get_by_role("radio", name=currency).first.click
    began = time.perf_counter()
    click()
    page.get_by_text(text).first.wait_for()
    return time.perf_counter() - began


def _report(label: str, seconds: list[float], goal: float | None, floor: float | None) -> None:
    worst, median = max(seconds), statistics.median(seconds)
    floor_text = "" if floor is None else f"; floor {floor:.2f} s (Streamlit's empty frame)"
    goal_text = "no goal" if goal is None else f"under {goal:.0f} s"
    is_reached = goal is None or median < goal
    bound = f"{goal_text}; worst {worst:.2f} s{floor_text}"
    print_result(
        f"{label}, median of {len(seconds)}", f"{median:.2f} s", bound, is_reached=is_reached
    )
