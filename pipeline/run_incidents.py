"""Incidents of the scheduled runs, by the usage log alone: it is known without the database.

An incident begins with the first failed run, once runs have failed for MIN_DURATION, and ends with
the first good one. A run that the budget check skipped says nothing about either, nor does a run
that only the database knows: a monitor may use the same one. The schedule's pauses count: two
failed runs that are hours apart are an incident if no good run came in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sentinel.budget.usage_log import Usage
from sentinel.errors import (
    EXIT_OK,
    EXIT_UNEXPECTED,
    ApiUnavailable,
    BudgetExhausted,
    ConfigurationError,
    StorageUnavailable,
)
from sentinel.storage.incidents import Incident

MIN_DURATION = timedelta(hours=1)
# How long each run records an incident that has ended, and tries to close its GitHub issue.
RECORD_FOR, CLOSE_FOR = timedelta(days=1), timedelta(hours=1)


class Cause(NamedTuple):
    """Why runs failed, by their exit code."""

    # For programs.
    name: str
    # A clause without a subject before it and without a period.
    text: str


CAUSES = {
    EXIT_UNEXPECTED: Cause("unexpected_end", "the run ended unexpectedly"),
    ConfigurationError.exit_code: Cause("wrong_setting", "a setting, a key or a file is wrong"),
    ApiUnavailable.exit_code: Cause("coingecko_unavailable", "CoinGecko gave no usable answer"),
    StorageUnavailable.exit_code: Cause("database_unavailable", "the database was unavailable"),
    BudgetExhausted.exit_code: Cause("budget_exhausted", "a monthly quota was used up"),
}
STOPPED = Cause("stopped", "a signal stopped the run")


class RunIncident(NamedTuple):
    """Failed runs in a row."""

    # Starts of the first and of the newest failed run.
    began_at: datetime
    last_failed_at: datetime
    # Start of the first good run; None: there was none yet.
    ended_at: datetime | None
    failed_runs: int
    # Each exit code once, in order of time.
    exit_codes: tuple[int, ...]

    @property
    def is_long(self) -> bool:
        """Whether runs failed for so long that it is an incident."""
        return self.last_failed_at - self.began_at >= MIN_DURATION

    @property
    def causes(self) -> str:
        """All causes, such as `CoinGecko gave no usable answer; the database was unavailable`."""
        return "; ".join(find_cause(code).text for code in self.exit_codes)

    def to_incident(self) -> Incident:
        """Return the incident as the page shows it. The first cause names it, also if it changes:
        so it stays the same incident."""
        kind = find_cause(self.exit_codes[0]).name
        summary = f"Scheduled runs failed: {self.causes}."
        return Incident("schedule", kind, self.began_at, self.ended_at, summary)

    def add(self, usage: Usage) -> RunIncident:
        """Return the incident with one more run."""
        if usage.exit_code == EXIT_OK:
            return self._replace(ended_at=usage.started_at)
        return self._replace(
            last_failed_at=usage.started_at,
            failed_runs=self.failed_runs + usage.runs,
            exit_codes=tuple(dict.fromkeys((*self.exit_codes, usage.exit_code))),
        )


def find_cause(exit_code: int) -> Cause:
    """Return what an exit code of a run means."""
    return CAUSES.get(exit_code, STOPPED)


def find_incidents(usages: Iterable[Usage]) -> list[RunIncident]:
    """Return the incidents of runs that are in order of time."""
    return [each for each in _find_streaks(usages) if each.is_long]


def find_recordable(usages: Iterable[Usage], now: datetime) -> list[Incident]:
    """Return the incidents that go on or ended recently, as the table keeps them."""
    incidents = find_incidents(usages)
    recent = (i for i in incidents if i.ended_at is None or now - i.ended_at < RECORD_FOR)
    return [incident.to_incident() for incident in recent]


def find_reportable(usages: Sequence[Usage]) -> RunIncident | None:
    """Return the incident about which the newest run gives GitHub's issue something to do.

    That is when it begins, when a cause is new, once in each further hour, in case the issue could
    not be opened, and in the good runs of the hour after its end. None in all other runs: each one
    costs a private repository a minute.
    """
    found = find_incidents(usages)
    if not found:
        return None
    incident, newest = found[-1], usages[-1]
    if incident.ended_at:
        is_recent = newest.started_at - incident.ended_at < CLOSE_FOR
        return incident if is_recent and newest.exit_code == EXIT_OK else None
    *_, before = _find_streaks(usages[:-1])
    is_same = before.exit_codes == incident.exit_codes and _hours(before) == _hours(incident)
    return None if is_same else incident


def _find_streaks(usages: Iterable[Usage]) -> Iterator[RunIncident]:
    """Yield all failed runs in a row, however short."""
    streak: RunIncident | None = None
    for usage in usages:
        if usage.is_recorded or (usage.is_skipped and usage.exit_code == EXIT_OK):
            continue
        if streak:
            streak = streak.add(usage)
        elif usage.exit_code:
            at = usage.started_at
            streak = RunIncident(at, at, None, usage.runs, (usage.exit_code,))
        if streak and streak.ended_at:
            yield streak
            streak = None
    if streak:
        yield streak


def _hours(incident: RunIncident) -> int:
    return (incident.last_failed_at - incident.began_at) // timedelta(hours=1)
