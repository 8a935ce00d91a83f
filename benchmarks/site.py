"""The public page of 500 coins with 60 days: reading its figures, near and far, and rendering it.

An hour of a schedule reads them once. Neon's Free plan allows 5 GB a month.
"""

from __future__ import annotations

import functools
import http.server
import shutil
import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from playwright.sync_api import Browser, sync_playwright
from psycopg.conninfo import conninfo_to_dict

import budget_monitor
from benchmarks import days
from benchmarks.days import History
from benchmarks.processes import run_python
from benchmarks.results import Result, Unavailable
from benchmarks.scale import measure_median_seconds, measure_seconds, scratch_folder, server
from benchmarks.warm_run import ONE_WAY_SECONDS
from safe_zone import Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.coin import Coin
from sentinel.site.market import Market
from sentinel.site.market_reader import read_market
from sentinel.site.site_files import SiteFigures, render_site
from sentinel.site.status import Status
from sentinel.site.status_reader import Subject, read_status
from sentinel.storage.connection import Connection, open_connection, parse_address
from tests.support import network
from tests.support.browser import FLAGS
from tests.support.serving import serving

FULL, SMOKE = History(2_880_000, 60, 500), History(1_000, 2, 5)
HOURS_A_MONTH = 30 * 24
MAX_SECONDS, MAX_MEGABYTES = 2.0, 150
PAINT = """() => new Promise((resolve) => new PerformanceObserver((list) => {
  for (const entry of list.getEntriesByName("first-contentful-paint")) resolve(entry.startTime);
}).observe({ type: "paint", buffered: true }))"""
# A run a quarter of an hour, of which every fifth did not come. The best coin's rows of these slots
# are backfilled.
FILL_RUNS = """
INSERT INTO sentinel.pipeline_runs (
    run_id, started_at, recorded_at, mode, status, targets, rows_valid, rows_inserted, rows_updated,
    rows_unchanged, rows_backfilled, rows_drained, rejected, missing, api_calls, api_credits,
    db_seconds, purged_rows)
SELECT 'run ' || slot, %(first)s + slot * interval '15 minutes', %(first)s, 'ingest', 'ok',
       %(coins)s, %(coins)s, %(coins)s, 0, 0, 0, 0, '{}', '{}', 1, 1, 1, 0
FROM generate_series(0, %(slots)s - 1) AS slot
WHERE slot %% 5 <> 0
"""
MARK_BACKFILLED = """
UPDATE sentinel.observations o SET source = 'backfilled'
FROM sentinel.coins c
WHERE c.coin_key = o.coin_key AND c.rank = 1
  AND extract(epoch FROM o.observed_at - %(first)s)::int / 900 %% 5 = 0
"""


def measure(is_smoke: bool) -> Iterator[Result]:
    history = SMOKE if is_smoke else FULL
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with server() as conninfo, scratch_folder() as folder:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            days.fill(connection, history, midnight)
            first = midnight - timedelta(days=history.days)
            slots = {"first": first, "slots": history.days * 96, "coins": history.coins}
            connection.execute(FILL_RUNS, slots)
            connection.execute(MARK_BACKFILLED, {"first": first})
        now = midnight + timedelta(minutes=5)
        page = _Page(conninfo, history.coins, folder, now)
        yield from page.measure_far_reads(0.0 if is_smoke else ONE_WAY_SECONDS)
        yield from page.measure_near()
        yield from _measure_command(conninfo, folder, runs=1 if is_smoke else 5)
        yield from _measure_paint(folder / "site", rounds=1 if is_smoke else 7)


