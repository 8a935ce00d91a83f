"""The slots of the schedule by hour and by day, for the strips of the public page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sentinel.budget.schedule import SlotHistory
from sentinel.site.status import Schedule, Slots, SlotTotals
from sentinel.storage.queries.slot_history import Silence

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SHOWN_HOURS, SHOWN_DAYS = 168, 60


def first_hour(now: datetime) -> datetime:
    """Return when the first shown hour begins."""
    return now.replace(minute=0, second=0, microsecond=0) - (SHOWN_HOURS - 1) * HOUR


def first_day(now: datetime) -> datetime:
    """Return when the first shown day begins."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return today - (SHOWN_DAYS - 1) * DAY


def describe_schedule(
    history: SlotHistory, silences: Sequence[Silence], reference_coin: str | None, now: datetime
) -> Schedule:
    """Return the slots of the last hours and days; `silences` are those of both periods."""
    hours = [_count(history, first_hour(now) + n * HOUR, HOUR) for n in range(SHOWN_HOURS)]
    days = [_count(history, first_day(now) + n * DAY, DAY) for n in range(SHOWN_DAYS)]
    return Schedule(
        cadence_minutes=history.cadence.total_seconds() / 60,
        reference_coin=reference_coin,
        totals=[
            _add_up(7, hours, first_hour(now), silences),
            _add_up(SHOWN_DAYS, days, first_day(now), silences),
        ],
        hours=hours,
        days=days,
    )


def _count(history: SlotHistory, start: datetime, length: timedelta) -> Slots:
    states = history.within(start, start + length)
    delivered, backfilled = states.count("d"), states.count("b")
    return Slots(start=start, expected=len(states), delivered=delivered, backfilled=backfilled)


def _add_up(
    days: int, parts: Sequence[Slots], since: datetime, silences: Iterable[Silence]
) -> SlotTotals:
    silence = next((silence for silence in silences if silence.since == since), None)
    return SlotTotals(
        days=days,
        expected=sum(part.expected for part in parts),
        delivered=sum(part.delivered for part in parts),
        backfilled=sum(part.backfilled for part in parts),
        longest_silence_minutes=silence.length.total_seconds() / 60 if silence else 0.0,
        longest_silence_from=silence.start if silence else None,
    )
