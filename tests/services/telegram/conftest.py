"""A chat with the bot: Telegram's stand-in, the process that answers, and a real API behind it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pytest

from safe_zone import Settings
from sentinel.notifications import telegram
from sentinel.notifications.messages import MessageFormatter
from services.settings import MonitorSettings
from services.telegram import poller as poller_module
from services.telegram.access import make_access
from services.telegram.bot import Bot
from services.telegram.poller import Poller
from services.telegram.responder import Responder
from tests.conftest import NOW, FakeTime, FreshDatabase, new_database
from tests.services.api.client import running_api
from tests.support.monitor import load, minutes
from tests.support.telegram import (
    OWNER,
    TOKEN,
    SentMessage,
    TelegramServer,
    TelegramState,
    running_telegram,
)

API_TOKEN = "geheim-4711-0123456789"
WRITTEN_TABLES = (
    *("service_status", "muted_coins", "price_targets", "transactions", "outbox"),
    "alert_targets",
)
COINS = (("bitcoin", 90_000.0), ("bitcoin-cash", 450.0), ("ethereum", 3_000.0))


@pytest.fixture(scope="session")
def market(server: str, template: str) -> Iterator[FreshDatabase]:
    """A database with two days of three coins; the first two have the same symbol."""
    with new_database(server, template) as database:
        rows = [
            (NOW - minutes(15 * n), coin, price - n)
            for n in range(2 * 96)
            for coin, price in COINS
            if not 20 <= n < 40  # a gap of five hours
        ]
        load(database.address(), rows, NOW, idr=16_250.0)
        database.query(
            "INSERT INTO sentinel.alerts (observed_at, reference_at, price_usd, reference_usd,"
            " move, threshold, after_1h, coin_key, level, kind)"
            " SELECT %s, %s, 90000, 95000, -0.0526, 0.05, 0.01, coin_key, 2, 'panic'"
            " FROM sentinel.coins WHERE coin_id = 'bitcoin'",
            NOW - minutes(90),
            NOW - minutes(300),
        )
        yield database


@pytest.fixture(scope="session")
def api_url(market: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API over the market."""
    folder = tmp_path_factory.mktemp("telegram_api")
    settings = Settings(
        database_url=market.url,
        state_dir=folder / "state",
        registry_path=folder / "coin_registry.json",
    )
    monitor = MonitorSettings(settings=settings, api_token=API_TOKEN)
    with running_api(monitor, market.address(), lambda: NOW) as url:
        yield url


@pytest.fixture(scope="session")
def running_bot_api() -> Iterator[TelegramServer]:
    with running_telegram(lambda: NOW) as running:
        yield running


@pytest.fixture
def bot_api(
    running_bot_api: TelegramServer, time_: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> TelegramServer:
    """Telegram's stand-in, which has forgotten the tests before."""
    running_bot_api.state = TelegramState(time_.now)
    monkeypatch.setattr(telegram, "API_URL", running_bot_api.url)
    monkeypatch.setattr(poller_module, "POLL_SECONDS", 0)
    return running_bot_api


@dataclass
class Chat:
    """A person's chat with the bot."""

    server: TelegramServer
    time: FakeTime
    database: FreshDatabase
    responder: Responder
    poller: Poller

    def ask(self, text: str, **fields: object) -> SentMessage:
        """Send a message and return the only answer."""
        self.server.say(text, **fields)  # type: ignore[arg-type]
        [answer] = self.poll()
        return answer

    def press(self, message: SentMessage, label: str) -> list[SentMessage]:
        """Press a button and return the new answers."""
        self.server.press(message, label)
        return self.poll()

    def poll(self) -> list[SentMessage]:
        """Let the bot poll once, and return what it sent."""
        count = len(self.server.state.sent)
        self.poller.poll()
        return self.server.state.sent[count:]

    def restart(self, **changes: object) -> Chat:
        """Return the chat with a new process, whose responder has these changes."""
        responder = dataclasses.replace(self.responder, **changes)  # type: ignore[arg-type]
        return start_chat(self.server, self.time, self.database, responder)


def start_chat(
    server: TelegramServer,
    time: FakeTime,
    database: FreshDatabase,
    responder: Responder,
    chat_id: str = str(OWNER),
    user_ids: tuple[int, ...] = (),
) -> Chat:
    """Return a chat with a process that has just started, and has registered its commands."""
    poller = Poller(responder, make_access(chat_id, user_ids), _username="Sentinel_bot")
    return Chat(server, time, database, responder, poller)


@pytest.fixture
def chat(
    bot_api: TelegramServer, time_: FakeTime, market: FreshDatabase, api_url: str
) -> Iterator[Chat]:
    """The owner's private chat, in English."""
    responder = Responder(
        Bot(TOKEN),
        market.address(),
        MessageFormatter("en", ZoneInfo("Asia/Jakarta")),
        time_.clocks,
        api_url,
        API_TOKEN,
        "fingerprint",
    )
    yield start_chat(bot_api, time_, market, responder)
    market.query("; ".join(f"DELETE FROM sentinel.{table}" for table in WRITTEN_TABLES))


@pytest.fixture
def indonesian(chat: Chat) -> Chat:
    """The same in Indonesian."""
    return chat.restart(formatter=MessageFormatter("id", ZoneInfo("Asia/Jakarta")))
