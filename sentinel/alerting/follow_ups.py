"""Tell the user what came of alerts a day after them, unless `loudness.follow_up` is off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sentinel.alerting.announcements import announce
from sentinel.alerting.options import MonitorOptions
from sentinel.notifications.alert_messages import Outcome, compose_follow_up
from sentinel.notifications.messages import MessageFormatter
from sentinel.storage.connection import Connection

# Alerts of a market-wide move have their outcomes within half an hour of each other. They are one
# message, or two.
MIN_PAUSE = timedelta(hours=1)
MAX_AGE = timedelta(days=2)  # of an alert: older ones are no news

IS_TOO_SOON = """
SELECT EXISTS (SELECT FROM sentinel.alerts
               WHERE followed_up_at > %(now)s - %(pause)s AND followed_up_at <= %(now)s)
"""

# The announced alerts whose outcome is known and has not been sent. The user may have muted a coin
# after its alert.
NEW_OUTCOMES = """
SELECT a.alert_id, c.coin_id, c.symbol, c.name, a.kind::text, a.observed_at, a.price_usd, a.move,
       a.after_24h
FROM sentinel.alerts a JOIN sentinel.coins c USING (coin_key)
WHERE a.observed_at > %(now)s - %(max_age)s AND a.after_24h IS NOT NULL
  AND a.is_announced AND a.followed_up_at IS NULL AND a.kind::text = ANY (%(kinds)s)
  AND NOT EXISTS (SELECT FROM sentinel.muted_coins m
                  WHERE m.coin_id = c.coin_id AND m.muted_until > %(now)s)
ORDER BY a.alert_id
"""

MARK_FOLLOWED_UP = """
UPDATE sentinel.alerts SET followed_up_at = %(now)s WHERE alert_id = ANY (%(alert_ids)s)
"""


def queue_follow_up(
    connection: Connection,
    options: MonitorOptions,
    formatter: MessageFormatter,
    targets: Sequence[str],
    now: datetime,
) -> None:
    """Queue one message about all outcomes that became known, in the caller's transaction."""
    if options.is_off("follow_up"):
        return
    parameters = {"now": now, "pause": MIN_PAUSE, "max_age": MAX_AGE}
    [(is_too_soon,)] = connection.execute(IS_TOO_SOON, parameters).fetchall()
    if is_too_soon:
        return
    kinds = {"kinds": [kind for kind, loudness in options.loudness.items() if loudness != "off"]}
    outcomes = list(map(Outcome._make, connection.execute(NEW_OUTCOMES, parameters | kinds)))
    if outcomes:
        alert_ids = [outcome.alert_id for outcome in outcomes]
        connection.execute(MARK_FOLLOWED_UP, {"now": now, "alert_ids": alert_ids})
        message = compose_follow_up(outcomes, formatter)
        announce(connection, [message], options, targets, now)
