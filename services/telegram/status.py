"""The status of the process in the database, and which updates it has handled."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sentinel.storage import service_status
from sentinel.storage.connection import Connection

# After a week without updates Telegram starts again with a random id:
# https://core.telegram.org/bots/api#update
MAX_ID_AGE = timedelta(days=7)

# Locks the row, so that two processes do not handle one update.
HANDLED_UPDATE = """
SELECT state -> 'handled' FROM sentinel.service_status WHERE service = 'telegram' FOR UPDATE
"""


def begin_update(connection: Connection, bot_id: str, update_id: int, now: datetime) -> bool:
    """Note an update as handled in the caller's transaction; False if it was handled before.

    Telegram sends an update again if the process was killed before it confirmed the update.
    """
    row = connection.execute(HANDLED_UPDATE).fetchone()
    handled: dict[str, Any] = (row[0] if row else None) or {}
    is_known = handled.get("bot_id") == bot_id and update_id <= handled["update_id"]
    if is_known and now - datetime.fromisoformat(handled["at"]) < MAX_ID_AGE:
        return False
    new = {"bot_id": bot_id, "update_id": update_id, "at": now.isoformat()}
    service_status.record(connection, "telegram", {"handled": new}, now)
    return True
