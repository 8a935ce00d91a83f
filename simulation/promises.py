"""The promises that are checked after every step."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import psycopg

from simulation.budget import Budget
from simulation.coin_changes import CoinChanges
from simulation.outcome import BrokenPromise, Outcome
from simulation.stored_prices import StoredPrices
from simulation.world import World

SESSIONS = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'market-sentinel'
"""
SESSION_CHECKS = 5_000  # of a millisecond each


class Promises:
    """All checks of one world."""

    def __init__(self, world: World, connection: psycopg.Connection) -> None:
        # How often everything was checked.
        self.checks = 0
        self._connection = connection
        self._clock = world.clock
        self._prices = StoredPrices(world, connection)
        self._coins = CoinChanges(world)
        self._budget = Budget(world)
        self._day = world.clock.at.date()

    def check(
        self, outcomes: Sequence[Outcome], *, is_archive_away: bool, is_clock_wrong: bool
    ) -> None:
        """Check everything after a step: one run, or several at once. Raises BrokenPromise."""
        is_new_day = self._clock.at.date() != self._day
        self._day = self._clock.at.date()
        self._prices.check(outcomes, is_archive_away=is_archive_away, is_new_day=is_new_day)
        self._coins.check(outcomes, is_new_day=is_new_day)
        self._budget.check(outcomes, is_clock_wrong=is_clock_wrong, is_new_day=is_new_day)
        self.checks += 1

    def expect_registry(self) -> None:
        """Take over the registry after it was merged with another clone's."""
        self._coins.take_over()

    def wait_for_sessions(self, count: int) -> None:
        """Wait until the server has noticed that a killed run is gone, and rolled back.

        `count` is the number of other runs' connections. Raises BrokenPromise.
        """
        for _ in range(SESSION_CHECKS):
            [(found,)] = self._connection.execute(SESSIONS).fetchall()
            if found <= count:
                return
            time.sleep(0.001)
        raise BrokenPromise(f"{found} connections are open, and not {count}")

    def digest(self) -> str:
        """Return a digest of all that is stored: the same seed always gives the same."""
        text = repr(sorted(self._prices.by_day.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
