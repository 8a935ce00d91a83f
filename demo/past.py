"""What happened in the invented fortnight: when runs came, what failed, and which coins fell."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from demo.market import Market
from demo.schedule import delivered_runs
from sentinel.models import Source

SPAN = timedelta(days=14)
SLOT = timedelta(minutes=15)
# A demo that ran so shortly before left no room for another run.
RECENT = timedelta(minutes=10)
# Inactive coins, why, and since when. The stand-in has no price of them.
INACTIVE = (("0xlsd", "missing", timedelta(days=9)), ("1000rats", "malformed", timedelta(days=2)))
# A coin that was inactive for a day.
HEALED, INACTIVE_FROM, INACTIVE_TO = "batcat", timedelta(days=5), timedelta(days=4)
# Before now: CoinGecko failed, nothing ran and CoinGecko has no prices, gaps wait for the backfill.
FAILED = (timedelta(days=4, hours=3), timedelta(days=4, hours=1))
SILENT = (timedelta(days=2, hours=9), timedelta(days=2, hours=4))
WAITS = (timedelta(hours=5), timedelta())
# Watched coins, by rank, and the hours between two alerts of all of them.
WATCHED, ALERT_HOURS = 20, 5.3


class Past:
    """What happened between `start` and `now`."""

    def __init__(self, start: datetime, now: datetime) -> None:
        self.start, self.now = start, now
        delivered = delivered_runs(start, now - RECENT / 2)
        # The first one is the run that is there.
        self.runs = [at for at in delivered if at > start and not self.is_during(SILENT, at)]

    def has(self, ago: timedelta) -> bool:
        """Return whether a time before now is in it."""
        return self.now - ago > self.start

    def is_during(self, period: tuple[timedelta, timedelta], at: datetime) -> bool:
        """Return whether a time is in a period before now."""
        return self.now - period[0] <= at < self.now - period[1]

    def list_ticks(self) -> Iterator[tuple[datetime, Source]]:
        """Yield the time of all prices, and whether a run or the backfill fetched them."""
        good = [at for at in self.runs if not self.is_during(FAILED, at)]
        for at, following in pairwise([self.start, *good, self.now]):
            if at > self.start:
                yield at, "observed"
            is_open = at < self.now - SILENT[0] <= following or self.is_during(WAITS, at)
            while not is_open and following - at > 1.5 * SLOT:
                at += SLOT  # noqa: PLW2901
                yield at, "backfilled"

    def find_changes(self, after: datetime, at: datetime) -> dict[str, list[str]]:
        """Return which coins the run at a time deactivated and healed; the run before was then."""
        gone = [(coin_id, ago) for coin_id, _, ago in INACTIVE] + [(HEALED, INACTIVE_FROM)]
        return {
            "deactivated": [coin_id for coin_id, ago in gone if after < self.now - ago <= at],
            "healed": [HEALED] if after < self.now - INACTIVE_TO <= at else [],
        }


def invent_alerts() -> Iterator[tuple[float, str, float]]:
    """Yield alerts, the newest first: hours before now, coin, and move since the mark."""
    rng = random.Random(7)
    coins = [coin for coin in Market().ranked[:WATCHED] if coin.symbol not in ("usdt", "usdc")]
    hours = 2.0
    while hours < SPAN / timedelta(hours=1):
        move = rng.uniform(0.045, 0.12)
        yield hours, rng.choice(coins).id, move if rng.random() < 0.2 else -move
        hours += rng.expovariate(1 / ALERT_HOURS)
