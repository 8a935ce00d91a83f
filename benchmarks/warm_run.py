"""A run of 500 known coins with 80 ms latency: time, API calls, round trips, memory."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.scale import print_heading, print_result, scratch_folder
from demo.market import Market
from demo.server import StandIn, running
from safe_zone import ROOT
from sentinel.storage import embedded
from tests.support import network

RUNS = 7
LATENCY_SECONDS = 0.080
ONE_WAY_SECONDS = 0.040
IMPORTS = "import requests, psycopg, pydantic, tenacity, pybreaker, dotenv"


class _Clock:
    """Starts yesterday. Each run moves it by 15 minutes, so that every run finds new prices."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC) - timedelta(days=1)

    def now(self) -> float:
        return self.at.timestamp()


def _run(environment: dict[str, str]) -> tuple[float, float, dict[str, Any]]:
    """Return the seconds of the whole process, its peak memory in MB, and its report."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, ROOT / "ingest.py", "--json"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    report: dict[str, Any] = json.loads(output)
    assert report["exit_code"] == 0, report["message"]
    return time.perf_counter() - started, _megabytes(usage), report


def _megabytes(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def _imports_seconds() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.perf_counter() - started


def _measure(title: str, environment: dict[str, str], clock: _Clock) -> dict[str, Any]:
    taken: list[float] = []
    floors: list[float] = []
    memory = 0.0
    report: dict[str, Any] = {}
    for _ in range(RUNS):
        clock.at += timedelta(minutes=15)
        seconds, peak, report = _run(environment)
        assert report["rows_inserted"] == 500
        taken.append(seconds)
        memory = max(memory, peak)
        floors.append(_imports_seconds() + LATENCY_SECONDS)
    seconds, floor = statistics.median(taken), statistics.median(floors)
    bound = f"at most 1.00 s; floor {floor:.2f} s (imports + latency), ratio {seconds / floor:.1f}"
    print_result(f"{title}: whole process", f"{seconds:.2f} s", bound, is_reached=seconds <= 1.0)
    print_result(
        f"{title}: peak memory", f"{memory:.0f} MB", "under 120 MB", is_reached=memory < 120
    )
    return report


def main() -> None:
    print_heading(
        f"Warm run: 500 coins, the stand-in {LATENCY_SECONDS * 1e3:.0f} ms away, {RUNS} runs"
    )
    clock = _Clock()
    stand_in = StandIn(Market(), latency_seconds=LATENCY_SECONDS, now=clock.now)
    with scratch_folder() as folder, running(stand_in):
        environment = {
            "COINGECKO_BASE_URL": stand_in.base_url,
            "COINGECKO_API_KEY": "a-demo-key",
            "SENTINEL_STATE_DIR": str(folder / "state"),
            "SENTINEL_REGISTRY": str(folder / "coin_registry.json"),
            "DATABASE_URL": "",
        }
        _run(environment)
        _measure("embedded server, its start and stop included", environment, clock)
        with embedded.ensure_running(folder / "server") as conninfo:
            _run(environment | {"DATABASE_URL": conninfo})
            report = _measure(
                "server already running", environment | {"DATABASE_URL": conninfo}, clock
            )
            calls = report["api_calls"]
            print_result("API calls of a warm run", str(calls), "1", is_reached=calls == 1)
            _measure_far(conninfo, environment, clock)


def _measure_far(conninfo: str, environment: dict[str, str], clock: _Clock) -> None:
    host = dict(part.split("=", 1) for part in conninfo.split())["host"]
    with network.between(str(Path(host) / ".s.PGSQL.5432"), ONE_WAY_SECONDS) as line:
        url = f"postgresql://postgres@127.0.0.1:{line.port}/postgres?sslmode=disable"
        clock.at += timedelta(minutes=15)
        _, _, report = _run(environment | {"DATABASE_URL": url})
        trips = line.round_trips
    held = report["db_seconds"]
    print_result(
        "database round trips, TCP connect included",
        str(trips),
        "at most 12",
        is_reached=trips <= 12,
    )
    bound = f"at most 1 s; floor {trips * 2 * ONE_WAY_SECONDS:.2f} s (round trips alone)"
    print_result("database held, 40 ms each way", f"{held:.2f} s", bound, is_reached=held <= 1.0)
