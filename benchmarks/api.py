"""The API over ten million rows: wrk sends requests while new prices are stored every minute.

The environment variable API_SECONDS (default 300) sets how long the last round lasts.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
import requests

from benchmarks import days
from benchmarks.results import Result, Unavailable
from benchmarks.scale import measure_median_seconds, server
from safe_zone import ROOT, Settings
from sentinel.storage.connection import Address
from services.api.connection_pool import ConnectionPool
from services.api.dependencies import ApiContext
from services.api.routes.overview import get_overview
from services.settings import MonitorSettings

CONNECTIONS, THREADS = 32, 2
# The shortest interval of the loop.
TICK_SECONDS = 60
# Memory may grow to this multiple during the last round.
MAX_MEMORY_GROWTH = 1.10


class Size(NamedTuple):
    """How much to measure."""

    history: days.History
    # A round of requests.
    round_seconds: int
    # By then every history was cached and dropped once.
    warm_up_seconds: int
    # The round over which memory must stay flat.
    soak_seconds: int


FULL = Size(days.FULL, 20, 90, int(os.environ.get("API_SECONDS", "300")))
SMOKE = Size(days.SMOKE, 1, 1, 1)

# Each thread of wrk runs a script of its own, with other random numbers.
SEED_THREADS = """
threads = 0
setup = function(thread)
  thread:set("seed", threads)
  threads = threads + 1
end
init = function(arguments)
  math.randomseed(seed)
end
"""
# Each request reads the last seven days of a random coin, in the step that the API chooses (30
# minutes).
CACHED_HISTORIES = """
request = function()
  return wrk.format("GET", "/coins/coin-" .. math.random(0, {last}) .. "/history?hours=168")
end
"""
# The same with another start each time, so that the API cannot use its cache. It refuses parameters
# that it does not know.
RENDERED_HISTORIES = """
request = function()
  local start = string.format("{start}", math.random(0, 999999))
  return wrk.format("GET", "/coins/coin-" .. math.random(0, {last}) .. "/history?start=" .. start)
end
"""
# The page of a random coin, nearly always one that is not in the cache.
RENDERED_PAGES = """
request = function()
  return wrk.format("GET", "/coins/coin-" .. math.random(0, {last}) .. "/page?points="
    .. math.random(350, 2000))
end
"""
TICK = """
WITH tick AS (
    INSERT INTO sentinel.observations (observed_at, price_usd, coin_key)
    SELECT %(now)s, random() * 1000, coin_key FROM sentinel.coins RETURNING observed_at,
        price_usd, coin_key)
UPDATE sentinel.coins c SET observed_at = t.observed_at, price_usd = t.price_usd
FROM tick t WHERE t.coin_key = c.coin_key
"""


class WrkResult(NamedTuple):
    """The result of one round of wrk."""

    # The 99th percentile of the response time.
    p99_ms: float
    responses_per_second: float
    errors: int


def measure(is_smoke: bool) -> Iterator[Result]:
    size = SMOKE if is_smoke else FULL
    if shutil.which("wrk") is None:
        raise Unavailable("wrk is not installed (apt-get install wrk)")
    now = datetime.now(UTC)
    with server() as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            days.fill(connection, size.history, now)
            connection.execute(TICK, {"now": now})
        yield from _measure_overview(conninfo)
        with tempfile.TemporaryDirectory() as folder, _running_api(conninfo, folder) as (base, api):
            yield from _measure_rounds(base, Path(folder), now, api, size)


@contextmanager
def _running_api(conninfo: str, folder: str) -> Iterator[tuple[str, psutil.Process]]:
    """Start the API and the ticks; yield the API's address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "DATABASE_URL": conninfo,
        "SENTINEL_API_PORT": str(port),
        "SENTINEL_STATE_DIR": folder,
    }
    api = subprocess.Popen([sys.executable, "-m", "services.api"], cwd=ROOT, env=environment)
    stop = threading.Event()
    writer = threading.Thread(target=keep_ticking, args=(conninfo, stop))
    writer.start()
    try:
        base = f"http://127.0.0.1:{port}"
        wait_for(f"{base}/coins?limit=1")
        yield base, psutil.Process(api.pid)
    finally:
        stop.set()
        writer.join()
        api.terminate()
        api.wait()


