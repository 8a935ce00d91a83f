"""The API over ten million rows: wrk asks over 32 connections while a tick is stored every minute.

API_SECONDS=300 is how long the last round lasts, over which memory has to stay flat.
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
from benchmarks.scale import heading, say, server
from safe_zone import ROOT

CONNECTIONS, THREADS = 32, 2
TICK_SECONDS = 60  # the fastest there is
ROUND_SECONDS = 20
SOAK_SECONDS = int(os.environ.get("API_SECONDS", "300"))
WARM_UP_SECONDS = 90  # every history has been kept, and thrown away, once
MOST_GROWTH = 1.10

# Every request another coin's last seven days, in the step that the API chooses (30 minutes).
HISTORIES = """
math.randomseed({seed})
request = function()
  return wrk.format("GET", "/coins/coin-" .. math.random(0, {last}) .. "/history?start={start}")
end
"""
# The same, but never the same question twice.
RENDERED = """
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


class Answered(NamedTuple):
    """What wrk saw: the 99th percentile in milliseconds, answers a second, and errors."""

    p99_ms: float
    rate: float
    errors: int


def main() -> None:
    heading(f"API: {days.ROWS:,} rows, {CONNECTIONS} connections, a tick every {TICK_SECONDS} s")
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
            _rounds(base, Path(folder), now, psutil.Process(api.pid))
        finally:
            stop.set()
            writer.join()
            api.terminate()
            api.wait()


def _rounds(base: str, folder: Path, now: datetime, api: psutil.Process) -> None:
    script = folder / "histories.lua"
    start = f"{now - timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
    script.write_text(HISTORIES.format(seed=1, last=days.COINS - 1, start=start))
    floor = _wrk(f"{base}/docs", ROUND_SECONDS)
    latest = _wrk(f"{base}/coins?limit=500", ROUND_SECONDS)
    _report("latest of 500 coins", latest, floor)
    rendered = folder / "rendered.lua"
    rendered.write_text(RENDERED.format(seed=1, last=days.COINS - 1, start=start))
    fresh = _wrk(base, ROUND_SECONDS, rendered)
    figure = f"{fresh.p99_ms:.1f} ms"
    bound = f"no goal; {fresh.rate:,.0f} a second"
    say("7 days, none answered before, p99", figure, bound, reached=True)
    _wrk(base, WARM_UP_SECONDS, script)
    before = api.memory_info().rss
    history = _wrk(base, SOAK_SECONDS, script)
    after = api.memory_info().rss
    _report(f"7 days of any of 500 coins, {SOAK_SECONDS} s", history, floor)
    growth = after / before
    figure = f"{before / 1e6:.0f} to {after / 1e6:.0f} MB"
    say("memory over that time", figure, "flat", reached=growth < MOST_GROWTH)


def _report(what: str, seen: Answered, floor: Answered) -> None:
    bound = f"under 100 ms; floor {floor.p99_ms:.1f} ms (a page without data)"
    say(f"{what}, p99", f"{seen.p99_ms:.1f} ms", bound, reached=seen.p99_ms < 100)
    figure = f"{seen.rate:,.0f}"
    say(f"{what}, a second", figure, f"no goal; {floor.rate:,.0f}", reached=True)
    say(f"{what}, errors", str(seen.errors), "0", reached=seen.errors == 0)


def _wrk(url: str, seconds: int, script: Path | None = None) -> Answered:
    shape = [f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
    more = ["-s", str(script)] if script else []
    done = subprocess.run(
        ["wrk", *shape, *more, url], check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", done)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done)
    assert found
    assert rate
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]]
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", done)
    broken = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", done
    )
    errors = int(bad[1]) if bad else 0
    errors += sum(map(int, broken.groups())) if broken else 0
    return Answered(float(found[1]) * scale, float(rate[1]), errors)


def keep_ticking(conninfo: str, stop: threading.Event) -> None:
    """Store new prices now and then, as the loop would: answers kept by the API are void then."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while not stop.wait(TICK_SECONDS):
            connection.execute(TICK, {"now": datetime.now(UTC)})


def wait_for(url: str) -> None:
    """Wait until something answers well there."""
    for _ in range(100):
        try:
            requests.get(url, timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"{url} does not answer")
