"""The alert budget: k solved on one half of a history, the rate that comes of it on the other.

ALERTS_CSV=FILE replays prices of your own (timestamp,coin_id,price) instead of drawn ones.
"""

from __future__ import annotations

import dataclasses
import math
import os
import random
from pathlib import Path

from benchmarks.scale import heading, say, seconds
from sentinel.backtesting import price_csv
from services.ingestion import calibration
from services.ingestion.alerting import rules_of
from services.ingestion.calibration import Series
from services.settings import MonitorOptions

COINS, DAYS, STEP = 30, 60, 3600.0
WISHES = (1.0, 2.0, 4.0)
SPEED_POINTS = 20_000


Histories = dict[str, Series]


def _drawn() -> Histories:
    """Walks whose volatility wanders, with jumps: the second half is no copy of the first."""
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
    histories: Histories = dict(price_csv.read(Path(path))) if path else _drawn()
    points = sum(map(len, histories.values()))
    heading(f"Alerts: {len(histories)} coins, {points:,} prices, {path or 'drawn'}")
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
    rules = rules_of(MonitorOptions())
    span = sum(calibration.weeks(later[coin]) for coin in coins)
    for wish in WISHES:
        own = dataclasses.replace(rules, per_week=wish)
        solved = calibration.solve({coin: early[coin] for coin in coins}, wish, own)

        def rate(budget: float | None, k: calibration.Calibration = solved) -> float:
            held = dataclasses.replace(rules, per_week=budget)
            return (
                sum(
                    len(calibration.replay(later[coin], dataclasses.replace(held, k=k.k[coin])))
                    for coin in coins
                )
                / span
            )

        kept = rate(wish)
        bound = f"within 25 %; {rate(None):.2f} with k held still"
        reached = abs(kept / wish - 1) <= 0.25
        say(f"{wish:g} a week wished, on the later {name}", f"{kept:.2f}", bound, reached=reached)


def _speed() -> None:
    walk = _drawn()["coin-0"]
    walk = [(n * 60.0, walk[n % len(walk)][1]) for n in range(SPEED_POINTS)]
    rules = rules_of(MonitorOptions())
    taken = seconds(lambda: calibration.replay(walk, rules)) / SPEED_POINTS
    floor = seconds(lambda: [math.log(price) for _, price in walk]) / SPEED_POINTS
    bound = f"no goal; floor {floor * 1e6:.2f} µs (a logarithm)"
    say("one observation through a tracker", f"{taken * 1e6:.2f} µs", bound, reached=True)
