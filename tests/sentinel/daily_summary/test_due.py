"""When a daily summary is due: once per local day, whatever clocks, hour and zone do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from sentinel.daily_summary import due

BERLIN, JAKARTA = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Jakarta")
# The hour and the zone that the settings have at a moment.
Setting = Callable[[datetime], tuple[str, ZoneInfo]]


def list_sent(setting: Setting, first: datetime, days: int, minutes: int = 10) -> list[datetime]:
    """Return when summaries are sent, by a loop that looks every few minutes."""
    previous, sent = None, []
    for number in range(days * 24 * 60 // minutes):
        now = first + timedelta(minutes=number * minutes)
        at, zone = setting(now)
        planned = due.find_planned(time.fromisoformat(at), zone, now)
        if planned and not due.is_done(planned, previous, zone, now):
            previous = planned
            sent.append(now.astimezone(zone))
    return sent


@pytest.mark.parametrize(
    ("first", "at", "expected"),
    [
        # 2:00 to 3:00 does not exist on 2027-03-28: the summary is sent when the clock jumps.
        (datetime(2027, 3, 26, 12, tzinfo=UTC), "02:30", ["27 02:30", "28 03:30", "29 02:30"]),
        # 2:00 to 3:00 exists twice on 2026-10-25: the first one counts.
        (datetime(2026, 10, 23, 12, tzinfo=UTC), "02:30", ["24 02:30", "25 02:30", "26 02:30"]),
        (datetime(2027, 3, 26, 12, tzinfo=UTC), "08:00", ["27 08:00", "28 08:00", "29 08:00"]),
        (datetime(2026, 10, 23, 12, tzinfo=UTC), "23:50", ["23 23:50", "24 23:50", "25 23:50"]),
        (datetime(2026, 10, 23, 12, tzinfo=UTC), "00:00", ["24 00:00", "25 00:00", "26 00:00"]),
    ],
)
def test_there_is_one_summary_a_day_also_when_the_clocks_change(
    first: datetime, at: str, expected: list[str]
) -> None:
    sent = list_sent(lambda _: (at, BERLIN), first, days=3)
    started_late = sent[0].hour in (12, 13, 14)  # the first one is late, because nothing ran before
    assert [f"{moment:%d %H:%M}" for moment in sent[started_late:]] == expected
    if first.month == 10 and at == "02:30":
        assert sent[2].utcoffset() == timedelta(hours=2)


def test_a_summary_is_late_on_the_same_day_and_skipped_after_sixteen_hours() -> None:
    at = time(8)
    midnight = datetime(2026, 11, 21, 0, 0, tzinfo=JAKARTA)
    planned = datetime(2026, 11, 20, 8, 0, tzinfo=JAKARTA)
    assert due.find_planned(at, JAKARTA, midnight) == planned
    assert due.find_planned(at, JAKARTA, midnight + timedelta(minutes=1)) is None
    assert due.find_planned(at, JAKARTA, planned - timedelta(seconds=1)) is None
    assert due.find_planned(at, JAKARTA, planned) == planned
    # A schedule that runs after midnight still sends the summary of 23:30.
    after = datetime(2026, 11, 21, 0, 7, tzinfo=JAKARTA)
    assert due.find_planned(time(23, 30), JAKARTA, after) == after.replace(
        day=20, hour=23, minute=30
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("08:00", JAKARTA), ("20:00", JAKARTA)),
        (("20:00", JAKARTA), ("08:00", JAKARTA)),
        (("00:10", JAKARTA), ("23:50", JAKARTA)),
        (("23:50", JAKARTA), ("00:10", JAKARTA)),
        (("08:00", JAKARTA), ("08:00", ZoneInfo("America/Los_Angeles"))),
        (("08:00", ZoneInfo("America/Los_Angeles")), ("08:00", ZoneInfo("Pacific/Auckland"))),
        (("08:00", ZoneInfo("Pacific/Auckland")), ("08:00", ZoneInfo("America/Los_Angeles"))),
    ],
)
@pytest.mark.parametrize("change_after_hours", range(0, 24, 3))
def test_a_new_hour_or_zone_never_sends_two_summaries_a_day(
    before: tuple[str, ZoneInfo], after: tuple[str, ZoneInfo], change_after_hours: int
) -> None:
    first = datetime(2026, 11, 16, 0, 5, tzinfo=UTC)
    change = first + timedelta(days=2, hours=change_after_hours)
    sent = list_sent(lambda now: after if now >= change else before, first, days=8, minutes=30)
    days = [moment.astimezone(after[1]).date() for moment in sent if moment >= change]
    assert len(days) == len(set(days)) >= 3
    pauses = [later - earlier for earlier, later in pairwise(sent[1:])]
    assert timedelta(hours=19) < min(pauses)
    assert max(pauses) < timedelta(hours=48)


def test_a_time_that_the_clock_jumps_over_at_midnight_is_planned_after_the_jump() -> None:
    """In Nuuk it is 23:00 to 24:00 on 2027-03-27 that does not exist."""
    nuuk, jump = ZoneInfo("America/Nuuk"), datetime(2027, 3, 28, 1, 0, tzinfo=UTC)
    assert due.find_planned(time(23, 30), nuuk, jump + timedelta(minutes=10)) is None
    half_past = jump + timedelta(minutes=30)
    assert due.find_planned(time(23, 30), nuuk, half_past) == half_past


def test_a_clock_that_was_set_back_since_the_last_summary_delays_none() -> None:
    planned = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)
    wrong = planned + timedelta(days=400)
    assert not due.is_done(planned, wrong, JAKARTA, planned + timedelta(hours=1))
