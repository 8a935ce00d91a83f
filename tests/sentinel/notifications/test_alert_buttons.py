"""The buttons under an alert in Telegram: only where a process answers them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from sentinel.notifications import outbox, telegram
from sentinel.notifications.alert_buttons import make_alert_buttons
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.kinds import MessageKind
from sentinel.notifications.messages import Message
from sentinel.notifications.targets import make_targets
from sentinel.storage import service_status
from sentinel.storage.connection import Connection
from tests.conftest import NOW, FakeTime
from tests.support.telegram import OWNER, TOKEN, TelegramServer, running_telegram

CHAT = telegram.TelegramChat(TOKEN, OWNER, None, False)
WORKING: dict[str, Any] = {"chat": CHAT.fingerprint, "language": "en", "problem": None}


@pytest.fixture
def bot_api(time_: FakeTime, monkeypatch: pytest.MonkeyPatch) -> Iterator[TelegramServer]:
    with running_telegram(time_.now) as server:
        monkeypatch.setattr(telegram, "API_URL", server.url)
        yield server


def _deliver(
    connection: Connection, time_: FakeTime, kind: MessageKind, coin_id: str | None, chat: int
) -> None:
    notifier = Notifier(make_targets([f"tgram://{TOKEN}/{chat}/"]), time_.clocks)
    message = Message("queue", f"{kind}:{coin_id}", "title", "body", kind, coin_id)
    outbox.queue_message(connection, message, notifier.names, time_.now())
    assert notifier.deliver(connection, seconds=60) is None


def test_an_alert_has_buttons_in_the_language_of_the_process_that_answers_them(
    connection: Connection, time_: FakeTime, bot_api: TelegramServer
) -> None:
    service_status.record(connection, "telegram", WORKING | {"language": "id"}, NOW)
    _deliver(connection, time_, "panic", "bitcoin", OWNER)
    [message] = bot_api.state.sent
    assert message.find_button("Senyapkan 1 hari") == "mute:bitcoin"
    assert message.find_button("Mengapa?") == "why:panic:bitcoin"
    assert message.find_button("Grafik") == "chart:bitcoin"


@pytest.mark.parametrize(
    "status",
    [
        None,
        WORKING | {"problem": "Telegram answered 409"},
        WORKING | {"is_stopped": True},
        WORKING | {"chat": "of another chat"},
    ],
    ids=["never started", "does not work", "stopped", "another chat"],
)
def test_an_alert_has_no_buttons_that_no_process_would_answer(
    connection: Connection,
    time_: FakeTime,
    bot_api: TelegramServer,
    status: dict[str, Any] | None,
) -> None:
    if status:
        service_status.record(connection, "telegram", status, NOW)
    _deliver(connection, time_, "panic", "bitcoin", OWNER)
    assert [message.buttons for message in bot_api.state.sent] == [[]]


def test_other_messages_have_no_buttons_and_a_silent_process_gets_none(
    connection: Connection, time_: FakeTime, bot_api: TelegramServer
) -> None:
    service_status.record(connection, "telegram", WORKING, NOW)
    _deliver(connection, time_, "incident", None, OWNER)
    _deliver(connection, time_, "summary", "bitcoin", OWNER)
    time_.at = NOW + timedelta(minutes=6)
    _deliver(connection, time_, "reversal", "bitcoin", OWNER)
    assert [message.buttons for message in bot_api.state.sent] == [[], [], []]


def test_a_coin_whose_id_is_too_long_for_a_button_has_none() -> None:
    assert make_alert_buttons("panic", "x" * 51, "en")
    assert make_alert_buttons("reversal", "x" * 52, "en") == ()
