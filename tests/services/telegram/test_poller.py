"""Who is answered and when, and what happens while Telegram, the API or the database fails."""

from __future__ import annotations

import json
import logging
import threading
from datetime import timedelta

import pytest

from sentinel.alerting import mutes, price_targets
from sentinel.errors import Interrupted
from sentinel.notifications import outbox, telegram
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.messages import Message
from sentinel.notifications.targets import make_targets
from sentinel.storage import service_status
from sentinel.storage.connection import Address, open_connection
from services.telegram import bot, commands
from services.telegram import poller as poller_module
from services.telegram.access import make_access
from services.telegram.bot import Bot
from services.telegram.poller import describe_failure
from services.telegram.responder import Responder
from services.telegram.updates import Request
from tests.conftest import NOW
from tests.services.telegram.conftest import Chat, start_chat
from tests.support.monitor import Reply
from tests.support.telegram import (
    BLOCKED,
    CONFLICT,
    GROUP,
    OWNER,
    TOKEN,
    UNAUTHORIZED,
    too_many_requests,
)

STRANGER = 99
MINUTE = timedelta(minutes=1)
# An update whose message has a date that no clock can show.
FAR_FUTURE = {
    "update_id": 6,
    "message": {
        "message_id": 1,
        "date": 10**20,
        "chat": {"id": OWNER},
        "from": {"id": OWNER},
        "text": "/help",
    },
}


def _in_group(chat: Chat, *user_ids: int) -> Chat:
    return start_chat(chat.server, chat.time, chat.database, chat.responder, str(GROUP), user_ids)


def _read_state(chat: Chat) -> dict[str, object]:
    with open_connection(chat.database.address()) as connection:
        status = service_status.read(connection, "telegram")
    assert status
    return dict(status.state)


def _list_targets(chat: Chat) -> list[price_targets.PriceTarget]:
    with open_connection(chat.database.address()) as connection:
        return price_targets.list_targets(connection)


# --- who may command -------------------------------------------------------------------------


