"""`python -m services.telegram`: answer commands from Telegram."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import contextlib
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

import psycopg

from sentinel import files
from sentinel.alerting.announcements import make_formatter
from sentinel.arguments import make_parser
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.config import ensure_state_dir
from sentinel.errors import EXIT_OK, ConfigurationError, Interrupted
from sentinel.notifications.telegram import TelegramChat
from sentinel.process import configure_logging, run_as_script
from sentinel.socket_folder import PARENT, create_socket_folder
from sentinel.storage import service_status
from sentinel.storage.connection import Address, open_connection, resolve_database
from services.settings import MonitorSettings, load_monitor_settings
from services.telegram.access import Access, make_access
from services.telegram.bot import Bot
from services.telegram.poller import Poller
from services.telegram.responder import Responder

log = logging.getLogger("sentinel.telegram")

EPILOG = """example: TELEGRAM_BOT_TOKEN=… TELEGRAM_CHAT_ID=… python -m services.telegram
make up starts it if both are set. It needs the API (SENTINEL_API_URL). /help in the chat lists the
commands."""


def main() -> int:
    """Answer commands until a signal stops the process; return 0."""
    make_parser("python -m services.telegram", __doc__, EPILOG).parse_args()
    configure_logging(verbose=True)
    monitor = load_monitor_settings()
    token, chat_id = monitor.telegram_bot_token, monitor.telegram_chat_id
    if token is None or chat_id is None:
        raise ConfigurationError(
            "TELEGRAM_BOT_TOKEN and TELEGRAM_CHAT_ID are not set: set both to answer commands."
        )
    access = make_access(chat_id, monitor.telegram_user_ids)
    if not access.user_ids:
        log.warning("no user may command the bot in this chat: set TELEGRAM_USER_IDS")
    with _lock(token, monitor), resolve_database(monitor.settings) as address:
        try:
            make_poller(monitor, Bot(token), access, address).run()
        except Interrupted:
            with contextlib.suppress(psycopg.Error), open_connection(address) as connection:
                stopped = {"is_stopped": True}
                service_status.record(connection, "telegram", stopped, SYSTEM_CLOCKS.now())
    return EXIT_OK


def make_poller(monitor: MonitorSettings, bot: Bot, access: Access, address: Address) -> Poller:
    """Return the poller of a bot, which answers with the settings of the monitor."""
    chat = TelegramChat(bot.token, access.chat_id or 0, None, False)
    responder = Responder(
        bot,
        address,
        make_formatter(monitor),
        SYSTEM_CLOCKS,
        monitor.api_url,
        monitor.api_token,
        # Where no person may command, alerts have no buttons.
        chat.fingerprint if access.user_ids else "",
    )
    return Poller(responder, access)


def locate_lock_folder(token: str) -> Path:
    """Return the folder of the lock that all processes of this machine take for a bot."""
    return PARENT / f"market-sentinel-bot-{hashlib.sha256(token.encode()).hexdigest()[:12]}"


@contextlib.contextmanager
def _lock(token: str, monitor: MonitorSettings) -> Iterator[None]:
    """Keep other processes of this machine from reading the bot's updates.

    Telegram refuses those of other machines (409). Raises ConfigurationError.
    """
    folder = locate_lock_folder(token)
    try:
        create_socket_folder(folder)
    except OSError:  # another user has prepared the folder, or there is no /tmp
        folder = ensure_state_dir(monitor.settings.state_dir)
    refusal = ConfigurationError(
        "Another process on this machine answers the commands of this bot: stop it first."
    )
    with files.lock_or_refuse(folder / "telegram", refusal):
        yield


if __name__ == "__main__":
    run_as_script(main)
