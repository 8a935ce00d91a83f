"""A usage log in few entries, for which a budget check decides as for the whole one.

A check takes a hundredth of a millisecond for each entry, and a simulated year makes up to a
hundred thousand checks of some thousand entries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sentinel.budget.quota_usage import Month
from sentinel.budget.usage_log import Usage

SINGLE_RUNS = 8  # with a cost: more than a check reads one by one
SINGLE_DAYS = timedelta(days=8)  # longer than the check's week of storage growth


@dataclass
class ShortLog:
    """The last runs one by one, before them an entry for each day, before these one for the month.

    An entry of several runs begins with the first of them and is awake for as long as they were.
    """

    usages: list[Usage] = field(default_factory=list)
    # How many of `usages`, from the first, sum up days.
    sums: int = 0

    def add(self, usage: Usage) -> None:
        """Add the newest run, and sum up old ones."""
        self.usages.append(usage)
        while sum(not run.is_skipped for run in self.usages[self.sums :]) > SINGLE_RUNS:
            self._sum_up_oldest()
        at = usage.started_at
        if self.sums > 1 and self.usages[1].started_at < at - SINGLE_DAYS:
            first, second = self.usages[:2]
            is_same_month = Month.of(first.started_at) == Month.of(second.started_at)
            self.usages[:2] = [_join(first, second)] if is_same_month else [second]
            self.sums -= 1

    def _sum_up_oldest(self) -> None:
        """Add the oldest single run to its day."""
        run, *later = self.usages[self.sums :]
        own = _as_sum(run, next(usage.started_at for usage in later if not usage.is_skipped))
        last = self.usages[self.sums - 1] if self.sums else None
        if last and last.started_at.date() == run.started_at.date():
            self.usages[self.sums - 1 : self.sums + 1] = [_join(last, own)]
        else:
            self.usages[self.sums] = own
            self.sums += 1


def _as_sum(run: Usage, until: datetime) -> Usage:
    """Return a run as a sum of one; its awake time ends when the next run begins, at `until`."""
    window = run.awake
    awake = min(window[1], until) - window[0] if window else timedelta()
    minutes = max(1, math.ceil(run.duration_seconds / 60))
    return run._replace(
        duration_seconds=60.0 * minutes,
        db_seconds=awake.total_seconds(),
        tail_seconds=0.0,
        is_skipped=False,
        is_stored=True,
    )


def _join(one: Usage, other: Usage) -> Usage:
    return one._replace(
        duration_seconds=one.duration_seconds + other.duration_seconds,
        api_credits=one.api_credits + other.api_credits,
        db_seconds=(one.db_seconds or 0.0) + (other.db_seconds or 0.0),
        backfill_credits=one.backfill_credits + other.backfill_credits,
        db_bytes=one.db_bytes if one.db_bytes is not None else other.db_bytes,
        egress_bytes=other.egress_bytes if other.egress_bytes is not None else one.egress_bytes,
        runs=one.runs + other.runs,
    )
