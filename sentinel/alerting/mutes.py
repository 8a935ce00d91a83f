"""Muted coins: their alerts are recorded and not announced until the time is over."""

from __future__ import annotations

from datetime import datetime

from sentinel.storage.connection import Connection

DELETE_EXPIRED = "DELETE FROM sentinel.muted_coins WHERE muted_until <= %(now)s"

MUTE = """
INSERT INTO sentinel.muted_coins (coin_id, muted_at, muted_until)
VALUES (%(coin_id)s, %(now)s, %(until)s)
ON CONFLICT (coin_id) DO UPDATE
SET muted_at = excluded.muted_at, muted_until = excluded.muted_until
"""

UNMUTE = "DELETE FROM sentinel.muted_coins WHERE coin_id = %(coin_id)s"

MUTED = "SELECT coin_id, muted_until FROM sentinel.muted_coins WHERE muted_until > %(now)s"


def mute(connection: Connection, coin_id: str, until: datetime, now: datetime) -> None:
    """Mute a coin until a time; a coin that is muted already gets the new time."""
    connection.execute(DELETE_EXPIRED, {"now": now})
    connection.execute(MUTE, {"coin_id": coin_id, "until": until, "now": now})


def unmute(connection: Connection, coin_id: str) -> bool:
    """End a mute; return whether the coin had one."""
    return connection.execute(UNMUTE, {"coin_id": coin_id}).rowcount > 0


def read_muted(connection: Connection, now: datetime) -> dict[str, datetime]:
    """Return the muted coins: the end of each mute by coin id."""
    return dict(connection.execute(MUTED, {"now": now}).fetchall())
