"""Which backups stay: the newest of each of the last seven days, four weeks and six months.

Pure. Days, weeks and months without a backup do not count, so that a machine that was off for a
month keeps what it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

DAILY, WEEKLY, MONTHLY = 7, 4, 6
_NAME = re.compile(r"market-sentinel-(\d{8}T\d{6}Z)\.dump")
_STAMP = "%Y%m%dT%H%M%SZ"
Period = Callable[[datetime], object]


def name_of(at: datetime) -> str:
    """The file name of a backup begun then."""
    return f"market-sentinel-{at.astimezone(UTC):{_STAMP}}.dump"


def moment_of(name: str) -> datetime | None:
    """When a backup of this file name was begun; None where it is none of ours."""
    found = _NAME.fullmatch(name)
    try:
        return datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def to_keep(moments: Iterable[datetime]) -> set[datetime]:
    """Those of the backups made at these moments that stay."""
    newest_first = sorted(moments, reverse=True)
    kept: set[datetime] = set()
    rules: tuple[tuple[int, Period], ...] = (
        (DAILY, lambda at: at.date()),
        (WEEKLY, lambda at: at.isocalendar()[:2]),
        (MONTHLY, lambda at: (at.year, at.month)),
    )
    for count, period in rules:
        newest_of: dict[object, datetime] = {}
        for moment in newest_first:
            newest_of.setdefault(period(moment.astimezone(UTC)), moment)
        kept.update(list(newest_of.values())[:count])
    return kept
