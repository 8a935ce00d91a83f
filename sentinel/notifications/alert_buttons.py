"""The buttons under an alert in Telegram: mute the coin for a day, why, chart.

Only the process of `services/telegram` answers them, so an alert has buttons while that works.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sentinel.notifications.catalog import CATALOG
from sentinel.notifications.kinds import MessageKind
from sentinel.notifications.messages import Buttons
from sentinel.storage import service_status
from sentinel.storage.connection import Connection

# https://core.telegram.org/bots/api#inlinekeyboardbutton
MAX_DATA_BYTES = 64


def find_alert_buttons(
    connection: Connection,
    chat: str | None,
    kind: MessageKind,
    coin_id: str | None,
    now: datetime,
) -> Buttons:
    """Return the buttons of a message to a Telegram chat, by the fingerprint of the chat.

    There are none if no process would answer them, or if the message is no alert about one coin.
    """
    if chat is None or coin_id is None or kind not in ("panic", "reversal"):
        return ()
    status = service_status.read(connection, "telegram")
    if status is None or not _is_answering(status.state, chat):
        return ()
    if now - status.recorded_at > service_status.MAX_POLL_PAUSE:
        return ()
    return make_alert_buttons(kind, coin_id, status.state["language"])


def _is_answering(state: Mapping[str, Any], chat: str) -> bool:
    return state.get("chat") == chat and not state.get("problem") and not state.get("is_stopped")


def make_alert_buttons(kind: MessageKind, coin_id: str, language: str) -> Buttons:
    """Return one row of buttons; none if the coin's id is too long for them."""
    texts = CATALOG[language]
    row = [
        (texts["button_mute"], f"mute:{coin_id}"),
        (texts["button_why"], f"why:{kind}:{coin_id}"),
        (texts["button_chart"], f"chart:{coin_id}"),
    ]
    is_short = all(len(data.encode()) <= MAX_DATA_BYTES for _, data in row)
    return [row] if is_short else ()
