"""The target rate of alerts: calibrate on one half of a history, count alerts on the other.

ALERTS_CSV=FILE replays these prices (timestamp,coin_id,price) instead of random ones.
"""

from __future__ import annotations

import dataclasses
import math
import os
import random
from pathlib import Path

from benchmarks.scale import measure_seconds, print_heading, print_result
from sentinel.analytics import calibration
from sentinel.analytics.calibration import Series
from sentinel.backtesting import price_csv
from services.ingestion.alerting import make_rules
from services.settings import MonitorOptions

COINS, DAYS, STEP = 30, 60, 3600.0
TARGET_RATES = (1.0, 2.0, 4.0)
SPEED_POINTS = 20_000


Histories = dict[str, Series]


def _random_histories() -> Histories:
    """Return random walks with jumps and a changing volatility: the two halves differ."""
    dice = random.Random(3)
    found: Histories = {}
    for coin in range(COINS):
        price, wild, walk = 100.0, 0.004, []
        for n in range(int(DAYS * 86_400 / STEP)):
            wild = min(0.03, max(0.001, wild * math.exp(dice.gauss(0, 0.05))))
            price *= math.exp(dice.gauss(0, wild) + (dice.random() < 0.003) * dice.gauss(0, 0.06))
            walk.append((n * STEP, price))
        found[f"coin-{coin}"] = walk
    return found


def main() -> None:
    path = os.environ.get("ALERTS_CSV")
    histories: Histories = dict(price_csv.read(Path(path))) if path else _random_histories()
    points = sum(map(len, histories.values()))
    print_heading(f"Alerts: {len(histories)} coins, {points:,} prices, {path or 'random walks'}")
    times = sorted(at for series in histories.values() for at, _ in series)
    for name, middle in (
        ("prices", times[len(times) // 2]),
        ("time", (times[0] + times[-1]) / 2),
    ):
        _halves(histories, middle, f"half of the {name}")
    _speed()


def _halves(histories: Histories, middle: float, name: str) -> None:
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

        actual = rate(target)
        bound = f"within 25 %; {rate(None):.2f} with a fixed multiplier"
        is_reached = abs(actual / target - 1) <= 0.25
        title = f"target of {target:g} alerts a week, on the later {name}"
        print_result(title, f"{actual:.2f}", bound, is_reached=is_reached)


def _speed() -> None:
    walk = _random_histories()["coin-0"]
    walk = [(n * 60.0, walk[n % len(walk)][1]) for n in range(SPEED_POINTS)]
    rules = make_rules(MonitorOptions())
    taken = measure_seconds(lambda: calibration.replay_series(walk, rules)) / SPEED_POINTS
    floor = measure_seconds(lambda: [math.log(price) for _, price in walk]) / SPEED_POINTS
    bound = f"no goal; floor {floor * 1e6:.2f} µs (a logarithm)"
    print_result(
        "one observation through a tracker", f"{taken * 1e6:.2f} µs", bound, is_reached=True
    )
