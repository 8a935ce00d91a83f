"""The usage of one quota, its billing month, and the projection to that month's end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from safe_zone import MIN_PROJECTION_PERIOD, SKIP_SHARE, WARN_SHARE
from sentinel.budget.usage_log import Usage

State = Literal["ok", "warn", "stop"]
# The backfill may use what is left up to the share itself, and sums of floats are rounded.
_EPSILON = 1e-9


class QuotaUsage(NamedTuple):
    """The usage of one quota; amounts are in the unit of its name."""

    # A name of safe_zone.QUOTA_NAMES.
    name: str
    # By the usage log; None: unknown.
    used: float | None
    # By the end of the month, at the pace so far; None: unknown.
    projected: float | None
    # What the month allows; None: no limit.
    quota: float | None
    # When the month of the quota ends.
    resets_at: datetime
    # By the provider's own figures; None: the run did not ask, or it did not respond.
    reported: float | None = None
    # How much of the quota is never used, because some of its use is counted late.
    reserve: float = 0.0

    @property
    def spent(self) -> float | None:
        """The larger of `used` and `reported`; None if both are unknown."""
        return max((x for x in (self.used, self.reported) if x is not None), default=None)

    @property
    def share(self) -> float | None:
        """The projected share of the quota, or the used share if it is larger."""
        if self.quota is None:
            return None
        known = [x for x in (self.spent, self.projected) if x is not None]
        return max(known) / self.quota if known else None

    @property
    def is_used_up(self) -> bool:
        """Whether nothing of the quota is left."""
        if self.quota is None or self.spent is None:
            return False
        return self.spent >= self.quota - self.reserve

    @property
    def state(self) -> State:
        """`ok` while less than WARN_SHARE of the quota is projected, `stop` when it is used up."""
        if self.is_used_up:
            return "stop"
        return "warn" if self.share is not None and self.share >= WARN_SHARE else "ok"

    @property
    def exceeds_skip_share(self) -> bool:
        """Whether runs have to be skipped for the quota to last."""
        return self.share is not None and self.share > SKIP_SHARE + _EPSILON


class Month(NamedTuple):
    """A billing month: a calendar month in UTC."""

    start: datetime
    stop: datetime

    @classmethod
    def of(cls, at: datetime) -> Month:
        """Return the month of `at`."""
        start = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return cls(start, (start + timedelta(days=32)).replace(day=1))


def runs_since(usages: Sequence[Usage], start: datetime) -> list[Usage]:
    """Return the runs that began at `start` or later."""
    return [usage for usage in usages if usage.started_at >= start]


def pace_period(inside: Sequence[Usage], at: datetime) -> timedelta:
    """Return the period of the pace: since the first run, at least MIN_PROJECTION_PERIOD."""
    return (
        max(at - inside[0].started_at, MIN_PROJECTION_PERIOD) if inside else MIN_PROJECTION_PERIOD
    )


def project(used: float, inside: Sequence[Usage], at: datetime, month: Month) -> float:
    """Return the usage at the end of the month, at the pace of the month so far."""
    return used + used * ((month.stop - at) / pace_period(inside, at))
