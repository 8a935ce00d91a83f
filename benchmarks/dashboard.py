"""The dashboard over ten million rows, in a browser: first paint and refresh, while ticks come.

A first paint begins with an empty browser and ends when the page's figures stand (its charts wait
for Plotly's own code, five megabytes, which is said apart); a refresh begins with a click that
changes every number, right after a tick has voided what the API kept.
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
from benchmarks.scale import heading, say, server
from safe_zone import ROOT

ROUNDS = 7
FIRST_PAINT_SECONDS, REFRESH_SECONDS = 3.0, 1.0
KEPT_SECONDS = 3.5  # what the dashboard and the API keep is asked for again after this
METRIC, CHART = "[data-testid=stMetricValue]", ".js-plotly-plot .trace"
# Each page: its figures, what comes last, and a text that only the other currency has.
PAGES = {
    "overview": ("", "[data-testid=stDataFrame] canvas", None, "listed in IDR", "listed in USD"),
    "coin": ("coin?coin=coin-7", METRIC, CHART, "Rp", "$"),
    "portfolio": ("portfolio", METRIC, CHART, "Profit in 24 h, IDR", "Profit in 24 h, USD"),
    "pipeline": ("pipeline", METRIC, None, "Price per coin, IDR", "Price per coin, USD"),
}


def main() -> None:
    heading(f"Dashboard: {days.ROWS:,} rows, a browser, a tick a minute and before each refresh")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("skipped: no Chromium here (apt-get install chromium)", flush=True)
        return
    with server() as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            days.fill(connection, datetime.now(UTC))
            _hold_something(connection)
        _measure(conninfo, chromium)


def _hold_something(connection: psycopg.Connection[tuple[object, ...]]) -> None:
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
            _look(base, chromium, conninfo)
        finally:
            stop.set()
            ticking.join()
            for process in processes:
                process.kill()
                process.wait()


def _look(base: str, chromium: str, conninfo: str) -> None:
    from playwright.sync_api import sync_playwright

    from tests.support.browser import FLAGS

    with sync_playwright() as driver, psycopg.connect(conninfo, autocommit=True) as connection:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))

        def tick() -> None:
            connection.execute(TICK, {"now": datetime.now(UTC)})
            time.sleep(KEPT_SECONDS)

        for name, (path, mark, last, other, one) in PAGES.items():
            paints, whole, floors, refreshes = [], [], [], []
            for _ in range(ROUNDS):
                context = browser.new_context(viewport={"width": 1440, "height": 1100})
                page = context.new_page()
                tick()
                began = time.perf_counter()
                page.goto(f"{base}/{path}", wait_until="commit")
                page.wait_for_selector("[data-testid=stApp]")
                floors.append(time.perf_counter() - began)
                page.wait_for_selector(mark)
                paints.append(time.perf_counter() - began)
                if last:
                    page.wait_for_selector(last)
                    whole.append(time.perf_counter() - began)
                page.wait_for_timeout(1500)
                for currency, text in (("IDR", other), ("USD", one)):
                    tick()
                    refreshes.append(_click(page, currency, text))
                context.close()
            _report(f"{name}: first paint", paints, FIRST_PAINT_SECONDS, statistics.median(floors))
            if whole:
                _report(f"{name}: with its charts", whole, None, statistics.median(floors))
            _report(f"{name}: refresh", refreshes, REFRESH_SECONDS, None)
        browser.close()


def _click(page: object, currency: str, text: str) -> float:
    from playwright.sync_api import Page

    assert isinstance(page, Page)
    button: Callable[[], object] = page.get_by_role("radio", name=currency).first.click
    began = time.perf_counter()
    button()
    page.get_by_text(text).first.wait_for()
    return time.perf_counter() - began


def _report(what: str, seen: list[float], goal: float | None, floor: float | None) -> None:
    worst, middle = max(seen), statistics.median(seen)
    beside = "" if floor is None else f"; floor {floor:.2f} s (Streamlit's empty frame)"
    asked = "no goal" if goal is None else f"under {goal:.0f} s"
    is_reached = goal is None or middle < goal
    bound = f"{asked}; worst {worst:.2f} s{beside}"
    say(f"{what}, median of {len(seen)}", f"{middle:.2f} s", bound, reached=is_reached)
