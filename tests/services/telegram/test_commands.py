"""Every command and every button, in both languages."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from string import Formatter

import pytest
import requests
from PIL import Image

from sentinel.alerting import mutes, price_targets
from sentinel.alerting.target_prices import Observation
from sentinel.storage.connection import Connection, open_connection
from services.telegram import commands, find_coin
from services.telegram.chart import split_at_gaps
from services.telegram.commands import parse_command
from services.telegram.durations import parse_duration
from services.telegram.texts import TEXTS
from tests.conftest import NOW
from tests.services.telegram.conftest import Chat
from tests.support.telegram import SentMessage

LANGUAGES = pytest.mark.parametrize("language", ["en", pytest.param("id", marks=pytest.mark.slow)])


# A command, and a part of its answer in both languages.
ANSWERS = [
    ("/price bitc", {"en": "$90,000.00 (Rp1,462,500,000)", "id": "US$90.000,00 (Rp1.462"}),
    ("/price Bitcoin", {"en": "24 hours: +0.1%", "id": "24 jam: +0,1%"}),
    ("/price bitcoin", {"en": "seconds ago)", "id": "detik lalu)"}),
    ("/price bitc", {"en": "“bitc” also means bitcoin-cash.", "id": "“bitc” juga berarti"}),
    ("/price@Sentinel_bot ETHEREUM", {"en": "Ethereum (ETHE)", "id": "Ethereum (ETHE)"}),
    ("/price thereu", {"en": "Similar: Ethereum", "id": "Yang mirip: Ethereum"}),
    ("/price nothing", {"en": "I know no coin “nothing”", "id": "“nothing” tidak dikenal"}),
    ("/price", {"en": "like this: /price BTC", "id": "seperti ini: /price BTC"}),
    ("/portfolio", {"en": "The portfolio is empty", "id": "Portofolio kosong"}),
    ("/alerts", {"en": "Bitcoin (BITC) fell 5.3%", "id": "Bitcoin (BITC) turun 5,3%"}),
    ("/alerts ethereum", {"en": "There are no alerts", "id": "Tidak ada peringatan"}),
    ("/targets", {"en": "There are no price targets", "id": "Tidak ada target harga"}),
    ("/target bitcoin cheap", {"en": "/target BTC 100000", "id": "/target BTC 100000"}),
    ("/target bitcoin 1,2.3,4", {"en": "is not a price", "id": "bukan harga"}),
    ("/mute bitcoin 99x", {"en": "“99x” is not a time", "id": "“99x” bukan waktu"}),
    ("/unmute bitcoin", {"en": "is not muted", "id": "tidak disenyapkan"}),
    ("/status", {"en": "Newest price: 20 Nov 19:00", "id": "Harga terbaru: 20 Nov 19:00"}),
    ("/status", {"en": "has a problem\n• last_run: No run", "id": "bermasalah\n• last_run"}),
    ("/chart bitcoin 999w", {"en": "“999w” is not a time", "id": "“999w” bukan waktu"}),
    ("/help", {"en": "/mute: no alerts of a coin", "id": "/mute: senyapkan peringatan"}),
    ("/start", {"en": "/price: price of a coin", "id": "/price: harga koin"}),
    ("/nonsense", {"en": "I do not know this command", "id": "Perintah ini tidak dikenal"}),
    ("hello", {"en": "I do not know this command", "id": "Perintah ini tidak dikenal"}),
]


@pytest.fixture
def speaker(chat: Chat, indonesian: Chat, language: str) -> Chat:
    """The chat in a language."""
    return chat if language == "en" else indonesian


@pytest.fixture
def connection(chat: Chat) -> Iterator[Connection]:
    with open_connection(chat.database.address()) as connection:
        yield connection


def _buy(chat: Chat) -> None:
    """Buy through the API: a write empties its cache."""
    response = requests.post(
        f"{chat.responder.api_url}/portfolio/transactions",
        json={"coin_id": "bitcoin", "quantity": "0.5", "price": "80000"},
        headers={"Authorization": f"Bearer {chat.responder.api_token}"},
        timeout=30,
    )
    assert response.ok


def test_both_languages_have_the_same_texts_with_the_same_values() -> None:
    assert TEXTS["en"].keys() == TEXTS["id"].keys()
    for key, english in TEXTS["en"].items():
        assert _list_fields(english) == _list_fields(TEXTS["id"][key]), key


def _list_fields(text: str) -> set[str | None]:
    return {field for _, field, _, _ in Formatter().parse(text)} - {None}


@LANGUAGES
@pytest.mark.slow
def test_each_command_answers(speaker: Chat, language: str) -> None:
    for command, parts in ANSWERS:
        speaker.time.sleep(4)  # below the limit of commands a minute
        assert parts[language] in speaker.ask(command).text, command


def test_another_coin_with_the_symbol_is_named_only_down_to_rank_500(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chat.ask("/price bitc").text.endswith("“bitc” also means bitcoin-cash.")
    monkeypatch.setattr(find_coin, "MAX_RANK_OF_OTHERS", 1)
    assert "also means" not in chat.ask("/price bitc").text


@LANGUAGES
def test_the_menu_of_commands_is_set_in_the_users_language(speaker: Chat, language: str) -> None:
    speaker.poller._username = None
    speaker.poll()
    assert speaker.server.count("getMe") == 1
    [menu] = speaker.server.state.commands.values()
    assert [entry["command"] for entry in menu] == list(commands.COMMANDS)
    assert menu[0]["description"] == TEXTS[language]["menu_price"]


@LANGUAGES
def test_the_portfolio_shows_value_profit_and_the_age_of_its_prices(
    speaker: Chat, language: str
) -> None:
    _buy(speaker)
    text = speaker.ask("/portfolio").text
    if language == "en":
        assert "$45,000.00 (Rp731,250,000)" in text
        assert "Profit in total: $5,000.00" in text
        assert "• BITC 0.5: $45,000.00 (100.0%)" in text
        assert "Oldest price: 20 Nov 19:00 WIB" in text
    else:
        assert "US$45.000,00 (Rp731.250.000)" in text
        assert "Harga terlama: 20 Nov 19:00 WIB" in text


@pytest.mark.slow
def test_a_chart_is_a_picture_with_the_age_of_its_price_below(chat: Chat) -> None:
    day, week = chat.ask("/chart bitcoin"), chat.ask("/chart bitcoin 7d")
    images = [Image.open(io.BytesIO(message.photo)) for message in (day, week)]
    assert [image.size for image in images] == [(900, 500)] * 2
    assert day.photo != week.photo
    assert "20 Nov 19:00 WIB" in day.text
    # The alert's red triangle.
    assert any(color == (192, 57, 43) for _, color in images[0].getcolors(900 * 500) or [])


def test_a_gap_of_the_prices_is_not_joined_by_a_line() -> None:
    points = [(NOW + timedelta(minutes=15 * n), 1.0) for n in (0, 1, 2, 3, 9, 10, 30)]
    lines = list(split_at_gaps(points, timedelta(minutes=5)))
    assert [len(line) for line in lines] == [4, 2, 1]
    assert list(split_at_gaps(points[:1], timedelta(minutes=5))) == [points[:1]]


@pytest.mark.slow
def test_a_symbol_becomes_no_link(chat: Chat) -> None:
    _buy(chat)
    set_symbol = "UPDATE sentinel.coins SET symbol = %s WHERE coin_id = 'bitcoin'"
    [(symbol,)] = chat.database.query("SELECT symbol FROM sentinel.coins WHERE coin_id = 'bitcoin'")
    chat.database.query(set_symbol, "pump.fun")
    texts = [chat.ask(command).text for command in ("/alerts", "/portfolio")]
    chat.database.query(set_symbol, symbol)
    assert [text.count("PUMP.\u2060FUN") for text in texts] == [1, 1]


def test_an_alert_of_a_muted_coin_is_listed_as_muted(chat: Chat) -> None:
    chat.database.query("UPDATE sentinel.alerts SET is_announced = false")
    answer = chat.ask("/alerts")
    chat.database.query("UPDATE sentinel.alerts SET is_announced = true")
    assert answer.text.endswith(" (muted)")


# --- muting ----------------------------------------------------------------------------------


def test_a_coin_is_muted_for_a_day_or_for_the_given_time(
    chat: Chat, connection: Connection
) -> None:
    chat.ask("/mute bitcoin")
    answer = chat.ask("/mute Ethereum 2h")
    assert answer.text == "No alerts of Ethereum (ETHE) until 20 Nov 21:00 WIB."
    assert mutes.read_muted(connection, NOW) == {
        "bitcoin": NOW + timedelta(days=1),
        "ethereum": NOW + timedelta(hours=2),
    }
    assert "Muted: " in chat.ask("/status").text
    [unmuted] = chat.press(answer, "Unmute")
    assert unmuted.text == "Alerts of Ethereum (ETHE) are sent again."
    assert list(mutes.read_muted(connection, NOW)) == ["bitcoin"]


def test_a_button_mutes_no_coin_that_does_not_exist(chat: Chat, connection: Connection) -> None:
    chat.server.press_data("mute:nosuch", message=chat.ask("/nonsense"))
    [answer] = chat.poll()
    assert answer.text.startswith("I know no coin “nosuch”")
    assert mutes.read_muted(connection, NOW) == {}


def test_a_duration_is_a_number_and_a_unit() -> None:
    longest = timedelta(days=365)
    assert parse_duration("30m", longest) == timedelta(minutes=30)
    assert parse_duration("2H", longest) == timedelta(hours=2)
    assert parse_duration("1w", longest) == timedelta(weeks=1)
    for text in ("0d", "9999w", "1 d", "\u0663d", "-1d", "1"):
        assert parse_duration(text, longest) is None, text


# --- price targets ---------------------------------------------------------------------------


@LANGUAGES
def test_a_price_target_is_previewed_saved_listed_and_deleted_after_a_question(
    speaker: Chat, connection: Connection, language: str
) -> None:
    save, delete, yes = {
        "en": ("Save", "Delete", "Yes"),
        "id": ("Simpan", "Hapus", "Ya"),
    }[language]
    preview = speaker.ask("/target bitcoin 85000")
    assert price_targets.list_targets(connection) == []
    assert speaker.press(preview, save) == []  # the preview itself changes
    assert preview.buttons == []
    assert "85" in preview.text
    [target] = price_targets.list_targets(connection)
    assert (target.direction, int(target.price), target.currency) == ("below", 85_000, "usd")
    assert target.source == "telegram"
    listed = speaker.ask("/targets")
    [question] = speaker.press(listed, delete)
    assert len(price_targets.list_targets(connection)) == 1
    speaker.press(question, yes)
    assert price_targets.list_targets(connection) == []


def test_a_preview_says_how_often_the_target_would_have_fired(chat: Chat) -> None:
    text = chat.ask("/target bitcoin 89900").text
    assert text.startswith("Bitcoin (BITC): message when the price falls to $89,900.00?")
    assert "Price now: $90,000.00" in text
    assert "It would not have come since 18 Nov" in text


def test_a_preview_says_when_the_target_would_have_fired_and_counts_the_crossings(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [NOW - timedelta(days=days) for days in (9, 4, 2)]
    crossings = [Observation(at, Decimal(85_000)) for at in times]
    preview = price_targets.TargetPreview("below", None, False, times[0], crossings)
    monkeypatch.setattr(price_targets, "preview_target", lambda *_: preview)
    text = chat.ask("/target bitcoin 85000").text
    assert "It would have come on 11 Nov 19:00" in text
    assert "Times that the price crossed the line since 11 Nov 19:00 WIB: 3" in text


def test_of_two_readings_of_a_price_the_one_near_the_current_price_is_previewed(
    chat: Chat, indonesian: Chat
) -> None:
    for speaker, words, data in (
        (chat, "bitcoin 100.000", "save:above:usd:100000:bitcoin"),
        (chat, "ethereum 2,500", "save:below:usd:2500:ethereum"),
        (chat, "bitcoin-cash 100.000", "save:below:usd:100.000:bitcoin-cash"),
        (indonesian, "bitcoin 95,500", "save:above:usd:95500:bitcoin"),
        (indonesian, "bitcoin Rp1.500.000.000", "save:above:idr:1500000000:bitcoin"),
    ):
        save = "Save" if speaker is chat else "Simpan"
        assert speaker.ask(f"/target {words}").find_button(save) == data


def test_if_no_reading_of_a_price_is_near_the_current_price_the_bot_asks(
    chat: Chat, indonesian: Chat
) -> None:
    asked = chat.ask("/target bitcoin 5.000")
    assert (asked.text, asked.buttons) == ("“5.000” has two meanings. Write 5000 or 5.", [])
    chat.poll()  # confirms the update
    text = indonesian.ask("/target bitcoin 1,234").text
    assert text == "“1,234” punya dua arti. Tulis 1234 atau 1,2340."


@pytest.mark.slow
def test_the_direction_and_the_currency_of_a_target_are_found(chat: Chat) -> None:
    for words, data in (
        ("bitcoin 100000", "save:above:usd:100000:bitcoin"),
        ("bitcoin 100,000.5", "save:above:usd:100000.5:bitcoin"),
        ("bitcoin $100000", "save:above:usd:100000:bitcoin"),
        ("Bitcoin-Cash 1", "save:below:usd:1:bitcoin-cash"),
        ("bitcoin 1500000000 IDR", "save:above:idr:1500000000:bitcoin"),
        ("bitcoin Rp1.500.000.000", "save:above:idr:1500000000:bitcoin"),
    ):
        assert chat.ask(f"/target {words}").find_button("Save") == data


@pytest.mark.slow
def test_a_second_press_adds_no_second_target_and_cancel_adds_none(
    chat: Chat, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    preview, other = chat.ask("/target bitcoin 85000"), chat.ask("/target bitcoin 80000")
    data = preview.find_button("Save")
    chat.press(preview, "Save")
    chat.server.press_data(data, message=preview)
    chat.poll()
    assert preview.text == "This price target exists already."
    cancel = other.find_button("Cancel")
    chat.press(other, "Cancel")
    assert other.text == "Nothing was changed."
    chat.server.press_data(cancel, message=other)
    assert chat.poll() == []
    assert "did not arrive" not in caplog.text  # the message has this text already
    assert len(price_targets.list_targets(connection)) == 1


@pytest.mark.slow
def test_twenty_targets_are_listed_and_the_others_counted(
    chat: Chat, connection: Connection
) -> None:
    for price in range(1, 23):
        new = price_targets.NewTarget("bitcoin", Decimal(price), direction="below")
        price_targets.add_target(connection, new, NOW)
    listed = chat.ask("/targets")
    assert listed.text.endswith("\n20. Bitcoin (BITC) falls to $3.00\nand 2 more")
    assert len(listed.buttons) == 20


def test_a_button_of_a_deleted_message_is_answered_with_a_new_message(chat: Chat) -> None:
    preview = chat.ask("/target bitcoin 85000")
    chat.server.state.sent.remove(preview)
    chat.server.press(preview, "Cancel")
    chat.poll()
    assert chat.server.texts == ["Nothing was changed."]


@pytest.mark.slow
def test_a_button_that_no_longer_fits_answers_and_changes_nothing(
    chat: Chat, connection: Connection
) -> None:
    old = chat.ask("/help")
    for data in (
        *("save:up:usd:1:bitcoin", "save:above:eur:1:bitcoin", "save:above:usd:x:bitcoin"),
        *("save", "save:above:usd:nan:bitcoin", "delete:x", "delete-yes:99", "unknown:1"),
        *("unmute:", "mute:../coins", "chart:", "why:panic:", "save:above:usd:1:"),
        *("why:x:y", "why:panic:ethereum", "", "chart:gone", f"delete:{'9' * 40}"),
    ):
        requests_before = len(chat.server.state.requests)
        chat.server.press_data(data, message=old)
        chat.poll()
        methods = [method for method, _ in chat.server.state.requests[requests_before:]]
        assert methods.count("sendMessage") + methods.count("editMessageText") == 1, data
    assert price_targets.list_targets(connection) == []


# --- buttons under alerts --------------------------------------------------------------------


@LANGUAGES
def test_why_explains_an_alert_of_a_message_that_is_shown_or_too_old_to_be_shown(
    speaker: Chat, language: str
) -> None:
    move, threshold = {
        "en": ("It fell 5.3% below that, to $90,000.00, on 20 Nov 17:30 WIB", "begin at 5.0%"),
        "id": ("Harga turun 5,3% dari situ, ke US$90.000,00, pada 20 Nov 17:30", "mulai dari 5,0%"),
    }[language]
    for message in (speaker.ask("/help"), None):
        speaker.server.press_data("why:panic:bitcoin", message=message)
        [answer] = speaker.poll()
        assert move in answer.text
        assert threshold in answer.text


def test_why_names_the_peg_of_a_coin_that_has_one(chat: Chat) -> None:
    chat.database.query(
        "INSERT INTO sentinel.alerts (observed_at, reference_at, price_usd, reference_usd,"
        " move, threshold, coin_key, level, kind, basis)"
        " SELECT %s, %s, 0.98, 1, -0.02, 0.005, coin_key, 2, 'panic', 'peg'"
        " FROM sentinel.coins WHERE coin_id = 'bitcoin-cash'",
        NOW - timedelta(minutes=5),
        NOW - timedelta(minutes=50),  # of the first alert
    )
    chat.server.press_data("why:panic:bitcoin-cash")
    [answer] = chat.poll()
    assert "Its price usually stays at $1.00.\nIt fell 2.0% below that" in answer.text
    assert "It is alert 2 of this fall." in answer.text
    chat.database.query("DELETE FROM sentinel.alerts WHERE reference_usd = 1")


def test_why_explains_the_alert_before_its_message_and_not_a_later_one(chat: Chat) -> None:
    before = int((NOW - timedelta(hours=3)).timestamp())
    chat.server.press_data("why:panic:bitcoin", message=chat.ask("/help"), date=before)
    [answer] = chat.poll()
    assert answer.text == "This alert is no longer stored: alerts are kept for 60 days."


@pytest.mark.slow
def test_the_buttons_of_an_alert_mute_the_coin_and_draw_its_chart(
    chat: Chat, connection: Connection
) -> None:
    alert: SentMessage = chat.ask("/help")
    chat.server.press_data("mute:bitcoin", message=alert)
    chat.server.press_data("chart:bitcoin", message=alert)
    muted, chart = chat.poll()
    assert muted.text == "No alerts of Bitcoin (BITC) until 21 Nov 19:00 WIB."
    assert chart.photo
    assert mutes.read_muted(connection, NOW) == {"bitcoin": NOW + timedelta(days=1)}
    assert list(chat.server.state.answered.values()) == ["", ""]


def test_a_command_is_parsed_with_the_name_of_the_bot_and_any_blanks() -> None:
    assert parse_command("/Price@Sentinel_bot  Shiba   Inu ") == ("price", "Shiba Inu")
    assert parse_command("/price\nBTC") == ("price", "BTC")
    assert parse_command("price BTC") == ("", "BTC")