class _Page:
    """The page of one database at one time."""

    def __init__(self, conninfo: str, coins: int, folder: Path, now: datetime) -> None:
        self.conninfo, self.now = conninfo, now
        self.settings = Settings(state_dir=folder)
        budget = budget_monitor.check_budget_status(self.settings, now, usages=[])
        registry = [Coin(f"coin-{n}", f"c{n}", f"Coin {n}", n + 1) for n in range(coins)]
        self.subject = Subject(
            "schedule", timedelta(hours=1), budget, MonitorOptions(), registry, now
        )

    def read_status(self, connection: Connection) -> Status:
        return read_status(connection, self.settings, self.subject, self.now)

    def read_market(self, connection: Connection) -> Market:
        return read_market(connection, self.now)

    def measure_far_reads(self, one_way_seconds: float) -> Iterator[Result]:
        reads: tuple[tuple[str, Callable[[Connection], object], int], ...] = (
            ("status", self.read_status, 13),
            ("market", self.read_market, 1),
        )
        socket = f"{conninfo_to_dict(self.conninfo)['host']}/.s.PGSQL.5432"
        with network.between(socket, one_way_seconds) as line:
            url = f"postgresql://postgres@127.0.0.1:{line.port}/postgres?sslmode=disable"
            with open_connection(parse_address(url)) as connection:
                for name, read, most in reads:
                    trips, received = line.round_trips, line.received_bytes
                    seconds = measure_seconds(lambda read=read: read(connection))  # type: ignore[misc]
                    trips, received = line.round_trips - trips, line.received_bytes - received
                    yield Result(f"{name}: round trips", trips, "", at_most=most)
                    floor, note = trips * 2 * one_way_seconds, "the round trips alone"
                    title = f"{name}: read, 40 ms each way"
                    yield Result(title, seconds, "s", floor=floor, note=note)
                    yield Result(f"{name}: received", received / 1e3, "kB")
                    month = received * HOURS_A_MONTH / 1e6
                    yield Result(f"{name}: received in a month of hours", month, "MB", at_most=500)

    def measure_near(self) -> Iterator[Result]:
        with open_connection(parse_address(self.conninfo)) as connection:
            status, market = self.read_status(connection), self.read_market(connection)
            read_status = measure_median_seconds(lambda: self.read_status(connection), 5)
            read_market = measure_median_seconds(lambda: self.read_market(connection), 5)
        yield Result("status: read", read_status, "s", at_most=1)
        yield Result("market: read", read_market, "s", at_most=1)
        for name, figures, read in (
            ("status", SiteFigures(status), read_status),
            ("status and market", SiteFigures(status, market), read_status + read_market),
        ):
            files = render_site(figures)
            seconds = measure_median_seconds(lambda figures=figures: render_site(figures), 5)  # type: ignore[misc]
            size = sum(map(len, files.values()))
            yield Result(f"{name}: render", seconds, "s", at_most=1)
            yield Result(f"{name}: read and render", read + seconds, "s", at_most=MAX_SECONDS)
            yield Result(f"{name}: size of {len(files)} files", size / 1e6, "MB")


def _measure_command(conninfo: str, folder: Path, runs: int) -> Iterator[Result]:
    environment = {
        "DATABASE_URL": conninfo,
        "SENTINEL_STATE_DIR": str(folder),
        "SENTINEL_REGISTRY": str(folder / "coin_registry.json"),
        "PYTHONDONTWRITEBYTECODE": "",  # a user's machine keeps the compiled modules
    }
    command = ["-m", "pipeline.site", "--out", str(folder / "site"), "--with-market"]
    used = [run_python(command, environment) for _ in range(runs)]
    seconds = statistics.median(one.seconds for one in used)
    peak = max(one.peak_megabytes for one in used)
    yield Result("command with market: whole process", seconds, "s")
    yield Result("command with market: peak memory", peak, "MB", at_most=MAX_MEGABYTES)


def _measure_paint(folder: Path, rounds: int) -> Iterator[Result]:
    """Measure when a browser without a cache first shows something of each kind of page."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise Unavailable("Chromium is not installed (apt-get install chromium)")
    handler = functools.partial(_Handler, directory=str(folder))
    with (
        serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as served,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for name in ("index.html", "trust.html", "market.html", "coins/coin-0.html"):
            address = f"http://127.0.0.1:{served.server_port}/{name}"
            seconds = statistics.median(_time_paint(browser, address) for _ in range(rounds))
            yield Result(f"{name}: first paint with content", seconds, "s", at_most=0.5)
        browser.close()


def _time_paint(browser: Browser, address: str) -> float:
    context = browser.new_context(viewport={"width": 1440, "height": 1100})
    page = context.new_page()
    page.goto(address)
    seconds = float(page.evaluate(PAINT)) / 1e3
    context.close()
    return seconds


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""
