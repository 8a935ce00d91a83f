"""Alerts with their outcomes and reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from sentinel.alerting.options import MonitorOptions
from sentinel.analytics.crossings import Alert, Kind
from sentinel.notifications.alert_reasons import explain_alert
from sentinel.notifications.messages import MessageFormatter
from sentinel.storage.connection import Connection
from services.api.queries.rows import Row, fetch_rows

Outcome = Literal["went_on", "recovered", "unknown"]
Language = Literal["en", "id"]

# The outcome is known a day after the alert, as for the message about it (follow_ups.py).
ALERTS = """
WITH alerts AS (
    SELECT a.*, c.coin_id, c.symbol, c.name, a.kind::text AS kind_name,
           CASE WHEN a.after_24h IS NULL THEN 'unknown'
                WHEN a.after_24h * sign(a.move) > 0 THEN 'went_on'
                ELSE 'recovered' END AS outcome
    FROM sentinel.alerts a JOIN sentinel.coins c USING (coin_key)
)
SELECT alert_id, coin_id, symbol, name, kind_name AS kind, level, observed_at, price_usd,
       reference_usd, reference_at, move, threshold, basis, is_announced, after_1h, after_24h,
       outcome
FROM alerts
WHERE (cardinality(%(coin_ids)s::text[]) = 0 OR coin_id = ANY (%(coin_ids)s::text[]))
  AND (%(kind)s::text IS NULL OR kind_name = %(kind)s)
  AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s)
  AND (%(is_announced)s::boolean IS NULL OR is_announced = %(is_announced)s)
  AND (%(since)s::timestamptz IS NULL OR observed_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR observed_at < %(until)s)
  AND (%(before)s::bigint IS NULL OR alert_id < %(before)s)
ORDER BY alert_id DESC
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilters:
    """Which alerts a request asks for; None and an empty list stand for all."""

    coin_ids: Sequence[str] = ()
    kind: Kind | None = None
    outcome: Outcome | None = None
    # False: of muted coins.
    is_announced: bool | None = None
    since: datetime | None = None
    # Alerts at this time are left out.
    until: datetime | None = None
    # The alert id that ended the previous page.
    before: int | None = None
    limit: int


def list_alerts(
    connection: Connection,
    filters: AlertFilters,
    options: MonitorOptions,
    language: Language = "en",
) -> list[Row]:
    """Return alerts, the newest first, each with its outcome and with `why` in a language."""
    parameters = asdict(filters) | {"coin_ids": list(filters.coin_ids)}
    formatter = MessageFormatter(language, ZoneInfo("UTC"))
    window = timedelta(hours=options.window_hours)
    rows = fetch_rows(connection, ALERTS, parameters)
    return [row | {"why": explain_alert(_parse(row), window, formatter)} for row in rows]


def _parse(row: Row) -> Alert:
    times = {"at": row["observed_at"], "reference_at": row["reference_at"]}
    seconds = {name: time.timestamp() for name, time in times.items()}
    same = {name: row[name] for name in Alert._fields if name not in seconds}
    return Alert(**same, **seconds)
