"""How much of its schedule a scheduler delivers: slots that were due, slots that saw a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

SLOT_OFFSET = timedelta(minutes=7)  # etl.yml's cron line begins at minute 7
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ScheduleCoverage:
    """`expected` slots were due since the first run looked at, `delivered` of them saw a run.

    `longest_silence` is the longest pause between runs, the present one included;
    `missed_in_a_row` the slots missed between the last two runs.
    """

    expected: int
    delivered: int
    longest_silence: timedelta
    missed_in_a_row: int

    @property
    def share(self) -> float | None:
        """The share delivered, 0 to 1; None where no slot was due."""
        return self.delivered / self.expected if self.expected else None

    def __str__(self) -> str:
        share = "" if self.share is None else f" ({self.share:.0%})"
        return (
            f"{self.delivered} of {self.expected} slots{share}, "
            f"longest silence {self.longest_silence.total_seconds() / 60:.0f} minutes"
        )


def measure_coverage(
    runs: Sequence[datetime], cadence: timedelta, now: datetime, *, unrecorded_runs: int = 0
) -> ScheduleCoverage:
    """Count slots of one `cadence` each from the first of `runs` (in order of time) until `now`.

    The slot that `now` lies in counts once a run has come in it. `unrecorded_runs` more slots saw a
    run that is not among `runs`.
    """
    seen = [run for run in runs if run <= now]
    if not seen:
        return ScheduleCoverage(0, 0, timedelta(), 0)
    slots = [_slot(run, cadence) for run in seen]
    expected = max(_slot(now, cadence), slots[-1] + 1) - slots[0]
    pauses = [later - earlier for earlier, later in pairwise([*seen, now])]
    return ScheduleCoverage(
        expected,
        min(expected, len(set(slots)) + unrecorded_runs),
        max(pauses),
        max(0, slots[-1] - slots[-2] - 1) if len(slots) > 1 else 0,
    )


def _slot(at: datetime, cadence: timedelta) -> int:
    return (at - _EPOCH - SLOT_OFFSET) // cadence