def test_a_stranger_gets_no_answer_and_is_counted_and_logged_once_an_hour_without_content(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        chat.server.say("/portfolio secret-words", user=STRANGER, chat=GROUP)
        chat.server.say("/price secret-words", user=STRANGER)
        chat.server.press_data("mute:bitcoin", user=STRANGER)
    assert chat.poll() == []
    assert chat.server.state.answered == {}
    chat.time.at += timedelta(hours=1)
    chat.server.say("/price BTC", user=STRANGER)
    assert chat.poll() == []
    assert caplog.text.count(f"the user {STRANGER} in the chat") == 2
    assert "secret" not in caplog.text
    assert _read_state(chat)["strangers"] == 10
    assert "Messages of strangers, ignored: 10" in chat.ask("/status").text


def test_in_a_group_only_the_configured_users_command(chat: Chat) -> None:
    no_users = _in_group(chat)
    no_users.server.say("/help", user=OWNER, chat=GROUP)
    assert no_users.poll() == no_users.poll() == []  # the second poll confirms the update
    group = _in_group(chat, OWNER)
    group.server.say("/help", user=STRANGER, chat=GROUP)
    assert group.poll() == []
    answer = group.ask("/targets@sentinel_BOT", chat=GROUP)
    assert answer.chat_id == GROUP
    group.server.press_data("mute:bitcoin", message=answer, user=STRANGER)
    assert group.poll() == []
    group.server.say("/help")  # the owner, in a chat that is not configured
    assert group.poll() == []
    assert group.poller.access.strangers == 3


def test_in_a_group_the_bot_ignores_talk_and_commands_to_other_bots(chat: Chat) -> None:
    group = _in_group(chat, OWNER)
    for text in ("hello", "/price@other_bot BTC", "see /help"):
        group.server.say(text, chat=GROUP)
    assert group.poll() == []
    assert group.poller.access.answered == 0


def test_an_answer_goes_to_the_topic_of_the_question(chat: Chat) -> None:
    group = _in_group(chat, OWNER)
    topic = {"message_thread_id": 5, "is_topic_message": True}
    assert group.ask("/targets", chat=GROUP, **topic).parameters["message_thread_id"] == 5


def test_no_person_commands_in_a_channel(chat: Chat) -> None:
    channel = start_chat(chat.server, chat.time, chat.database, chat.responder, "@channel", ())
    channel.server.say("/help")
    assert channel.poll() == []


# --- how often, and how late -----------------------------------------------------------------


@pytest.mark.slow
def test_a_flood_is_answered_up_to_the_limit_of_a_minute(chat: Chat) -> None:
    group = _in_group(chat, OWNER)
    for _ in range(40):
        group.server.say("/unknown", chat=GROUP)
    answers = [message.text for message in group.poll()]
    assert answers[10:] == ["Too many commands: wait a minute."]
    assert group.poller.access.dropped == 30
    group.time.at += MINUTE
    assert group.ask("/unknown", chat=GROUP).text.startswith("I do not know")


def test_a_private_chat_has_twenty_commands_in_each_minute() -> None:
    access = make_access(str(OWNER), ())
    request = Request(1, OWNER, OWNER, NOW, "/help", 1, None)
    decisions = [access.decide(request, NOW + timedelta(seconds=n)) for n in range(70)]
    assert [n for n, decision in enumerate(decisions) if decision == "answer"] == [
        *range(20),
        *range(60, 70),
    ]
    assert decisions.count("too_many") == 1


def test_commands_of_an_outage_are_dropped_by_their_age(chat: Chat) -> None:
    chat.server.say("/mute bitcoin", at=NOW - timedelta(minutes=10))
    chat.server.say("/nonsense", at=NOW - timedelta(seconds=100))
    assert [message.text for message in chat.poll()] == [
        "I do not know this command. /help lists all commands."
    ]
    assert chat.poller.access.dropped == 1
    chat.poll()
    assert chat.server.state.updates == []  # the dropped one is confirmed too


def test_a_wrong_clock_of_this_machine_drops_no_commands(chat: Chat) -> None:
    chat.server.state.now = lambda: NOW - timedelta(hours=3)
    assert chat.ask("/unknown").text.startswith("I do not know")


def test_a_button_that_telegram_calls_too_old_does_nothing(chat: Chat) -> None:
    chat.server.state.expired_queries.add(chat.server.press_data("mute:bitcoin"))
    assert chat.poll() == []
    with open_connection(chat.database.address()) as connection:
        assert mutes.read_muted(connection, NOW) == {}


# --- Telegram fails --------------------------------------------------------------------------


def test_a_revoked_token_is_a_clear_error_and_is_tried_again_slowly(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    chat.server.state.always["getUpdates"] = UNAUTHORIZED
    assert [chat.poller.poll() for _ in range(3)] == [120, 120, 120]
    state = _read_state(chat)
    assert state["is_token_wrong"] is True
    assert "401: Unauthorized. The bot's token is wrong" in str(state["problem"])
    assert caplog.text.count("no commands from Telegram: getUpdates") == 1
    del chat.server.state.always["getUpdates"]
    chat.ask("/unknown")
    assert "Telegram sends updates again" in caplog.text
    assert _read_state(chat)["problem"] is None
    assert TOKEN.partition(":")[2] not in caplog.text


def test_of_two_pollers_the_older_one_pauses_and_says_why(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.poll()
    monkeypatch.setattr(poller_module, "POLL_SECONDS", 20)
    pauses: list[float] = []
    thread = threading.Thread(target=lambda: pauses.append(chat.poller.poll()))
    polls = chat.server.polls
    thread.start()
    while chat.server.polls == polls:
        assert thread.is_alive()
    other = chat.restart()
    other.poller._username = None  # the first poll returns at once
    assert other.poller.poll() == 0
    thread.join()
    assert pauses == [30]
    assert "409: Conflict" in (chat.poller.problem or "")
    assert "Stop the other program" in (chat.poller.problem or "")


@pytest.mark.slow
def test_the_pauses_after_failures_grow_and_a_requested_pause_is_kept(chat: Chat) -> None:
    chat.server.fail("getUpdates", CONFLICT, CONFLICT, CONFLICT, CONFLICT, CONFLICT)
    assert [chat.poller.poll() for _ in range(5)] == [30, 30, 30, 40, 80]
    assert chat.poller.poll() == 0
    chat.server.fail("getUpdates", too_many_requests(37), Reply(502), Reply(502))
    assert [chat.poller.poll() for _ in range(3)] == [37, 10, 20]


@pytest.mark.slow
def test_stalls_and_broken_responses_are_ordinary_failures(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bot, "TIMEOUT_SECONDS", 0.1)
        chat.server.fail("getUpdates", Reply(stall=5))
        assert chat.poller.poll() > 0
    chat.server.fail(
        "getUpdates",
        *(Reply(200, body) for body in (b"", b"<html>", b"[" * 100_000, b"{}", b'{"result": 7}')),
        Reply(502, b"\xff" * 100),
        Reply(200, b'{"result": [7, {"update_id": "x"}, {"update_id": 5, "message": 7}]}'),
        Reply(200, json.dumps({"result": [FAR_FUTURE]}).encode()),
    )
    pauses = [chat.poller.poll() for _ in range(7)]
    assert all(pause > 0 for pause in pauses[:6])
    assert pauses[6] == 0
    assert chat.poller.offset == 6  # an update that cannot be read is confirmed all the same
    assert chat.poller.poll() == 0
    assert chat.poller.offset == 7
    assert chat.ask("/unknown").text.startswith("I do not know")
    assert TOKEN.partition(":")[2] not in caplog.text


def test_an_answer_that_telegram_refuses_is_logged_and_the_next_one_is_sent(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    chat.server.fail("sendMessage", BLOCKED, too_many_requests(61))
    for problem in ("403: Forbidden: bot was blocked by the user", "retry after 61"):
        chat.server.say("/unknown")
        assert chat.poll() == []
        assert problem in caplog.text
    assert chat.ask("/unknown")


def test_an_answer_is_sent_after_the_pause_that_telegram_asks_for(chat: Chat) -> None:
    chat.server.fail("sendMessage", too_many_requests(12))
    assert chat.ask("/mute bitcoin").text.startswith("No alerts of Bitcoin")
    assert chat.time.slept == [12]


def test_the_commands_are_registered_again_after_a_failure(chat: Chat) -> None:
    chat.poller._username = None
    chat.server.fail("setMyCommands", Reply(500))
    assert chat.poller.poll() == 5
    assert chat.poller.poll() == 0
    assert chat.server.count("setMyCommands") == 2
    chat.poll()
    assert chat.server.count("setMyCommands") == 2


def test_a_long_answer_is_cut(chat: Chat) -> None:
    Bot(TOKEN).send_text(OWNER, "x" * 5_000, title="title")
    [message] = chat.server.state.sent
    assert len(message.text) == 4096
    assert message.text.endswith("…")


def test_what_is_wrong_is_said_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telegram, "API_URL", "http://127.0.0.1:9")
    with pytest.raises(bot.BotError) as raised:
        Bot(TOKEN).get_username()
    text, pause = describe_failure(raised.value, 1)
    assert (text, pause) == ("getMe: Telegram does not answer (ConnectionError)", 5)
    assert TOKEN not in repr(Bot(TOKEN))


# --- the API or the database fails -----------------------------------------------------------


def test_without_the_api_nothing_is_changed(chat: Chat) -> None:
    broken = chat.restart(api_url="http://127.0.0.1:9")
    until = NOW + timedelta(days=1)
    with open_connection(chat.database.address()) as connection:
        mutes.mute(connection, "ethereum", until, NOW)
        for action in ("/price bitcoin", "/mute bitcoin"):
            assert broken.ask(action).text.startswith("The API of the monitor does not answer")
        for data in ("mute:bitcoin", "unmute:ethereum"):
            broken.server.press_data(data)
            [answer] = broken.poll()
            assert answer.text.endswith("Nothing was changed.")
        assert mutes.read_muted(connection, NOW) == {"ethereum": until}
        mutes.unmute(connection, "ethereum")


def test_without_the_database_the_answer_says_so(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    broken = chat.restart(address=Address("host=/nowhere dbname=x", "x on nowhere"))
    assert broken.ask("/targets").text == "The database does not answer. Nothing was changed."
    assert "the status cannot be recorded" in caplog.text


def test_a_status_that_cannot_be_recorded_is_tried_once_a_minute_and_polls_stay_long(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = chat.restart(address=Address("host=/nowhere dbname=x", "x on nowhere"))
    monkeypatch.setattr(poller_module, "POLL_SECONDS", 20)
    chat.server.fail("getUpdates", *[Reply(200, b'{"result": []}')] * 3)
    broken.poller._username = None
    for _ in range(3):
        broken.poller.poll()
    polls = [p["timeout"] for name, p in chat.server.state.requests if name == "getUpdates"]
    assert polls == [0, 20, 20]
    assert caplog.text.count("the status cannot be recorded") == 1


def test_a_bug_in_a_command_is_answered_once(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("bug")

    monkeypatch.setattr(commands, "answer", fail)
    assert chat.ask("/help").text.startswith("An error")
    assert chat.poll() == []
    assert "ValueError: bug" in caplog.text


@pytest.mark.parametrize("place", ["answer", "record"])
def test_a_signal_ends_the_process_also_in_the_middle_of_a_command(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted(15)

    monkeypatch.setattr(commands if place == "answer" else service_status, place, interrupt)
    chat.server.say("/help")
    with pytest.raises(Interrupted):
        chat.poller.poll()


# --- an update is carried out once -----------------------------------------------------------


class _Killed(BaseException):
    """The end of the process at this point."""


@pytest.mark.slow
def test_an_update_is_not_carried_out_again_after_a_kill_before_its_answer(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview = chat.ask("/target bitcoin 85000")
    chat.poll()
    data = preview.find_button("Save")
    chat.server.press_data(data, message=preview)

    def kill(*_: object) -> None:
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(Responder, "_send", kill)
        with pytest.raises(_Killed):
            chat.poller.poll()
    [target] = _list_targets(chat)
    chat.database.query("DELETE FROM sentinel.price_targets")  # a second save would show
    assert len(chat.server.state.updates) == 1
    restarted = chat.restart()
    assert restarted.poll() == []
    assert _list_targets(chat) == []
    restarted.poll()
    assert chat.server.state.updates == []
    assert target.coin_id == "bitcoin"


@pytest.mark.slow
def test_an_update_that_was_not_carried_out_before_a_kill_is_carried_out_then(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.server.press_data("save:below:usd:85000:bitcoin", message=chat.ask("/help"))

    def kill(*_: object, **__: object) -> None:
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(price_targets, "add_target", kill)
        with pytest.raises(_Killed):
            chat.poller.poll()
    assert _list_targets(chat) == []
    chat.restart().poll()
    assert len(_list_targets(chat)) == 1


@pytest.mark.slow
def test_after_a_week_of_silence_or_with_another_bot_a_smaller_id_is_new(chat: Chat) -> None:
    chat.ask("/unknown")
    chat.poll()
    for days, responder in ((8, chat.responder), (0, chat.responder)):
        chat.server.state.next_update_id -= 100
        chat.time.at += timedelta(days=days)
        chat.server.say("/unknown")
        answers = start_chat(chat.server, chat.time, chat.database, responder).poll()
        assert len(answers) == (1 if days else 0)
        chat.server.state.updates.clear()


def test_the_offset_is_forgotten_once_it_is_confirmed(chat: Chat) -> None:
    """After a week without updates the next id may be smaller than the offset."""
    chat.ask("/unknown")
    chat.poll()
    chat.poll()
    offsets = [p.get("offset") for name, p in chat.server.state.requests if name == "getUpdates"]
    assert offsets == [None, 901, None]


@pytest.mark.slow
def test_the_buttons_of_a_delivered_alert_reach_the_process_that_answers_them(chat: Chat) -> None:
    notifier = Notifier(make_targets([f"tgram://{TOKEN}/{OWNER}/"]), chat.time.clocks)
    working = chat.restart(chat=telegram.TelegramChat(TOKEN, OWNER, None, False).fingerprint)
    working.poll()
    message = Message("bitcoin", "key", "title", "body", "panic", "bitcoin")
    with open_connection(chat.database.address()) as connection:
        outbox.queue_message(connection, message, notifier.names, NOW)
        notifier.deliver(connection, seconds=60)
        [alert] = chat.server.state.sent
        [answer] = working.press(alert, "Mute 1 day")
        assert answer.text.startswith("No alerts of Bitcoin (BITC) until 21 Nov 19:00")
        assert list(mutes.read_muted(connection, NOW)) == ["bitcoin"]


def test_the_status_is_recorded_once_a_minute_with_what_senders_need(chat: Chat) -> None:
    chat.poll()
    state = _read_state(chat)
    assert (state["chat"], state["language"], state["is_stopped"]) == ("fingerprint", "en", False)
    before = chat.database.query("SELECT recorded_at FROM sentinel.service_status")
    chat.time.at += timedelta(seconds=30)
    chat.poll()
    assert chat.database.query("SELECT recorded_at FROM sentinel.service_status") == before
    chat.time.at += timedelta(seconds=30)
    chat.poll()
    assert chat.database.query("SELECT recorded_at FROM sentinel.service_status") != before


@pytest.mark.slow
def test_no_log_of_a_whole_conversation_holds_the_token(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="sentinel")
    for text in ("/price bitcoin", "/chart bitcoin", "/mute bitcoin"):
        chat.ask(text)
    assert TOKEN not in caplog.text
    assert json.dumps(_read_state(chat)).find(TOKEN) == -1
