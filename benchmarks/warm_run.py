"""A run of known coins with 80 ms latency: time, API calls, round trips, memory.

A run and its floor are measured in turn, so that other work on the machine slows down both. The
floor is a process that imports the client's packages and waits for one response.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.processes import ProcessUse, run_python
from benchmarks.results import Result
from benchmarks.scale import scratch_folder
from demo.market import Market
from demo.server import StandIn, running
from safe_zone import ROOT
from sentinel.notifications.addresses import ALERT_VARIABLES
from sentinel.storage import embedded
from tests.support import network

LATENCY_SECONDS = 0.080
ONE_WAY_SECONDS = 0.040
IMPORTS = "import requests, psycopg, pydantic, tenacity, pybreaker, dotenv"
# A user's machine keeps the compiled modules, whatever this environment says. The user's own alert
# targets get nothing.
FIXED = {"PYTHONDONTWRITEBYTECODE": "", **dict.fromkeys(ALERT_VARIABLES, "")}


class Size(NamedTuple):
    """How much to measure."""

    # Pairs of a run and its floor.
    pairs: int
    # The coins that the stand-in lists; a run fetches the first 500 of them.
    coins: int


FULL, SMOKE = Size(15, 17_000), Size(1, 30)


class Runs:
    """Runs at times 15 minutes apart, from yesterday on, so that each run finds new prices."""

    def __init__(self, coins: int) -> None:
        self.at = datetime.now(UTC) - timedelta(days=1)
        self.stand_in = StandIn(
            Market(coins), latency_seconds=LATENCY_SECONDS, now=self._now, clock=time.time
        )

    def _now(self) -> float:
        return self.at.timestamp()

    def run(self, environment: dict[str, str]) -> tuple[ProcessUse, dict[str, Any]]:
        """Return what a run used, and its report."""
        self.at += timedelta(minutes=15)
        used = run_python([ROOT / "ingest.py", "--json"], FIXED | environment)
        report: dict[str, Any] = json.loads(used.stdout)
        assert report["rows_inserted"] == report["rows_valid"] > 0
        return used, report


def measure(is_smoke: bool) -> Iterator[Result]:
    size = SMOKE if is_smoke else FULL
    runs = Runs(size.coins)
    with scratch_folder() as folder, running(runs.stand_in):
        environment = {
            "COINGECKO_BASE_URL": runs.stand_in.base_url,
            "COINGECKO_API_KEY": "a-demo-key",
            "SENTINEL_STATE_DIR": str(folder / "state"),
            "SENTINEL_REGISTRY": str(folder / "coin_registry.json"),
            "DATABASE_URL": "",
        }
        yield from _measure_pairs("embedded server", 1.8, runs, environment, size.pairs)
        with embedded.ensure_running(folder / "server") as conninfo:
            environment["DATABASE_URL"] = conninfo
            yield from _measure_pairs("running server", 1.35, runs, environment, size.pairs)
            _, report = runs.run(environment)
            yield Result("API calls", report["api_calls"], "calls", at_most=1)
            yield from _measure_far_server(conninfo, runs, environment)


def _measure_pairs(
    server: str, most: float, runs: Runs, environment: dict[str, str], pairs: int
) -> Iterator[Result]:
    """Compare runs with their floor, after one run that creates and compiles everything."""
    runs.run(environment)
    used: list[ProcessUse] = []
    floors: list[float] = []
    for _ in range(pairs):
        used.append(runs.run(environment)[0])
        floors.append(run_python(["-c", IMPORTS]).seconds + LATENCY_SECONDS)
    seconds = statistics.median(one.seconds for one in used)
    floor = statistics.median(floors)
    note = "imports and latency"
    yield Result(f"{server}: whole process", seconds, "s", at_most=1, floor=floor, note=note)
    ratios = (one.seconds / floor for one, floor in zip(used, floors, strict=True))
    ratio = statistics.median(ratios)
    yield Result(f"{server}: times its floor, median of pairs", ratio, "", at_most=most, floor=1)
    peak = max(one.peak_megabytes for one in used)
    yield Result(f"{server}: peak memory", peak, "MB", at_most=120)


def _measure_far_server(conninfo: str, runs: Runs, environment: dict[str, str]) -> Iterator[Result]:
    host = dict(part.split("=", 1) for part in conninfo.split())["host"]
    with network.between(str(Path(host) / ".s.PGSQL.5432"), ONE_WAY_SECONDS) as line:
        url = f"postgresql://postgres@127.0.0.1:{line.port}/postgres?sslmode=disable"
        _, report = runs.run(environment | {"DATABASE_URL": url})
        trips = line.round_trips
    yield Result("database round trips, TCP connect included", trips, "", at_most=12)
    floor, note = trips * 2 * ONE_WAY_SECONDS, "the round trips alone"
    held = report["db_seconds"]
    yield Result("database held, 40 ms each way", held, "s", at_most=1, floor=floor, note=note)
