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
from benchmarks.scale import server
from safe_zone import ROOT

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

# Each request reads the last seven days of a random coin, in the step that the API chooses (30
# minutes).
CACHED_HISTORIES = """
math.randomseed({seed})
request = function()
  return wrk.format("GET", "/coins/coin-" .. math.random(0, {last}) .. "/history?start={start}")
end
"""
# The same with another microsecond each time, so that the API cannot use its cache. It refuses
# parameters that it does not know.
RENDERED_HISTORIES = """
math.randomseed({seed})
n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/coins/coin-" .. math.random(0, {last}) .. "/history?start={second}."
    .. string.format("%06d", n % 1000000) .. "Z")
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
    second = f"{now - timedelta(days=7):%Y-%m-%dT%H:%M:%S}"
    values = {
        "seed": 1,
        "last": size.history.coins - 1,
        "second": second,
        "start": f"{second}Z",
    }
    cached, rendered = folder / "cached.lua", folder / "rendered.lua"
    cached.write_text(CACHED_HISTORIES.format(**values))
    rendered.write_text(RENDERED_HISTORIES.format(**values))
    floor = _run_wrk(f"{base}/docs", size.round_seconds)
    latest = _run_wrk(f"{base}/coins?limit=500", size.round_seconds)
    yield from _report("latest prices of all coins", latest, floor)
    fresh = _run_wrk(base, size.round_seconds, rendered)
    yield Result("7 days, not cached: p99", fresh.p99_ms, "ms")
    yield Result("7 days, not cached: responses", fresh.responses_per_second, "per second")
    _run_wrk(base, size.warm_up_seconds, cached)
    before = api.memory_info().rss
    history = _run_wrk(base, size.soak_seconds, cached)
    after = api.memory_info().rss
    yield from _report(f"7 days of any coin, {size.soak_seconds} s", history, floor)
    yield Result(
        "memory after that round", after / 1e6, "MB", at_most=MAX_MEMORY_GROWTH * before / 1e6
    )


def _report(label: str, result: WrkResult, floor: WrkResult) -> Iterator[Result]:
    note = "a page without data"
    yield Result(f"{label}: p99", result.p99_ms, "ms", at_most=100, floor=floor.p99_ms, note=note)
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
