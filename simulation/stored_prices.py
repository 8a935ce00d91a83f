"""Nothing lost, nothing doubled, nothing invented; and the retention, exact to the day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

import psycopg

from safe_zone import RETENTION
from simulation import contents
from simulation.market import Key
from simulation.outcome import Outcome, require
from simulation.world import World

RECENT = timedelta(days=1)
# After a day could not be archived, runs try again when an hour has passed.
ARCHIVE_PAUSE = timedelta(minutes=70)

Prices = dict[Key, float]


class StoredPrices:
    """What database and spool held after the last step, to be compared with what they hold now."""

    def __init__(self, world: World, connection: psycopg.Connection) -> None:
        self.by_day: dict[date, Prices] = defaultdict(dict)
        self._world = world
        self._connection = connection
        self._waiting: Prices = {}
        # When something last happened that may have kept a day from the archive.
        self._fault_at = world.clock.at
        self._take_over(contents.read_rows(connection, None))

    def check(
        self, outcomes: Sequence[Outcome], *, is_archive_away: bool, is_new_day: bool
    ) -> None:
        """Compare everything after a step. Raises BrokenPromise."""
        waiting, files = contents.read_spool(self._world.settings.state_dir)
        self._compare((self._world.clock.at - RECENT).date(), waiting)
        is_equal = contents.count_rows(self._connection) == self._count()
        if is_new_day or not is_equal:
            self._compare(None, waiting)
            require(contents.count_rows(self._connection) == self._count(), "a row is stored twice")
        self._check_fetched(outcomes, waiting)
        self._check_spool(waiting)
        was_good = len(outcomes) == 1 and outcomes[0].was_good
        require(not (was_good and files), f"the spool is not empty after a good run: {files}")
        if not was_good or is_archive_away:
            self._fault_at = self._world.clock.at
        elif self._world.clock.at - self._fault_at > ARCHIVE_PAUSE:
            old = [d for d in contents.read_days(self._connection) if d < self._oldest_day()]
            require(not old, f"days beyond the retention are still stored: {old}")

    def _count(self) -> Counter[date]:
        return Counter({day: len(prices) for day, prices in self.by_day.items() if prices})

    def _compare(self, first_day: date | None, waiting: Prices) -> None:
        """Compare the stored prices since a day (None: all) with those before the step."""
        now = contents.read_rows(self._connection, first_day)
        days = [day for day in self.by_day if first_day is None or day >= first_day]
        before = {key: price for day in days for key, price in self.by_day[day].items()}
        for key in now.keys() - before.keys():
            served = self._world.market.served.get(key)
            require(served == now[key], f"CoinGecko never sent this price: {_name(key)} {now[key]}")
        changed = [key for key in before.keys() & now.keys() if before[key] != now[key]]
        require(not changed, f"a stored price changed: {_some(changed)}")
        self._check_archive(before.keys() - now.keys() - waiting.keys())
        for day in days:
            del self.by_day[day]
        self._take_over(now)

    def _take_over(self, prices: Prices) -> None:
        for key, price in prices.items():
            self.by_day[contents.day_of(key)][key] = price

    def _check_archive(self, gone: set[Key]) -> None:
        """Check that dropped days were old enough, and that the archive holds them."""
        for day in {contents.day_of(key) for key in gone}:
            require(day < self._oldest_day(), f"{day} was dropped within the retention")
            archived = contents.read_archived_day(self._world.archive_folder, day)
            missing = {k for k in gone if contents.day_of(k) == day and k not in archived}
            require(not missing, f"dropped and not archived: {_some(missing)}")

    def _oldest_day(self) -> date:
        return (self._world.clock.at - RETENTION).date()

    def _check_fetched(self, outcomes: Iterable[Outcome], waiting: Prices) -> None:
        kept = [outcome.fetched for outcome in outcomes if outcome.must_keep_prices]
        for key, price in (item for fetched in kept for item in fetched.items()):
            here = self._price_of(key, waiting)
            require(here == price, f"a fetched price is lost: {_name(key)}")

    def _check_spool(self, waiting: Prices) -> None:
        left = [key for key in self._waiting if self._price_of(key, waiting) is None]
        lost = [key for key in left if contents.day_of(key) >= self._oldest_day()]
        require(not lost, f"a price left the spool and is not stored: {_some(lost)}")
        self._waiting = waiting

    def _price_of(self, key: Key, waiting: Prices) -> float | None:
        return self.by_day[contents.day_of(key)].get(key, waiting.get(key))


def _name(key: Key) -> str:
    at: datetime = contents.EPOCH + key[1] * contents.MILLISECOND
    return f"{key[0]} at {at:%Y-%m-%d %H:%M:%S}"


def _some(keys: Iterable[Key]) -> str:
    chosen = sorted(keys, key=lambda key: key[1])
    return f"{', '.join(map(_name, chosen[:3]))} (of {len(chosen)})"
