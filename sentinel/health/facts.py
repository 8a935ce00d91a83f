"""A health check, and the facts that the checks look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from safe_zone import MAX_AGE_MINUTES
from sentinel.storage import service_status
from sentinel.storage.queries.failing_coins import DayFailures
from sentinel.storage.service_status import BackupStatus, ServiceStatus

CheckState = Literal["ok", "warning", "unhealthy"]
# From the best state to the worst.
SEVERITY: Sequence[CheckState] = ("ok", "warning", "unhealthy")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The result of one check: what was found, how old it is, and what to do."""

    name: str
    # Only `unhealthy` fails; `warning` is shown.
    state: CheckState
    # For every reader: it names no database, host, folder or user.
    summary: str
    # For the owner only: a cause or a path, which may contain such names.
    detail: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the check does not fail; a warning does not."""
        return self.state != "unhealthy"

    @property
    def message(self) -> str:
        """The summary and the detail, for the owner."""
        return f"{self.summary} {self.detail}".rstrip()


class TargetDelivery(NamedTuple):
    """The messages that wait for delivery to one target."""

    # The fingerprint of the target's address.
    target: str
    # What messages call the target, such as Telegram.
    label: str
    waiting: int
    # When the oldest of them was queued.
    waiting_since: datetime
    # Failed deliveries to the target in a row.
    failures: int
    # Why the last delivery failed; None before the first attempt.
    error: str | None


class LostMessages(NamedTuple):
    """The messages that the outbox gave up within the last day, because a target refused them."""

    # What messages call the target.
    label: str
    refused: int
    # Why the target refused the last of them.
    error: str


class NewestRun(NamedTuple):
    """The newest recorded run of the pipeline."""

    started_at: datetime
    # ok, partial, failed or skipped.
    status: str


class DiskSpace(NamedTuple):
    """The disk of the state folder."""

    folder: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthFacts:
    """What the checks look at."""

    # The configured interval of the scheduled runs.
    cadence: timedelta
    newest_observation: datetime | None = None
    newest_run: NewestRun | None = None
    # The last activity of the loop; None: it never ran on this database.
    loop: ServiceStatus | None = None
    # The process that answers Telegram commands; None: it never ran, or was switched off.
    telegram: ServiceStatus | None = None
    # None: no backup was ever tried.
    backup: BackupStatus | None = None
    # The age from which the last backup is too old; None: two nights.
    max_backup_age: timedelta | None = None
    # The targets for which messages wait.
    deliveries: Sequence[TargetDelivery] = ()
    lost_messages: Sequence[LostMessages] = ()
    # The coins that failed on each of the last days.
    failing_coins: Sequence[DayFailures] = ()
    # None: it cannot be read.
    disk: DiskSpace | None = None
    # How far this host's clock is ahead of the database's.
    database_clock_offset: timedelta = timedelta()
    # The age from which prices are late; None: what suits the loop, or the schedule.
    max_age: timedelta | None = None

    @property
    def interval(self) -> timedelta:
        """The pause between two runs: the loop's, or the schedule's where no loop ever ran."""
        return self.loop.interval if self.loop else self.cadence

    @property
    def late_after(self) -> timedelta:
        """The age from which prices, and the newest run, are late."""
        if self.max_age is not None:
            return self.max_age
        if self.loop:
            return service_status.late_after(self.loop.interval)
        return timedelta(minutes=MAX_AGE_MINUTES)  # GitHub often starts scheduled runs hours late

    def missed_runs(self, now: datetime) -> int | None:
        """Return how many runs should have stored prices since the newest observation."""
        if self.newest_observation is None:
            return None
        return count_missed_runs(now - self.newest_observation, self.interval)


def find_failures(checks: Sequence[HealthCheck]) -> list[HealthCheck]:
    """Return the unhealthy checks."""
    return [check for check in checks if not check.is_ok]


def count_missed_runs(age: timedelta, interval: timedelta) -> int:
    """Return how many runs are missing after this age; the one that is due now does not count."""
    return max(0, int(age / interval) - 1)
