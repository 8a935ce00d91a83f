"""Compose the messages of a tick: one per coin, or one for a market-wide move."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sentinel.alerting.alert_storage import MAX_AHEAD
from sentinel.alerting.watched_coins import WatchedCoin
from sentinel.notifications import alert_messages
from sentinel.notifications.alert_messages import AlertContext, Mover
from sentinel.notifications.messages import Message, MessageFormatter
from sentinel.storage.connection import Connection

# Coins that move in the same direction within this time are one market-wide move, …
GROUP_WINDOW = timedelta(minutes=30)
# … if they are at least this many and at least this share of the watched coins.
MIN_GROUP_COINS = 5
MIN_GROUP_SHARE = 1 / 3

# The coins with an alert of one kind within the window, each with its newest alert.
COINS_MOVING_TOGETHER = """
SELECT DISTINCT ON (coin_key) c.symbol, a.move, a.price_usd,
       (SELECT coalesce(sum(t.quantity),
           0) FROM sentinel.transaction_legs t WHERE t.coin_id = c.coin_id)
FROM sentinel.alerts a JOIN sentinel.coins c USING (coin_key)
WHERE a.kind = %(kind)s AND a.observed_at > %(since)s AND a.observed_at <= %(newest)s
  AND c.coin_id <> ALL (%(muted)s::text[])
ORDER BY coin_key, a.observed_at DESC
"""

# How many coins the largest market-wide message of the window named.
COINS_ANNOUNCED_TOGETHER = """
SELECT coalesce(max(split_part(message_key, ':', 3)::int), 0)
FROM sentinel.outbox
WHERE queue = 'market' AND created_at > %(since)s
  AND message_key LIKE 'market:' || %(kind)s || ':%%'
"""


def compose_messages(
    connection: Connection,
    alerts: Sequence[AlertContext],
    watched: Sequence[WatchedCoin],
    muted: Collection[str],
    formatter: MessageFormatter,
    now: datetime,
) -> list[Message]:
    """Return the messages for a tick's alerts. Muted coins do not count.

    For each kind it is one market-wide message, or one message per coin. The move is market-wide if
    enough coins have an alert in this tick, or if enough more coins have one within the window than
    the last market-wide message named.
    """
    audible = sum(coin.coin_id not in muted for coin in watched)
    enough = max(MIN_GROUP_COINS, math.ceil(audible * MIN_GROUP_SHARE))
    minutes = GROUP_WINDOW // timedelta(minutes=1)
    composed: list[Message] = []
    for kind in ("panic", "reversal"):
        new = [c for c in alerts if c.alert.kind == kind and c.coin_id not in muted]
        if not new:
            continue
        parameters = {
            "kind": kind,
            "since": now - GROUP_WINDOW,
            "newest": now + MAX_AHEAD,
            "muted": list(muted),
        }
        movers = list(map(Mover._make, connection.execute(COINS_MOVING_TOGETHER, parameters)))
        [(announced,)] = connection.execute(COINS_ANNOUNCED_TOGETHER, parameters).fetchall()
        if len(new) < enough and len(movers) < announced + enough:
            composed += [alert_messages.compose_coin_message(context, formatter) for context in new]
            continue
        at = max(context.alert.observed_at for context in new)
        composed.append(
            alert_messages.compose_market_message(
                kind, movers, audible, minutes, at, new[0].idr_per_usd, formatter
            )
        )
    return composed
