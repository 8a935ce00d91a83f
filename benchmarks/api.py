"""The API over ten million rows: wrk sends requests while new prices are stored every minute.

The environment variable API_SECONDS (default 300) sets how long the last round lasts, over which
memory must stay flat.
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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
import requests

from benchmarks import days
from benchmarks.scale import print_heading, print_result, server
from safe_zone import ROOT

CONNECTIONS, THREADS = 32, 2
# The shortest interval of the loop.
TICK_SECONDS = 60
ROUND_SECONDS = 20
SOAK_SECONDS = int(os.environ.get("API_SECONDS", "300"))
# By then every history was cached and dropped once.
WARM_UP_SECONDS = 90
# Memory may grow to this multiple during the last round.
MAX_MEMORY_GROWTH = 1.10

# Each request reads the last seven days of a random coin, in the step that the API chooses (30
# minutes).
CACHED_HISTORIES = """
math.randomseed({seed})
request = function()
  return wrk.format("GET", "/coins/coin-" .. math.random(0, {last}) .. "/history?start={start}")
end
"""
# The same with a new query each time, so that the API cannot use its cache.
RENDERED_HISTORIES = """
math.randomseed({seed})
n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/coins/coin-" .. math.random(0, {last}) .. "/history?start={start}&n="
    .. n .. "-" .. math.random(0, 1000000000))
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


def main() -> None:
    """Measure the API, or explain why not."""
    print_heading(
        f"API: {days.ROWS:,} rows, {CONNECTIONS} connections, a tick every {TICK_SECONDS} s"
    )
    if shutil.which("wrk") is None:
        print("skipped: wrk is not installed (apt-get install wrk)", flush=True)
        return
    now = datetime.now(UTC)
    with server() as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            days.fill(connection, now)
        _measure(conninfo, now)


def _measure(conninfo: str, now: datetime) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "DATABASE_URL": conninfo,
            "SENTINEL_API_PORT": str(port),
            "SENTINEL_STATE_DIR": folder,
        }
        api = subprocess.Popen([sys.executable, "-m", "services.api"], cwd=ROOT, env=environment)
        stop = threading.Event()
        writer = threading.Thread(target=keep_ticking, args=(conninfo, stop))
        try:
            base = f"http://127.0.0.1:{port}"
            wait_for(f"{base}/coins?limit=1")
            writer.start()
            _run_rounds(base, Path(folder), now, psutil.Process(api.pid))
        finally:
            stop.set()
            writer.join()
            api.terminate()
            api.wait()


def _run_rounds(base: str, folder: Path, now: datetime, api: psutil.Process) -> None:
    script = folder / "histories.lua"
    start = f"{now - timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
    script.write_text(CACHED_HISTORIES.format(seed=1, last=days.COINS - 1, start=start))
    floor = _run_wrk(f"{base}/docs", ROUND_SECONDS)
    latest = _run_wrk(f"{base}/coins?limit=500", ROUND_SECONDS)
    _report("latest of 500 coins", latest, floor)
    rendered = folder / "rendered.lua"
    rendered.write_text(RENDERED_HISTORIES.format(seed=1, last=days.COINS - 1, start=start))
    fresh = _run_wrk(base, ROUND_SECONDS, rendered)
    figure = f"{fresh.p99_ms:.1f} ms"
    bound = f"no goal; {fresh.responses_per_second:,.0f} per second"
    print_result("7 days, not cached, p99", figure, bound, is_reached=True)
    _run_wrk(base, WARM_UP_SECONDS, script)
    before = api.memory_info().rss
    history = _run_wrk(base, SOAK_SECONDS, script)
    after = api.memory_info().rss
    _report(f"7 days of any of 500 coins, {SOAK_SECONDS} s", history, floor)
    growth = after / before
    figure = f"{before / 1e6:.0f} to {after / 1e6:.0f} MB"
    print_result("memory during that round", figure, "flat", is_reached=growth < MAX_MEMORY_GROWTH)


def _report(label: str, result: WrkResult, floor: WrkResult) -> None:
    bound = f"under 100 ms; floor {floor.p99_ms:.1f} ms (a page without data)"
    print_result(f"{label}, p99", f"{result.p99_ms:.1f} ms", bound, is_reached=result.p99_ms < 100)
    figure = f"{result.responses_per_second:,.0f}"
    print_result(
        f"{label}, per second",
        figure,
        f"no goal; {floor.responses_per_second:,.0f}",
        is_reached=True,
    )
    print_result(f"{label}, errors", str(result.errors), "0", is_reached=result.errors == 0)


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
        while not stop.wait(TICK_SECONDS):
            connection.execute(TICK, {"now": datetime.now(UTC)})


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