def _measure_rounds(
    base: str, folder: Path, now: datetime, api: psutil.Process, size: Size
) -> Iterator[Result]:
    start = f"{now - timedelta(days=7):%Y-%m-%dT%H:%M:%S}.%06dZ"
    values = {"last": size.history.coins - 1, "start": start}
    cached, rendered, pages = (folder / f"{name}.lua" for name in ("cached", "rendered", "pages"))
    cached.write_text(SEED_THREADS + CACHED_HISTORIES.format(**values))
    rendered.write_text(SEED_THREADS + RENDERED_HISTORIES.format(**values))
    pages.write_text(SEED_THREADS + RENDERED_PAGES.format(**values))
    floor = _run_wrk(f"{base}/docs", size.round_seconds)
    latest = _run_wrk(f"{base}/coins?limit=500", size.round_seconds)
    yield from _report("latest prices of all coins", latest, floor, at_most_ms=50)
    fresh = _run_wrk(base, size.round_seconds, rendered)
    yield from _report("7 days, not cached", fresh, floor)
    page = _run_wrk(base, size.round_seconds, pages)
    yield from _report("page of a coin, not cached", page, floor, at_most_ms=None)
    overview = _run_wrk(f"{base}/overview", size.round_seconds)
    yield from _report("overview", overview, floor)
    _run_wrk(base, size.warm_up_seconds, cached)
    before = api.memory_info().rss
    history = _run_wrk(base, size.soak_seconds, cached)
    after = api.memory_info().rss
    yield from _report(f"7 days of any coin, {size.soak_seconds} s", history, floor)
    yield Result(
        "memory after that round", after / 1e6, "MB", at_most=MAX_MEMORY_GROWTH * before / 1e6
    )


def _measure_overview(conninfo: str) -> Iterator[Result]:
    pool = ConnectionPool(Address(conninfo, "benchmark"))
    settings = MonitorSettings(settings=Settings(database_url=conninfo))
    context = ApiContext(pool, settings, lambda: datetime.now(UTC))
    pool.open()
    seconds = measure_median_seconds(lambda: get_overview(context), 10)
    pool.close()
    yield Result("overview, not cached", seconds * 1e3, "ms", at_most=500)


def _report(
    label: str, result: WrkResult, floor: WrkResult, *, at_most_ms: float | None = 100
) -> Iterator[Result]:
    note = "a page without data"
    yield Result(
        f"{label}: p99", result.p99_ms, "ms", at_most=at_most_ms, floor=floor.p99_ms, note=note
    )
    rate, best = result.responses_per_second, floor.responses_per_second
    yield Result(f"{label}: responses", rate, "per second", floor=best, note=note)
    yield Result(f"{label}: errors", result.errors, "errors", at_most=0)


def _run_wrk(url: str, seconds: int, script: Path | None = None) -> WrkResult:
    options = [f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    script_option = ["-s", str(script)] if script else []
    output = subprocess.run(
        ["wrk", *options, *script_option, url], check=True, capture_output=True, text=True
    ).stdout
    percentile = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert percentile
    assert rate
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}[percentile[2]]
    bad_statuses = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    socket_errors = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output
    )
    errors = int(bad_statuses[1]) if bad_statuses else 0
    errors += sum(map(int, socket_errors.groups())) if socket_errors else 0
    return WrkResult(float(percentile[1]) * scale, float(rate[1]), errors)


def keep_ticking(conninfo: str, stop: threading.Event) -> None:
    """Store new prices at each tick, as the loop does; the API's cached responses expire then."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while True:
            connection.execute(TICK, {"now": datetime.now(UTC)})
            if stop.wait(TICK_SECONDS):
                return


def wait_for(url: str) -> None:
    """Wait until a URL returns a successful response."""
    for _ in range(100):
        try:
            requests.get(url, timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"{url} does not answer")
