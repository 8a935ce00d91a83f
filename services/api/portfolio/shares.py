"""Store, list, find and revoke the links that show the portfolio in percentages."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from sentinel.storage.connection import Connection

# 128 bits: 22 characters of a URL.
TOKEN_BYTES = 16
# How often the use of a link is noted: each note is a write, after which all caches are old.
USE_INTERVAL = timedelta(hours=1)

INSERT_SHARE = """
INSERT INTO sentinel.portfolio_shares (created_at, expires_at, token_sha256, label)
VALUES (%(now)s, %(expires_at)s, %(token_sha256)s, %(label)s)
RETURNING share_id, label, created_at, expires_at, last_used_at
"""
SHARES = """
SELECT share_id, label, created_at, expires_at, last_used_at
FROM sentinel.portfolio_shares
ORDER BY share_id
"""
DELETE_SHARE = "DELETE FROM sentinel.portfolio_shares WHERE share_id = %s RETURNING share_id"
FIND_SHARE = """
SELECT share_id, label, created_at, expires_at, last_used_at
FROM sentinel.portfolio_shares
WHERE token_sha256 = %(token_sha256)s AND (expires_at IS NULL OR expires_at > %(now)s)
"""
NOTE_USE = "UPDATE sentinel.portfolio_shares SET last_used_at = %s WHERE share_id = %s"


@dataclass(frozen=True, slots=True)
class Share:
    """A link, without its token."""

    share_id: int
    label: str
    created_at: datetime
    # None: until it is revoked.
    expires_at: datetime | None
    # To the hour; None: never used.
    last_used_at: datetime | None


def create_share(
    connection: Connection, label: str, expires_at: datetime | None, now: datetime
) -> tuple[Share, str]:
    """Store a link; return it and its token, which cannot be read again."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    values = {"now": now, "expires_at": expires_at, "label": label} | _digest(token)
    with connection.cursor(row_factory=class_row(Share)) as cursor:
        [share] = cursor.execute(INSERT_SHARE, values).fetchall()
    return share, token


def list_shares(connection: Connection) -> list[Share]:
    """Return all links, the oldest first, also those that expired."""
    with connection.cursor(row_factory=class_row(Share)) as cursor:
        return cursor.execute(SHARES).fetchall()


def delete_share(connection: Connection, share_id: int) -> bool:
    """Revoke a link; return False if there is no such link."""
    return bool(connection.execute(DELETE_SHARE, [share_id]).fetchall())


def find_share(connection: Connection, token: str, now: datetime) -> Share | None:
    """Return the link of a token; None if it is wrong, expired or revoked.

    The search is by digest, so its time says nothing about the token.
    """
    with connection.cursor(row_factory=class_row(Share)) as cursor:
        return cursor.execute(FIND_SHARE, {"now": now} | _digest(token)).fetchone()


def note_use(connection: Connection, share: Share, now: datetime) -> None:
    """Note that a link was used."""
    connection.execute(NOTE_USE, [now, share.share_id])


def is_use_due(share: Share, now: datetime) -> bool:
    """Return whether the use of a link is to be noted again."""
    return share.last_used_at is None or now - share.last_used_at >= USE_INTERVAL


def _digest(token: str) -> dict[str, bytes]:
    return {"token_sha256": hashlib.sha256(token.encode("utf-8", "replace")).digest()}
