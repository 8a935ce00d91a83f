"""Delivery of the outbox: at least once, in order and paced, even to targets that fail."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import random
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg
import pytest

from sentinel.errors import ConfigurationError
from sentinel.notifications import delivery_rules, digest, outbox, targets, telegram
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.messages import Message, OutgoingMessage
from sentinel.notifications.pacing import MAX_REJECTIONS
from sentinel.notifications.responses import SendResult
from sentinel.notifications.targets import make_targets
from sentinel.storage.connection import Connection, open_connection
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.sentinel.notifications.helpers import CHAT, TOKEN, deliver_all, make_notifier, read_rows
from tests.support.monitor import Reply, Target, listening


@pytest.fixture(params=["telegram", "apprise"])
def url(request: pytest.FixtureRequest, target: Target) -> str:
    """An address of the target, for a test of both ways to send."""
    return CHAT if request.param == "telegram" else target.url


@pytest.fixture
def log_output() -> Iterator[io.StringIO]:
    """All that a program with its log at level INFO writes."""
    root, output = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(output)
    level = root.level
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    yield output
    root.removeHandler(handler)
    root.setLevel(level)


def _queue(
    connection: Connection, notifier: Notifier, count: int, now: datetime, queues: int = 50
) -> None:
    for n in range(count):
        queue = f"coin-{n % queues}"
        message = Message(queue, f"key-{n}", f"{queue} #{n}", "body", "test")
        outbox.queue_message(connection, message, notifier.names, now)


def test_a_message_arrives_once_at_every_target(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    with listening() as other:
        notifier = make_notifier(time_, CHAT, other.url)
        _queue(connection, notifier, 3, NOW)
        _queue(connection, notifier, 3, NOW)  # the same messages again
        deliver_all(connection, notifier, time_)
        assert target.titles == other.titles == ["coin-0 #0", "coin-1 #1", "coin-2 #2"]


def test_a_failing_target_causes_no_duplicates_at_the_others(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    with listening() as other:
        other.replies.extend([Reply(500), Reply(500)])
        notifier = make_notifier(time_, CHAT, other.url)
        _queue(connection, notifier, 1, NOW)
        deliver_all(connection, notifier, time_)
        assert (target.titles, other.titles) == (["coin-0 #0"], ["coin-0 #0"])
        assert other.request_count == 3


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, headers={"Retry-After": "37"}),
        Reply(429, b'{"ok":false,"error_code":429,"parameters":{"retry_after":37}}'),
    ],
    ids=["header", "body"],
)
def test_nothing_is_sent_during_the_pause_that_telegram_asks_for(
    connection: Connection, time_: FakeTime, target: Target, reply: Reply
) -> None:
    target.replies.append(reply)
    notifier = make_notifier(time_, CHAT)
    _queue(connection, notifier, 3, NOW)
    assert notifier.deliver(connection, seconds=60) == pytest.approx(37)
    time_.sleep(36)
    assert notifier.deliver(connection, seconds=60) == pytest.approx(1)
    assert target.request_count == 1
    time_.sleep(1)
    assert notifier.deliver(connection, seconds=60) is None
    assert len(target.titles) == 3


def test_other_targets_get_growing_pauses_whatever_they_ask_for(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    target.replies.extend([Reply(429, headers={"Retry-After": "1"})] * 3)
    notifier = make_notifier(time_, target.url)
    _queue(connection, notifier, 3, NOW)
    for seconds in (5, 10, 20):
        assert notifier.deliver(connection, seconds=60) == pytest.approx(seconds)
        time_.sleep(seconds)
    assert notifier.deliver(connection, seconds=60) is None
    assert len(target.titles) == 3


def test_at_most_twenty_messages_a_minute(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    notifier = make_notifier(time_, CHAT)
    _queue(connection, notifier, 50, NOW)
    pause = notifier.deliver(connection, seconds=60)
    assert len(target.titles) == 20
    assert pause == pytest.approx(60)
    again = make_notifier(time_, CHAT)  # the rate limit survives a restart
    assert again.deliver(connection, seconds=60) == pytest.approx(60)
    assert len(target.titles) == 20


def test_a_rejected_message_delays_only_its_own_queue(
    connection: Connection, time_: FakeTime, target: Target, url: str
) -> None:
    target.replies.append(Reply(400, b'{"description":"Bad Request: message text is empty"}'))
    notifier = make_notifier(time_, url)
    _queue(connection, notifier, 6, NOW, queues=2)
    notifier.deliver(connection, seconds=60)
    assert target.titles == ["coin-1 #1", "coin-1 #3", "coin-1 #5"]
    deliver_all(connection, notifier, time_)
    assert target.titles[3:] == ["coin-0 #0", "coin-0 #2", "coin-0 #4"]


def test_the_rate_limit_counts_rejected_messages(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    target.always = Reply(400)
    notifier = make_notifier(time_, CHAT)
    _queue(connection, notifier, 60, NOW, queues=60)
    while time_.at < NOW + timedelta(seconds=59):
        time_.sleep(max(0.5, notifier.deliver(connection, seconds=5) or 0))
    assert target.request_count == 20


def test_a_target_that_does_not_respond_gets_a_pause(
    connection: Connection,
    time_: FakeTime,
    monkeypatch: pytest.MonkeyPatch,
    target: Target,
    url: str,
) -> None:
    target.always = Reply(stall=30)
    with monkeypatch.context() as patch:
        for module in (telegram, targets):
            patch.setattr(module, "TIMEOUT_SECONDS", 0.2)
        notifier = make_notifier(time_, url)
        _queue(connection, notifier, 30, NOW)
        assert notifier.deliver(connection, seconds=60) == pytest.approx(5)
    assert target.request_count == 1
    target.always = Reply()
    deliver_all(connection, make_notifier(time_, url), time_)
    assert len(target.titles) == 30


def test_a_retry_after_of_zero_seconds_still_backs_off(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    target.always = Reply(429, headers={"Retry-After": "0"})
    notifier = make_notifier(time_, CHAT)
    _queue(connection, notifier, 3, NOW)
    for _ in range(20):
        time_.sleep(notifier.deliver(connection, seconds=60) or 0)
    assert target.request_count == 20
    assert time_.at - NOW > timedelta(hours=10)


def test_a_long_requested_pause_survives_a_restart(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    target.replies.append(Reply(429, headers={"Retry-After": "20000"}))
    _queue(connection, make_notifier(time_, CHAT), 5, NOW)
    for _ in range(20):
        make_notifier(time_, CHAT).deliver(connection, seconds=60)
        time_.sleep(999)
    assert target.request_count == 1
    time_.sleep(100)
    assert make_notifier(time_, CHAT).deliver(connection, seconds=60) is None


def test_a_message_is_abandoned_and_logged_after_twelve_rejections(
    connection: Connection,
    time_: FakeTime,
    target: Target,
    url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    target.replies.extend([Reply(400)] * MAX_REJECTIONS)
    notifier = make_notifier(time_, url)
    _queue(connection, notifier, 2, NOW, queues=1)
    deliver_all(connection, notifier, time_)
    assert target.titles == ["Late (20 Nov 12:00 UTC): coin-0 #1"]
    assert "message 1 is abandoned after 12 rejections (" in caplog.text
    assert " answered 400)" in caplog.text


def test_processes_that_deliver_at_once_never_send_a_message_twice(
    connection: Connection, fresh: FreshDatabase, time_: FakeTime, target: Target
) -> None:
    _queue(connection, make_notifier(time_, CHAT), 15, NOW)

    def deliver() -> None:
        with open_connection(fresh.address()) as own:
            for _ in range(40):
                make_notifier(time_, CHAT).deliver(own, seconds=60)

    threads = [threading.Thread(target=deliver) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(target.titles) == sorted(f"coin-{n} #{n}" for n in range(15))


def test_a_target_that_responds_too_slowly_times_out(
    connection: Connection,
    time_: FakeTime,
    target: Target,
    url: str,
) -> None:
    target.replies.append(Reply(stall=5))
    hurried = [dataclasses.replace(each, timeout_seconds=0.1) for each in make_targets([url])]
    notifier = Notifier(hurried, time_.clocks)
    _queue(connection, notifier, 1, NOW)
    assert notifier.deliver(connection, seconds=60) == pytest.approx(5)
    [(error,)] = read_rows(connection, "SELECT last_error FROM sentinel.outbox")
    assert "was not done after 0 s" in str(error)


def test_the_error_of_a_service_that_does_not_answer_says_that_too() -> None:
    [closed] = make_targets(["json://127.0.0.1:1/"])
    result = closed.send(OutgoingMessage("title", "body", "test"), NOW)
    assert result.error.endswith("did not accept the message, or did not answer")


def test_a_target_that_hangs_takes_no_time_from_the_others(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    def hang(_message: OutgoingMessage, _now: datetime) -> SendResult:
        time_.sleep(10)
        return SendResult(False, "no response")

    hanging = targets.Target("hanging", "hanging", hang)
    notifier = Notifier([hanging, *make_targets([target.url])], time_.clocks)
    _queue(connection, notifier, 3, NOW)
    notifier.deliver(connection, seconds=10)
    assert len(target.titles) == 3


def test_a_delivery_ends_when_its_time_is_up(connection: Connection, time_: FakeTime) -> None:
    sent: list[str] = []

    def send_slowly(message: OutgoingMessage, _now: datetime) -> SendResult:
        time_.sleep(4)
        sent.append(message.title)
        return SendResult(True)

    notifier = Notifier([targets.Target("slow", "slow", send_slowly)], time_.clocks)
    _queue(connection, notifier, 9, NOW)
    assert notifier.deliver(connection, seconds=10) == 0
    assert len(sent) == 3


def test_a_malformed_response_is_an_ordinary_failure(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    bodies = (b"[" * 100_000, b"\xff\xfe", b'{"parameters": 7, "retry_after": true}', b"NaN")
    target.replies.extend(Reply(429, body) for body in bodies)
    notifier = make_notifier(time_, CHAT)
    _queue(connection, notifier, 1, NOW)
    deliver_all(connection, notifier, time_)
    assert target.titles == ["coin-0 #0"]


def test_telegram_gets_plain_text_with_a_bold_title(time_: FakeTime, target: Target) -> None:
    notifier = make_notifier(time_, CHAT)
    message = Message("x", "x", "<3 🟥 Love & Co (A_B*) fell 5%", "body <script>", "test")
    assert notifier.send_directly(message) == []
    [(path, content)] = target.requests
    assert path == f"/bot{TOKEN}/sendMessage"
    assert content["chat_id"] == -100123
    assert content["text"] == "<3 🟥 Love & Co (A_B*) fell 5%\nbody <script>"
    assert content["entities"] == [{"type": "bold", "offset": 0, "length": 30}]
    assert "parse_mode" not in content


def test_a_message_that_is_too_long_for_telegram_is_cut(time_: FakeTime, target: Target) -> None:
    message = Message("x", "x", "titles", "🟥" * 5000, "test")
    assert make_notifier(time_, CHAT).send_directly(message) == []
    text = target.requests[0][1]["text"]
    assert len(text.encode("utf-16-le")) // 2 == 4096
    assert text == f"titles\n{'🟥' * 2044}…"


def test_each_chat_of_a_telegram_address_is_a_target(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    target.replies.append(Reply(403))
    notifier = make_notifier(time_, f"tgram://{TOKEN}/5/@channel:7/?silent=yes")
    _queue(connection, notifier, 1, NOW)
    deliver_all(connection, notifier, time_)
    chats = [
        (content["chat_id"], content.get("message_thread_id"), content["disable_notification"])
        for _, content in target.requests
    ]
    assert chats == [(5, None, True), ("@channel", 7, True), (5, None, True)]


def test_a_message_follows_a_group_to_its_new_chat_id(
    time_: FakeTime, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    moved = b'{"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-1009}}'
    target.replies.append(Reply(400, moved))
    assert (
        make_notifier(time_, CHAT).send_directly(Message("x", "x", "title", "body", "test")) == []
    )
    assert [content["chat_id"] for _, content in target.requests] == [-100123, -1009]
    assert "-1009: correct the setting" in caplog.text


@pytest.mark.parametrize(
    ("status", "description", "error"),
    [
        (400, "Bad Request: chat not found", "400: Bad Request: chat not found"),
        (
            403,
            "Forbidden: bot was blocked by the user",
            "403: Forbidden: bot was blocked by the user",
        ),
        (401, "Unauthorized", "401: Unauthorized"),
        (404, f"Not Found:\n bot{TOKEN}/sendMessage", "404: Not Found: bot123456789:…/sendMessage"),
        (500, "x" * 5_000, f"500: {'x' * 200}"),
    ],
)
def test_telegrams_own_words_are_in_the_log_the_outbox_and_the_error(
    connection: Connection,
    time_: FakeTime,
    target: Target,
    caplog: pytest.LogCaptureFixture,
    status: int,
    description: str,
    error: str,
) -> None:
    target.always = Reply(status, json.dumps({"ok": False, "description": description}).encode())
    notifier = make_notifier(time_, CHAT)
    expected = f"Telegram answered {error}"
    assert notifier.send_directly(Message("x", "x", "title", "body", "test")) == [expected]
    _queue(connection, notifier, 1, NOW)
    notifier.deliver(connection, seconds=60)
    assert f"message 1 did not arrive ({expected}): attempt 2 in 5 s" in caplog.text
    assert read_rows(connection, "SELECT last_error FROM sentinel.outbox") == [(expected,)]


@pytest.mark.parametrize(
    "description",
    [
        "Bad Request: chat not found",
        "Bad Request: have no rights to send a message",
    ],
)
def test_a_chat_that_accepts_nothing_is_a_failing_target_and_no_rejected_message(
    connection: Connection, time_: FakeTime, target: Target, description: str
) -> None:
    reply = Reply(400, json.dumps({"description": description}).encode())
    target.replies.extend([reply] * MAX_REJECTIONS)
    notifier = make_notifier(time_, CHAT)
    _queue(connection, notifier, 2, NOW)
    for _ in range(3):
        time_.sleep(notifier.deliver(connection, seconds=60) or 0)
    assert target.request_count == 3  # the second message waits too
    assert read_rows(connection, "SELECT failures FROM sentinel.alert_targets") == [(3,)]
    deliver_all(connection, notifier, time_)
    assert target.titles == ["coin-0 #0", "coin-1 #1"]  # none is abandoned


def test_a_long_reason_hides_no_requested_pause(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    body = {"description": "x" * 5_000, "parameters": {"retry_after": 37}}
    target.replies.append(Reply(429, json.dumps(body).encode()))
    notifier = make_notifier(time_, CHAT)
    _queue(connection, notifier, 1, NOW)
    assert notifier.deliver(connection, seconds=60) == pytest.approx(37)


def test_an_invalid_target_address_is_not_logged(log_output: io.StringIO) -> None:
    for url in ("tgram://123456789:AAHsecretTOKEN secret/1234567/", "SECRETTOKEN"):
        with pytest.raises(ConfigurationError):
            make_targets([url])
    assert "secret" not in log_output.getvalue().lower()


def test_without_targets_messages_go_to_the_log(
    connection: Connection, time_: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = make_notifier(time_)
    _queue(connection, notifier, 1, NOW)
    with caplog.at_level(logging.WARNING):
        assert notifier.deliver(connection, seconds=60) is None
    assert "coin-0 #0 | body" in caplog.text


def test_no_secret_reaches_the_log_or_the_outbox(
    connection: Connection,
    time_: FakeTime,
    target: Target,
    url: str,
    log_output: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    echo = json.dumps({"description": f"no bot {TOKEN}"}).encode()
    target.replies.extend([Reply(500), Reply(404, echo), Reply(429)])
    notifier = make_notifier(time_, url)
    _queue(connection, notifier, 1, NOW)
    with monkeypatch.context() as patch:
        patch.setattr(telegram, "API_URL", "http://127.0.0.1:9")  # a closed port
        notifier.deliver(connection, seconds=60)
    errors = str(read_rows(connection, "SELECT last_error FROM sentinel.outbox"))
    deliver_all(connection, notifier, time_)
    text = log_output.getvalue() + errors + repr(notifier)
    assert "did not arrive" in text
    assert "secret-path-4711" not in text
    assert "AAHdqTcv" not in text


def test_a_clock_set_back_does_not_delay_a_message(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    target.replies.append(Reply(400))
    notifier = make_notifier(time_, CHAT)
    time_.at += timedelta(days=400)
    _queue(connection, notifier, 1, time_.at)
    notifier.deliver(connection, seconds=60)
    time_.at = NOW
    assert make_notifier(time_, CHAT).deliver(connection, seconds=60) is None
    assert target.titles == ["coin-0 #0"]


def test_a_clock_set_back_does_not_use_up_the_rate_limit(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    notifier = make_notifier(time_, CHAT)
    time_.at += timedelta(days=400)
    _queue(connection, notifier, 21, time_.at)
    notifier.deliver(connection, seconds=60)
    time_.at = NOW
    assert notifier.deliver(connection, seconds=60) is None
    assert len(target.titles) == 21


@pytest.mark.soak
@pytest.mark.slow
def test_all_messages_reach_a_target_that_fails_stalls_and_rejects(
    connection: Connection,
    time_: FakeTime,
    monkeypatch: pytest.MonkeyPatch,
    target: Target,
    dice: random.Random,
) -> None:
    count = 300
    monkeypatch.setattr(telegram, "TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(digest, "MIN_LATE_MESSAGES", count)  # a digest would hide the order
    monkeypatch.setattr(delivery_rules, "LATE_AFTER", timedelta(days=9))
    failures = [
        Reply(500),
        Reply(502, b"<html>"),
        Reply(429, headers={"Retry-After": "20"}),
        Reply(429, json.dumps({"parameters": {"retry_after": 7}}).encode()),
        Reply(400),
        Reply(stall=0.2),
    ]
    target.replies.extend(
        dice.choice(failures) if dice.random() < 0.3 else Reply() for _ in range(count * 6 // 5)
    )
    notifier = make_notifier(time_, CHAT)
    _queue(connection, notifier, count, NOW, queues=40)
    # A new notifier, as after a kill -9, knows only what the database knows.
    for _ in range(100_000):
        if dice.random() < 0.05:
            notifier = make_notifier(time_, CHAT)
        pause = notifier.deliver(connection, seconds=5)
        if pause is None:
            break
        time_.sleep(max(0.1, pause))
    # At least once: on a busy machine a response may arrive after the timeout.
    assert set(target.titles) == {f"coin-{n % 40} #{n}" for n in range(count)}
    assert len(target.titles) <= 1.05 * count
    for queue in range(40):
        own = [int(t.partition("#")[2]) for t in target.titles if t.startswith(f"coin-{queue} ")]
        assert own == sorted(own)
    assert read_rows(connection, "SELECT count(*), count(delivered_at) FROM sentinel.outbox") == [
        (count, count)
    ]
    [(busiest,)] = read_rows(
        connection,
        "SELECT max(n) FROM (SELECT count(*) OVER (ORDER BY delivered_at RANGE BETWEEN"
        " interval '59.9 seconds' PRECEDING AND CURRENT ROW) AS n FROM sentinel.outbox) AS w",
    )
    assert busiest in range(1, 21)


def test_a_crash_between_sending_and_marking_sends_the_message_again(
    connection: Connection, time_: FakeTime, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = make_notifier(time_, CHAT)
    _queue(connection, notifier, 1, NOW)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "mark_delivered", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            notifier.deliver(connection, seconds=60)
    deliver_all(connection, notifier, time_)
    assert target.titles == ["coin-0 #0", "coin-0 #0"]


def test_a_message_of_a_failed_transaction_is_not_sent(
    connection: Connection, time_: FakeTime, target: Target
) -> None:
    notifier = make_notifier(time_, CHAT)
    with pytest.raises(psycopg.errors.DivisionByZero), connection.transaction():
        _queue(connection, notifier, 1, NOW)
        connection.execute("SELECT 1 / 0")
    assert notifier.deliver(connection, seconds=60) is None
    assert (outbox.count_waiting(connection), target.request_count) == (0, 0)


def test_sending_directly_returns_the_error_of_each_failed_target(
    time_: FakeTime, target: Target
) -> None:
    target.replies.extend([Reply(), Reply(403)])
    notifier = make_notifier(time_, CHAT)
    message = Message("test", "test", "hello", "world", "test")
    assert notifier.send_directly(message) == []
    assert notifier.send_directly(message) == ["Telegram answered 403"]
