"""When the daily summary is due: once per local day, at the chosen time. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

# A machine that was off, or a schedule that is late, sends the summary until so long after its
# time. For a summary at 08:00 that is midnight: hours late, it still is a sign of life.
MAX_LATE = timedelta(hours=16)
# Between the times of two summaries. A day with a change of the clocks has 23 hours; a new hour or
# zone must not bring the next summary much earlier.
MIN_PAUSE = timedelta(hours=20)


def find_planned(at: time, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return the last planned time of a summary, in UTC; None if it is more than MAX_LATE ago.

    A local time that does not exist on a day is taken as the time that the clock jumped to. Of a
    time that exists twice, the first one counts.
    """
    today = now.astimezone(zone).date()
    # Three days: clocks that jump at midnight move yesterday's time into today (America/Nuuk).
    days = (today - timedelta(days=ago) for ago in range(3))
    moments = (datetime.combine(day, at, zone).astimezone(UTC) for day in days)
    planned = next(moment for moment in moments if moment <= now)
    return planned if now - planned <= MAX_LATE else None


def is_done(planned: datetime, previous: datetime | None, zone: ZoneInfo, now: datetime) -> bool:
    """Return whether the summary of the day of `planned` was sent.

    `previous` is the planned time of the last summary that was sent. One in the future is from a
    clock that has been set back since, and does not count.
    """
    if previous is None or previous > now:
        return False
    is_same_day = previous.astimezone(zone).date() >= planned.astimezone(zone).date()
    return is_same_day or planned - previous < MIN_PAUSE
