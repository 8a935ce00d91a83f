"""A run with alerts against the same run without, 40 ms each way from the database.

20 coins with 28 days of prices are watched. The target is on loopback; one that hangs is cut off by
the run.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.results import Result
from benchmarks.scale import scratch_folder
from benchmarks.warm_run import LATENCY_SECONDS, ONE_WAY_SECONDS, Runs
from demo.server import running
from pipeline.alert_stage import ATTEMPT_SECONDS
from sentinel.alerting.options import MonitorOptions
from sentinel.notifications import outbox
from sentinel.notifications.messages import Message
from sentinel.notifications.targets import make_targets
from sentinel.storage import embedded
from sentinel.storage.connection import parse_address
from tests.support import network
from tests.support.monitor import Reply, Target, listening, load

QUARTER = timedelta(minutes=15)


class Size(NamedTuple):
    """How much to measure."""

    # The coins that the stand-in lists; a run fetches the first 500 of them.
    coins: int
    # Days of stored prices, four an hour.
    days: int
    # Runs between the first one with alerts and the measured ones: each calibrates one coin.
    runs_between: int


FULL, SMOKE = Size(17_000, 28, MonitorOptions().top_coins), Size(30, 1, 0)


class Cost(NamedTuple):
    """What a run cost."""

    round_trips: int
    received_bytes: int
    report: dict[str, Any]

    def results(self, name: str, most_trips: int | None, most_seconds: float) -> Iterator[Result]:
        """Yield the figures. Each round trip takes at least LATENCY_SECONDS."""
        held, floor = self.report["db_seconds"], self.round_trips * LATENCY_SECONDS
        yield Result(f"{name}: round trips", self.round_trips, "", at_most=most_trips)
        yield Result(f"{name}: database held", held, "s", at_most=most_seconds, floor=floor)
        yield Result(f"{name}: received", self.received_bytes / 1000, "kB")


def measure(is_smoke: bool) -> Iterator[Result]:
    size = SMOKE if is_smoke else FULL
    runs = Runs(size.coins)
    with (
        scratch_folder() as folder,
        running(runs.stand_in),
        embedded.ensure_running(folder / "server") as conninfo,
        listening() as target,
    ):
        environment = {
            "COINGECKO_BASE_URL": runs.stand_in.base_url,
            "COINGECKO_API_KEY": "a-demo-key",
            "SENTINEL_STATE_DIR": str(folder / "state"),
            "SENTINEL_REGISTRY": str(folder / "coin_registry.json"),
            "DATABASE_URL": conninfo,
        }
        runs.run(environment)
        _store_history(conninfo, runs, size)
        yield from _measure_far_runs(conninfo, runs, environment, target, size)


def _measure_far_runs(
    conninfo: str, runs: Runs, environment: dict[str, str], target: Target, size: Size
) -> Iterator[Result]:
    alerting = environment | {"ALERT_URLS": target.url}
    yield from _run_far(conninfo, runs, environment).results("without alerts", 12, 1.2)
    first = _run_far(conninfo, runs, alerting)
    yield from first.results("first with alerts, two weeks of prices, test message", None, 6)
    if size is SMOKE:
        return
    calibrating = _run_far(conninfo, runs, alerting)
    yield from calibrating.results("with alerts, one coin is recalibrated", None, 4)
    for _ in range(size.runs_between):
        runs.run(alerting)
    yield from _run_far(conninfo, runs, alerting).results("with alerts, no message", 22, 2)
    _queue_message(conninfo, target)
    sending = _run_far(conninfo, runs, alerting)
    assert sending.report["messages_sent"] == 1
    yield from sending.results("with alerts, one message", 32, 3)
    target.always = Reply(stall=120)
    _queue_message(conninfo, target)
    hanging = _run_far(conninfo, runs, alerting)
    yield from hanging.results("the target hangs", 32, 3 + ATTEMPT_SECONDS)


def _run_far(conninfo: str, runs: Runs, environment: dict[str, str]) -> Cost:
    """Make a run whose database is far away."""
    socket = f"{conninfo_to_dict(conninfo)['host']}/.s.PGSQL.5432"
    with network.between(socket, ONE_WAY_SECONDS) as line:
        url = f"postgresql://postgres@127.0.0.1:{line.port}/postgres?sslmode=disable"
        _, report = runs.run(environment | {"DATABASE_URL": url})
        return Cost(line.round_trips, line.received_bytes, report)


def _store_history(conninfo: str, runs: Runs, size: Size) -> None:
    """Store prices of the watched coins until the newest run, as a random walk."""
    dice = random.Random(7)
    rows = []
    for coin in runs.stand_in.market.ranked[: MonitorOptions().top_coins]:
        price = coin.price_at(runs.at.timestamp())
        for n in range(1, size.days * 96):
            price *= math.exp(dice.gauss(0, 0.003))
            rows.append((runs.at - n * QUARTER, coin.id, price))
    load(parse_address(conninfo), rows, runs.at)


def _queue_message(conninfo: str, target: Target) -> None:
    [name] = [each.name for each in make_targets([target.url])]
    with closing(psycopg.connect(conninfo, autocommit=True)) as connection:
        [(now,)] = connection.execute("SELECT now()").fetchall()
        message = Message("market", f"benchmark:{now}", "A message", "Body", "market")
        outbox.queue_message(connection, message, [name], now)
