"""The registry is valid after every step, and no health change is lost."""

from __future__ import annotations

from collections.abc import Sequence

from coin_registry import CoinRegistry
from safe_zone import STRIKES_TO_DEACTIVATE
from simulation import contents
from simulation.outcome import Outcome, require
from simulation.world import World


class CoinChanges:
    """Each coin's health after the last step."""

    def __init__(self, world: World) -> None:
        self._path = world.settings.registry_path
        self._health: contents.Health = {}

    def check(self, outcomes: Sequence[Outcome], *, is_new_day: bool) -> None:
        """Compare strikes with what the runs report. Raises BrokenPromise, or ValueError."""
        health = contents.read_health(self._path)
        if is_new_day:
            CoinRegistry.load(self._path)
        # On a full disk the registry cannot be written, and the run says so.
        reports = [o.report for o in outcomes if o.report and "disk full" not in o.events]
        is_certain = len(reports) == len(outcomes)
        for coin_id, (_, before) in self._health.items():
            status, strikes = health.get(coin_id, ("gone", 0))
            if status in ("gone", "delisted") or any(coin_id in r.healed for r in reports):
                continue
            least = before + sum(coin_id in report.strikes for report in reports)
            # A killed run may have struck or healed the coin, or not.
            is_right = strikes == least or (not is_certain and (strikes > least or strikes == 0))
            require(is_right, f"{coin_id} has {strikes} strikes, not {least}")
            is_inactive = strikes >= STRIKES_TO_DEACTIVATE
            require(
                is_inactive == (status == "inactive"), f"{coin_id}: {status}, {strikes} strikes"
            )
        self._health = health

    def take_over(self) -> None:
        """Expect from now on what the registry holds."""
        self._health = contents.read_health(self._path)
