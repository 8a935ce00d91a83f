"""Simulated schedulers, as unreliable as GitHub's was measured to be.

Of a cron line for every 15 minutes, GitHub delivered 573 runs in 12.5 days of January 2026: 48 % of
the slots. The pauses were 27 minutes at the median and at most 119 minutes.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

# (share of the pauses that are shorter, minutes)
PAUSES = ((0.0, 8.8), (0.10, 11.0), (0.50, 27.2), (0.90, 47.0), (0.99, 114.0), (1.0, 119.0))

# Pauses of an hourly job in September 2026, minutes:
# https://github.com/onkartalekar/fpl-intelligence/issues/288
AUTUMN_PAUSES = (349, 270, 179, 146, 240, 323, 291, 261, 175, 147, 124)
# Since August 2026 jobs start 10 to 12 hours late:
# https://github.com/open-multi-agent/open-multi-agent/issues/557
LONG_SILENCE = timedelta(hours=11)


def delivered_runs(start: datetime, stop: datetime, seed: int = 7) -> Iterator[datetime]:
    """Yield the start of each delivered run from `start` to before `stop`."""
    rng = random.Random(seed)
    at = start
    while at < stop:
        yield at
        at += timedelta(minutes=_pause_minutes(rng.random()))


def autumn_runs(start: datetime, stop: datetime) -> Iterator[datetime]:
    """Yield runs from `start` to before `stop` with the pauses of AUTUMN_PAUSES in turn."""
    pauses = itertools.cycle(AUTUMN_PAUSES)
    at = start
    while at < stop:
        yield at
        at += timedelta(minutes=next(pauses))


def silent_runs(
    start: datetime, stop: datetime, silent_from: timedelta, seed: int = 7
) -> Iterator[datetime]:
    """Yield delivered runs with one pause of LONG_SILENCE a day.

    It begins with the first run at or after `silent_from`, a time of day (UTC).
    """
    silenced = start - timedelta(days=1)
    resumes = start
    for at in delivered_runs(start, stop, seed):
        if at < resumes:
            continue
        yield at
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if at >= midnight + silent_from and silenced < midnight:
            silenced, resumes = midnight, at + LONG_SILENCE


def _pause_minutes(share: float) -> float:
    for (low, shortest), (high, longest) in pairwise(PAUSES):
        if share <= high:
            return shortest + (longest - shortest) * (share - low) / (high - low)
    return PAUSES[-1][1]
