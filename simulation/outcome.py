"""What is known of a run, independent of what the run says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from pipeline.report import RunReport
from simulation.market import Key

# With one of these a run may not reach the database.
STORAGE_FAULTS = frozenset({"database away", "connection lost", "second run"})


class BrokenPromise(Exception):
    """The product did not keep a promise."""


def require(condition: bool, problem: str) -> None:
    """Raise BrokenPromise unless the condition holds."""
    if not condition:
        raise BrokenPromise(problem)


@dataclass(slots=True)
class Outcome:
    """One run."""

    # By the machine's clock.
    started_at: datetime
    # None: it was killed.
    report: RunReport | None = None
    # Prices in responses without a fault.
    fetched: dict[Key, float] = field(default_factory=dict)
    # Responses with status 200, and those to the backfill's requests.
    credits: int = 0
    backfill_credits: int = 0
    # Names of the events that happened to it.
    events: list[str] = field(default_factory=list)

    @property
    def was_good(self) -> bool:
        """Whether nothing happened to the run and it ended well."""
        return not self.events and self.report is not None and self.report.status == "ok"

    @property
    def must_keep_prices(self) -> bool:
        """Whether the run had the disk or the database for what it fetched."""
        return "disk full" not in self.events or STORAGE_FAULTS.isdisjoint(self.events)
