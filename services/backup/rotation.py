"""Which backups are kept: the newest of each of the last 7 days, 4 weeks and 6 months. Pure.

Only days, weeks and months with a backup count. A machine that was off for a month therefore keeps
all its backups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

DAILY, WEEKLY, MONTHLY = 7, 4, 6
_NAME = re.compile(r"market-sentinel-(\d{8}T\d{6}Z)\.zip")
_TIMESTAMP = "%Y%m%dT%H%M%SZ"
Period = Callable[[datetime], object]


def make_file_name(at: datetime) -> str:
    """Return the file name of a backup that was started then."""
    return f"market-sentinel-{at.astimezone(UTC):{_TIMESTAMP}}.zip"


def parse_file_name(name: str) -> datetime | None:
    """Return when the backup of this file name was started; None for another file."""
    found = _NAME.fullmatch(name)
    try:
        return datetime.strptime(found[1], _TIMESTAMP).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def choose_kept(moments: Iterable[datetime]) -> set[datetime]:
    """Return which of the backups that were started at these moments are kept."""
    newest_first = sorted(moments, reverse=True)
    kept: set[datetime] = set()
    rules: tuple[tuple[int, Period], ...] = (
        (DAILY, lambda at: at.date()),
        (WEEKLY, lambda at: at.isocalendar()[:2]),
        (MONTHLY, lambda at: (at.year, at.month)),
    )
    for count, period in rules:
        newest_of_period: dict[object, datetime] = {}
        for moment in newest_first:
            newest_of_period.setdefault(period(moment.astimezone(UTC)), moment)
        kept.update(list(newest_of_period.values())[:count])
    return kept
