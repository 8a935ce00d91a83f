"""Alerts and their outcomes."""

from __future__ import annotations

from sentinel.storage.connection import Connection
from services.api.queries.rows import Row, fetch_rows

ALERTS = """
SELECT a.alert_id, c.coin_id, c.symbol, c.name, a.kind::text, a.level, a.observed_at,
       a.price_usd, a.reference_usd, a.reference_at, a.move, a.threshold, a.after_1h, a.after_24h
FROM sentinel.alerts a JOIN sentinel.coins c USING (coin_key)
WHERE (%(coin_id)s::text IS NULL OR c.coin_id = %(coin_id)s::text)
  AND (%(kind)s::text IS NULL OR a.kind::text = %(kind)s::text)
  AND (%(before)s::bigint IS NULL OR a.alert_id < %(before)s::bigint)
ORDER BY a.alert_id DESC
LIMIT %(limit)s
"""


def list_alerts(
    connection: Connection, *, coin_id: str | None, kind: str | None, before: int | None, limit: int
) -> list[Row]:
    """Return alerts, the newest first; `before` is the alert id that ended the previous page."""
    parameters = {"coin_id": coin_id, "kind": kind, "before": before, "limit": limit}
    return fetch_rows(connection, ALERTS, parameters)
