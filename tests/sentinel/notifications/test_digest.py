"""Digests: messages that waited for a failed target or for quiet hours arrive as one."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from sentinel.health import deployment
from sentinel.notifications import outbox
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.delivery_rules import DeliveryRules
from sentinel.notifications.kinds import DEFAULT_LOUDNESS, MessageKind
from sentinel.notifications.messages import Message, MessageFormatter
from sentinel.notifications.quiet_hours import QuietHours
from sentinel.notifications.telegram import MAX_UNITS
from sentinel.storage.connection import Connection
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.sentinel.notifications.helpers import CHAT, deliver_all, make_notifier, read_rows
from tests.support.monitor import Reply, Target, load, minutes

HOUR = timedelta(hours=1)
NIGHT = QuietHours.model_validate({"from": "23:00", "to": "07:00"})
JAKARTA = ZoneInfo("Asia/Jakarta")
QUIET = DeliveryRules(MessageFormatter("en", JAKARTA), quiet_hours=NIGHT)
COUNT_WAITING = "SELECT count(*) FROM sentinel.outbox WHERE delivered_at IS NULL"


def _queue(
    connection: Connection,
    notifier: Notifier,
    title: str,
    now: datetime,
    kind: MessageKind = "panic",
    queue: str = "",
) -> None:
    coin_id = None if queue or kind == "market" else title.partition(" ")[0].lower()
    key = f"{title}{now.isoformat()}"
    message = Message(coin_id or queue or kind, key, title, "body", kind, coin_id)
    outbox.queue_message(connection, message, notifier.names, now)


def _fail_for_ten_hours(
    connection: Connection, notifier: Notifier, time_: FakeTime, target: Target
) -> None:
    """Queue an alert every twenty minutes, for six coins in turn, to a target that fails."""
    target.always = Reply(500)
    for n in range(30):
        _queue(connection, notifier, f"Coin-{n % 6} fell #{n}", time_.at)
        assert notifier.deliver(connection, seconds=60)
        time_.at += minutes(20)
    target.always = Reply()


def test_ten_hours_of_outage_end_in_one_digest(
    connection: Connection, time_: FakeTime, target: Target, fresh: FreshDatabase
) -> None:
    notifier = make_notifier(time_, CHAT)
    _fail_for_ten_hours(connection, notifier, time_, target)
    load(fresh.address(), [(time_.at, "coin-5", 94.0)], time_.at)
    deliver_all(connection, notifier, time_)
    [(title, body)] = target.accepted
    assert title == "While you were away: 30 alerts"
    head, *lines = body.splitlines()
    assert head == "From 20 Nov 12:00 to 20 Nov 21:40 UTC, the last of each coin:"
    assert lines[0] == "• Coin-5 fell #29 (20 Nov 21:40, 5 messages, now $94.00)"
    assert lines[1:] == [
        f"• Coin-{n - 24} fell #{n} (20 Nov {NOW + n * minutes(20):%H:%M}, 5 messages)"
        for n in (28, 27, 26, 25, 24)
    ]
    assert read_rows(connection, COUNT_WAITING) == [(0,)]
    _queue(connection, notifier, "Coin-1 rose", time_.at)
    deliver_all(connection, notifier, time_)
    assert target.titles[1:] == ["Coin-1 rose"]


def test_a_crash_after_sending_a_digest_sends_it_again_with_all_its_messages(
    connection: Connection, time_: FakeTime, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = make_notifier(time_, CHAT)
    for name in ("Aaa", "Bbb", "Ccc"):
        _queue(connection, notifier, f"{name} fell", NOW)
    time_.at += 2 * HOUR
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "mark_delivered", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            notifier.deliver(connection, seconds=60)
    assert read_rows(connection, COUNT_WAITING) == [(3,)]
    deliver_all(connection, make_notifier(time_, CHAT), time_)
    assert target.titles == ["While you were away: 3 alerts"] * 2
    assert target.accepted[0] == target.accepted[1]


def test_a_digest_has_one_line_for_an_incident_and_leaves_the_newest_summary_whole(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    notifier = make_notifier(time_, CHAT)
    _queue(connection, notifier, "no prices", NOW, "incident", "incident:prices")
    _queue(connection, notifier, "Summary 1", NOW, "summary", "summary")
    _queue(connection, notifier, "Aaa is above 9", NOW, "target")
    _queue(connection, notifier, "Aaa is above 10", NOW, "target")
    _queue(connection, notifier, "Aaa fell", NOW)
    _queue(connection, notifier, "prices again", NOW + minutes(9), "incident", "incident:prices")
    time_.at += 24 * HOUR
    _queue(connection, notifier, "Summary 2", time_.at, "summary", "summary")
    deliver_all(connection, notifier, time_)
    [(title, body), (summary, _)] = target.accepted
    assert title == "While you were away: 6 messages"
    assert body.splitlines()[1:] == [
        "• Aaa is above 10 (20 Nov 12:00)",
        "• Aaa is above 9 (20 Nov 12:00)",
        "• Aaa fell (20 Nov 12:00)",
        "• prices again (20 Nov 12:09, 2 messages)",
        "• Summary 1 (20 Nov 12:00)",
    ]
    assert summary == "Summary 2"


def test_one_late_message_says_so_in_its_title(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    formatter = MessageFormatter("id", JAKARTA)
    notifier = make_notifier(time_, CHAT, rules=DeliveryRules(formatter))
    _queue(connection, notifier, "Bitcoin turun", NOW)
    time_.at += HOUR + minutes(1)
    _queue(connection, notifier, "Tether turun", time_.at)
    deliver_all(connection, notifier, time_)
    assert target.titles == ["Terlambat (20 Nov 19:00 WIB): Bitcoin turun", "Tether turun"]


def test_a_digest_that_a_target_rejects_is_sent_as_single_messages(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    notifier = make_notifier(time_, CHAT)
    for name in ("Aaa", "Bbb"):
        _queue(connection, notifier, f"{name} fell", NOW)
    time_.at += 2 * HOUR
    target.replies.append(Reply(400, b'{"description":"Bad Request: message is too long"}'))
    deliver_all(connection, notifier, time_)
    assert [title.rpartition(": ")[2] for title in target.titles] == ["Aaa fell", "Bbb fell"]


def test_a_digest_of_very_many_coins_fits_into_a_telegram_message(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    notifier = make_notifier(time_, CHAT)
    for n in range(300):
        _queue(connection, notifier, f"Coin-{n} {'🟥' * 90} fell", NOW)
    time_.at += 2 * HOUR
    deliver_all(connection, notifier, time_)
    [(_, content)] = target.requests
    assert len(content["text"].encode("utf-16-le")) // 2 <= MAX_UNITS
    shown = content["text"].count("• ")
    assert content["text"].endswith(f"\nand {300 - shown} more")


# --- quiet hours -----------------------------------------------------------------------------


def test_alerts_of_the_night_arrive_as_one_digest_in_the_morning(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    notifier = make_notifier(time_, CHAT, rules=QUIET)
    time_.at = datetime(2026, 11, 20, 23, 30, tzinfo=JAKARTA)
    for n in range(4):
        _queue(connection, notifier, f"Bitcoin fell #{n}", time_.at)
        _queue(connection, notifier, "no prices", time_.at, "incident", "incident:prices")
        assert notifier.deliver(connection, seconds=60) is None
        time_.at += HOUR
    assert target.accepted == []
    assert deployment.read_deliveries(connection, None, time_.at) == []  # no target fails
    time_.at = datetime(2026, 11, 21, 6, 59, tzinfo=JAKARTA)
    assert notifier.deliver(connection, seconds=60) is None
    time_.at += minutes(1)
    deliver_all(connection, notifier, time_)
    [(title, body)] = target.accepted
    assert title == "While you were away: 8 messages"
    assert body.splitlines() == [
        "From 20 Nov 23:30 to 21 Nov 02:30 WIB, the last of each coin:",
        "• Bitcoin fell #3 (21 Nov 02:30, 4 messages)",
        "• no prices (21 Nov 02:30, 4 messages)",
    ]


def test_price_targets_and_summaries_break_through_quiet_hours(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    notifier = make_notifier(time_, CHAT, rules=QUIET)
    time_.at = datetime(2026, 11, 20, 23, 30, tzinfo=JAKARTA)
    for kind in DEFAULT_LOUDNESS:
        _queue(connection, notifier, kind, time_.at, kind, kind)
    deliver_all(connection, notifier, time_)
    assert target.titles == ["target", "summary"]


def test_a_message_that_could_not_be_sent_before_quiet_hours_waits_for_their_end(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    notifier = make_notifier(time_, CHAT, rules=QUIET)
    time_.at = datetime(2026, 11, 20, 22, 59, tzinfo=JAKARTA)
    target.replies.append(Reply(429, headers={"Retry-After": "120"}))
    _queue(connection, notifier, "Bitcoin fell", time_.at)
    deliver_all(connection, notifier, time_)
    time_.at += minutes(5)
    deliver_all(connection, notifier, time_)
    assert target.accepted == []
    time_.at = datetime(2026, 11, 21, 7, 0, tzinfo=JAKARTA)
    deliver_all(connection, notifier, time_)
    assert target.titles == ["Late (20 Nov 22:59 WIB): Bitcoin fell"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_clock_set_back_does_not_hold_messages(
    connection: Connection, time_: FakeTime, target: Target, count: int
) -> None:
    notifier = make_notifier(time_, CHAT, rules=QUIET)
    time_.at = NOW.replace(hour=17) + timedelta(days=400)  # midnight in Jakarta
    for n in range(count):
        _queue(connection, notifier, f"Aaa-{n} fell", time_.at)
    assert notifier.deliver(connection, seconds=60) is None
    time_.at = NOW
    notifier.deliver(connection, seconds=60)
    assert len(target.titles) == 1
    assert read_rows(connection, COUNT_WAITING) == [(0,)]


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-11-20T22:59:59+01:00", None),
        ("2026-11-20T23:00:00+01:00", "2026-11-21T07:00:00+01:00"),
        ("2026-11-21T06:59:59+01:00", "2026-11-21T07:00:00+01:00"),
        ("2026-11-21T07:00:00+01:00", None),
        # The clocks go forward at 02:00 on 28 March 2027, and back at 03:00 on 25 October 2026.
        ("2027-03-27T23:30:00+01:00", "2027-03-28T07:00:00+02:00"),
        ("2026-10-24T23:30:00+02:00", "2026-10-25T07:00:00+01:00"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T07:00:00+01:00"),
    ],
)
def test_quiet_hours_follow_the_clock_on_the_wall(now: str, end: str | None) -> None:
    found = NIGHT.find_end(datetime.fromisoformat(now), ZoneInfo("Europe/Berlin"))
    assert found == (end and datetime.fromisoformat(end))


def test_quiet_hours_within_one_day() -> None:
    noon = QuietHours.model_validate({"from": "12:00", "to": "13:30"})
    end = NOW.replace(hour=13, minute=30, second=0)
    assert noon.find_end(NOW, ZoneInfo("UTC")) == end
    assert noon.find_end(end, ZoneInfo("UTC")) is None


# --- loud and silent ---------------------------------------------------------------------------


def test_silent_kinds_make_no_sound(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    rules = DeliveryRules(loudness={**DEFAULT_LOUDNESS, "reversal": "silent"})
    notifier = make_notifier(time_, CHAT, rules=rules)
    _queue(connection, notifier, "Aaa fell", NOW)
    _queue(connection, notifier, "Bbb rose", NOW, "reversal")
    deliver_all(connection, notifier, time_)
    silent = [content["disable_notification"] for _, content in target.requests]
    assert silent == [False, True]


@pytest.mark.parametrize(("loud", "is_silent"), [("panic", False), ("reversal", True)])
def test_a_digest_makes_a_sound_if_one_of_its_messages_does(
    connection: Connection,
    time_: FakeTime,
    target: Target,
    loud: MessageKind,
    is_silent: bool,
) -> None:
    rules = DeliveryRules(loudness={**DEFAULT_LOUDNESS, "reversal": "silent"})
    notifier = make_notifier(time_, CHAT, rules=rules)
    _queue(connection, notifier, "Aaa fell", NOW, loud)
    _queue(connection, notifier, "Bbb rose", NOW, "reversal")
    time_.at += 2 * HOUR
    deliver_all(connection, notifier, time_)
    assert [content["disable_notification"] for _, content in target.requests] == [is_silent]


def test_other_services_get_silent_messages_with_a_low_priority(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    address = f"gotify://127.0.0.1:{target.server_address[1]}/token?priority=high"
    notifier = make_notifier(time_, address)
    _queue(connection, notifier, "Aaa fell", NOW)
    _queue(connection, notifier, "Summary", NOW, "summary", "summary")
    deliver_all(connection, notifier, time_)
    assert [content["priority"] for _, content in target.requests] == [8, 0]
