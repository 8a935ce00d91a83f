"""How many slots of the schedule had a run, and how many slots of the history have a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

SLOT_OFFSET = timedelta(minutes=7)  # etl.yml's cron line begins at minute 7
# Where slot 0 begins.
ORIGIN = datetime(2026, 1, 1, tzinfo=UTC) + SLOT_OFFSET


@dataclass(frozen=True, slots=True)
class ScheduleCoverage:
    """How much of the schedule a scheduler delivered."""

    # Slots since the first run of the period.
    expected: int
    # Slots in which a run came.
    delivered: int
    # The longest pause between two runs, or since the last run.
    longest_silence: timedelta
    # Slots without a run between the last two runs.
    missed_in_a_row: int

    @property
    def share(self) -> float | None:
        """The delivered share, from 0 to 1; None if no slot was due."""
        return self.delivered / self.expected if self.expected else None

    def __str__(self) -> str:
        share = "" if self.share is None else f" ({self.share:.0%})"
        return (
            f"{self.delivered} of {self.expected} slots{share}, "
            f"longest silence {self.longest_silence.total_seconds() / 60:.0f} minutes"
        )


@dataclass(frozen=True, slots=True)
class SlotCoverage:
    """The history of the best-ranked coins from 7 days ago to 24 hours ago, in slots.

    A slot is one cadence of one coin, but at least DETAIL_MINUTES. It is observed if a run stored
    its row, backfilled if a backfill did, and open if it has no row. Runs come at any minute, so
    slots have no fixed edges: a row covers the pause before it up to FILL_FACTOR slots, and one
    slot of a longer pause.
    The last 24 hours do not count, because their gaps still wait: the backfill comes late.
    """

    coins: int
    # All slots between the first and the last row of each coin.
    slots: float
    # Shares of the slots, from 0 to 1.
    observed_share: float
    backfilled_share: float
    open_share: float
    # The longest pause between two rows of a coin.
    longest_pause_minutes: float

    def __str__(self) -> str:
        return (
            f"first {self.coins} coins: {self.observed_share:.0%} of the slots observed, "
            f"{self.backfilled_share:.0%} backfilled, {self.open_share:.0%} open, "
            f"longest pause {self.longest_pause_minutes:.0f} minutes"
        )


@dataclass(frozen=True, slots=True)
class SlotHistory:
    """What became of each slot of a schedule, without gaps from the first to the last slot."""

    # The length of a slot.
    cadence: timedelta
    # The number of the first slot.
    first: int
    # One letter for each slot: `d` delivered, `b` backfilled, `-` neither.
    states: str

    def within(self, start: datetime, stop: datetime) -> str:
        """Return the states of the slots that begin from `start` on and before `stop`."""
        begin, end = (max(0, first_slot(at, self.cadence) - self.first) for at in (start, stop))
        return self.states[begin:end]

    def start_within(self, start: datetime) -> datetime:
        """Return when the first slot of `within(start, …)` begins."""
        return ORIGIN + max(self.first, first_slot(start, self.cadence)) * self.cadence


def first_slot(at: datetime, cadence: timedelta) -> int:
    """Return the number of the first slot that does not begin before `at`."""
    return -((ORIGIN - at) // cadence)


def measure_coverage(
    runs: Sequence[datetime],
    cadence: timedelta,
    now: datetime,
    *,
    unrecorded_runs: int = 0,
    since: datetime | None = None,
) -> ScheduleCoverage:
    """Count slots of one `cadence` each until `now`: from the first of `runs` (in order of time).

    With `since` they are counted from then on, also before the first run. The current slot counts
    only if a run has come in it. `unrecorded_runs` is the number of runs that are not among `runs`;
    each counts as one more delivered slot.
    """
    seen = [run for run in runs if run <= now]
    if not seen and since is None:
        return ScheduleCoverage(0, 0, timedelta(), 0)
    slots = [_slot(run, cadence) for run in seen]
    first = slots[0] if since is None else _slot(since, cadence) + 1
    last = max([_slot(now, cadence), *(slot + 1 for slot in slots[-1:])])
    expected = max(0, last - first)
    begin = seen if since is None else [since, *seen]
    pauses = [later - earlier for earlier, later in pairwise([*begin, now])]
    return ScheduleCoverage(
        expected,
        min(expected, len({slot for slot in slots if slot >= first}) + unrecorded_runs),
        max(pauses),
        max(0, slots[-1] - slots[-2] - 1) if len(slots) > 1 else 0,
    )


def _slot(at: datetime, cadence: timedelta) -> int:
    return (at - ORIGIN) // cadence
