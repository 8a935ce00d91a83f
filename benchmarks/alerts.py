"""The target rate of alerts: calibrate on one half of a history, count alerts on the other.

ALERTS_CSV=FILE replays these prices (timestamp,coin_id,price) instead of random ones.
"""

from __future__ import annotations

import dataclasses
import math
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.results import Result
from benchmarks.scale import measure_seconds
from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.stage import make_rules
from sentinel.analytics import calibration
from sentinel.analytics.calibration import Series
from sentinel.backtesting import price_csv

STEP_SECONDS = 3600.0
TARGET_RATES = (1.0, 2.0, 4.0)


Histories = dict[str, Series]


class Size(NamedTuple):
    """How much to replay."""

    coins: int
    days: int
    # The observations of the speed test.
    speed_points: int


FULL, SMOKE = Size(30, 60, 20_000), Size(2, 10, 500)


def _random_histories(size: Size) -> Histories:
    """Return random walks with jumps and a changing volatility: the two halves differ."""
    dice = random.Random(3)
    found: Histories = {}
    for coin in range(size.coins):
        price, wild, walk = 100.0, 0.004, []
        for n in range(int(size.days * 86_400 / STEP_SECONDS)):
            wild = min(0.03, max(0.001, wild * math.exp(dice.gauss(0, 0.05))))
            price *= math.exp(dice.gauss(0, wild) + (dice.random() < 0.003) * dice.gauss(0, 0.06))
            walk.append((n * STEP_SECONDS, price))
        found[f"coin-{coin}"] = walk
    return found


def measure(is_smoke: bool) -> Iterator[Result]:
    size = SMOKE if is_smoke else FULL
    path = os.environ.get("ALERTS_CSV")
    histories: Histories = dict(price_csv.read(Path(path))) if path else _random_histories(size)
    times = sorted(at for series in histories.values() for at, _ in series)
    for name, middle in (
        ("prices", times[len(times) // 2]),
        ("time", (times[0] + times[-1]) / 2),
    ):
        yield from _measure_halves(histories, middle, f"half of the {name}")
    yield _measure_speed(size)


def _measure_halves(histories: Histories, middle: float, name: str) -> Iterator[Result]:
    early = {coin: [p for p in series if p[0] < middle] for coin, series in histories.items()}
    later = {coin: [p for p in series if p[0] >= middle] for coin, series in histories.items()}
    coins = [coin for coin in histories if len(early[coin]) > 1 and len(later[coin]) > 1]
    rules = make_rules(MonitorOptions())
    span = sum(calibration.length_weeks(later[coin]) for coin in coins)
    for target in TARGET_RATES:
        own = dataclasses.replace(rules, target_rate=target)
        calibrated = calibration.calibrate({coin: early[coin] for coin in coins}, target, own)

        def rate(target_rate: float | None, found: calibration.Calibration = calibrated) -> float:
            fixed = dataclasses.replace(rules, target_rate=target_rate)
            alerts = 0
            for coin in coins:
                own_rules = dataclasses.replace(fixed, multiplier=found.multipliers[coin])
                alerts += len(calibration.replay_series(later[coin], own_rules))
            return alerts / span

        title = f"target of {target:g} alerts, on the later {name}"
        unit, low, high = "a week", 0.75 * target, 1.25 * target
        yield Result(title, rate(target), unit, at_least=low, at_most=high)
        yield Result(f"{title}, with a fixed multiplier", rate(None), unit)


def _measure_speed(size: Size) -> Result:
    points = size.speed_points
    walk = _random_histories(size)["coin-0"]
    walk = [(n * 60.0, walk[n % len(walk)][1]) for n in range(points)]
    rules = make_rules(MonitorOptions())
    taken = measure_seconds(lambda: calibration.replay_series(walk, rules)) / points
    floor = measure_seconds(lambda: [math.log(price) for _, price in walk]) / points
    what = "one observation through a tracker"
    return Result(what, taken * 1e6, "µs", floor=floor * 1e6, note="a logarithm")
