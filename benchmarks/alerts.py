"""What alerts announce: calibrate on one half of a history, judge on the other.

ALERTS_CSV names price files (timestamp,coin_id,price), separated by a colon, or folders of them. It
replaces the random prices, which resemble a market: fat tails, calm and wild weeks, a common move.
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
from sentinel.analytics.falls import Score
from sentinel.backtesting import price_csv
from sentinel.console import show_table
from services.ingestion.replay import replay
from services.ingestion.replay_scores import Comparison, format_delay

STEP_SECONDS = 3600.0
TARGET_RATES = (1.0, 2.0, 4.0)
DEGREES_OF_FREEDOM = 3.5  # of the random returns: tails as fat as those of daily crypto returns
COLUMNS = ("series", "rule", "alerts a coin-week", "falls", "caught", "stray", "delay")

Histories = dict[str, Series]


class Size(NamedTuple):
    """How much to replay."""

    coins: int
    days: int
    # The observations of the speed test.
    speed_points: int


FULL, SMOKE = Size(30, 60, 20_000), Size(2, 10, 500)


def _random_histories(size: Size) -> Histories:
    """Return GARCH(1,1) walks with Student's t, 4 % a day; a third of each move is common."""
    dice = random.Random(3)
    steps = int(size.days * 86_400 / STEP_SECONDS)
    common = list(_random_returns(dice, steps))
    found: Histories = {}
    for coin in range(size.coins):
        price, walk = 100.0, []
        for n, own in enumerate(_random_returns(dice, steps)):
            price *= math.exp(common[n] * math.sqrt(1 / 3) + own * math.sqrt(2 / 3))
            walk.append((n * STEP_SECONDS, price))
        found[f"coin-{coin}"] = walk
    return found


def _random_returns(dice: random.Random, steps: int) -> Iterator[float]:
    usual = 0.04**2 * STEP_SECONDS / 86_400
    variance = usual
    for _ in range(steps):
        chi_squared = dice.gammavariate(DEGREES_OF_FREEDOM / 2, 2.0)
        shock = dice.gauss(0, 1) * math.sqrt((DEGREES_OF_FREEDOM - 2) / chi_squared)
        change = math.sqrt(variance) * shock
        variance = 0.02 * usual + 0.08 * change**2 + 0.9 * variance
        yield change


def _read_series(size: Size) -> Iterator[tuple[str, Histories]]:
    """Yield the names and prices of the series to judge on."""
    names = os.environ.get("ALERTS_CSV")
    if not names:
        yield "random", _random_histories(size)
        return
    for path in map(Path, names.split(os.pathsep)):
        for file in sorted(path.glob("*.csv")) if path.is_dir() else [path]:
            yield file.stem, dict(price_csv.read_points(file))


def measure(is_smoke: bool) -> Iterator[Result]:
    size = SMOKE if is_smoke else FULL
    rules = make_rules(MonitorOptions())
    rows: list[tuple[str, ...]] = []
    for name, histories in _read_series(size):
        early, later = _split(histories)
        if not later:
            continue
        for target in TARGET_RATES:
            own = dataclasses.replace(rules, target_rate=target)
            found = replay(later, own, early).comparison
            rows += _make_rows(name, f"budget {target:g}", found)
            yield from _make_results(f"{name}, target of {target:g} alerts", target, found)
        held = replay(later, dataclasses.replace(rules, target_rate=None), early).comparison
        rows += _make_rows(name, f"k = {rules.multiplier:g}", held)
    show_table("Calibrated on the earlier half, judged on the later one", COLUMNS, rows)
    yield _measure_speed(size)


def _split(histories: Histories) -> tuple[Histories, Histories]:
    """Return the earlier and the later half of the prices, of the coins that have both."""
    times = sorted(at for series in histories.values() for at, _ in series)
    middle = times[len(times) // 2]
    early = {coin: [p for p in series if p[0] < middle] for coin, series in histories.items()}
    later = {coin: [p for p in series if p[0] >= middle] for coin, series in histories.items()}
    coins = [coin for coin in histories if len(early[coin]) > 1 and len(later[coin]) > 1]
    return {coin: early[coin] for coin in coins}, {coin: later[coin] for coin in coins}


def _make_results(title: str, target: float, found: Comparison) -> Iterator[Result]:
    rate = found.total.alerts_per_coin_week or 0.0
    # In less than a week for a coin, one alert is a high rate.
    limit = 1.25 * target if found.total.weeks >= 1 else None
    yield Result(f"{title}: rate", rate, "a week", at_most=limit)
    for what, unit in (("caught", f"of {found.total.falls} falls"), ("stray", "panics")):
        value, floor = getattr(found.total, what), getattr(found.total_reference, what)
        note = "a fixed percentage at this rate"
        yield Result(f"{title}: {what}", value, unit, floor=floor, note=note)


def _make_rows(series: str, rule: str, found: Comparison) -> list[tuple[str, ...]]:
    """Return the row of the rule, and that of the fixed percentage at its rate."""
    return [
        (series, rule, *_format(found.total)),
        (series, "  fixed percentage", *_format(found.total_reference)),
    ]


def _format(found: Score) -> tuple[str, ...]:
    rate = found.alerts_per_coin_week or 0.0
    counts = (found.falls, found.caught, found.stray)
    return (f"{rate:.2f}", *map(str, counts), format_delay(found.delay_seconds))


def _measure_speed(size: Size) -> Result:
    points = size.speed_points
    walk = _random_histories(size)["coin-0"]
    walk = [(n * 60.0, walk[n % len(walk)][1]) for n in range(points)]
    rules = make_rules(MonitorOptions())
    taken = measure_seconds(lambda: calibration.replay_series(walk, rules)) / points
    floor = measure_seconds(lambda: [math.log(price) for _, price in walk]) / points
    what = "one observation through a tracker"
    return Result(what, taken * 1e6, "µs", floor=floor * 1e6, note="a logarithm")
