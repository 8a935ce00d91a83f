"""Keep the stored price targets in line with those of ingest_config.json."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from safe_zone import RETENTION
from sentinel.alerting.price_targets import NewTarget, TargetRejected, add_target
from sentinel.alerting.target_options import ConfiguredTarget
from sentinel.storage.connection import Connection

log = logging.getLogger("sentinel.alerts")

# A target that left the file is withdrawn. One that has fired or expired stays listed for a while.
DELETE_REMOVED = """
DELETE FROM sentinel.price_targets
WHERE source = 'settings' AND identity <> ALL (%(identities)s)
  AND (state = 'open' OR closed_at < %(oldest)s)
"""

# An id wins over a symbol, a symbol over a name, then the better rank.
FIND_COINS = """
SELECT DISTINCT ON (term) term, c.coin_id
FROM unnest(%(terms)s::text[]) AS term
JOIN sentinel.coins c ON c.coin_id = term OR lower(term) IN (lower(c.symbol), lower(c.name))
ORDER BY term, c.coin_id <> term, lower(c.symbol) <> lower(term), c.rank NULLS LAST, c.coin_id
"""


def apply_configured_targets(
    connection: Connection, entries: Sequence[ConfiguredTarget], stored: set[str], now: datetime
) -> None:
    """Add the entries that are not stored yet, and withdraw targets whose entry is gone.

    `stored` are the identities of the stored targets of the file. An entry whose coin has no price
    yet is added later. Call this under the lock of the alert stage.
    """
    wanted = {entry.identity: entry for entry in entries}
    if stored - wanted.keys():
        parameters = {"identities": list(wanted), "oldest": now - RETENTION}
        connection.execute(DELETE_REMOVED, parameters)
    new = {identity: entry for identity, entry in wanted.items() if identity not in stored}
    if not new:
        return
    terms = sorted({entry.coin for entry in new.values()})
    coin_ids: dict[str, str] = dict(connection.execute(FIND_COINS, {"terms": terms}).fetchall())
    for identity, entry in new.items():
        if coin_id := coin_ids.get(entry.coin):
            _add(connection, coin_id, entry, identity, now)


def _add(
    connection: Connection, coin_id: str, entry: ConfiguredTarget, identity: str, now: datetime
) -> None:
    fields = entry.model_dump(exclude={"coin"})
    try:
        add_target(
            connection,
            NewTarget(coin_id, source="settings", identity=identity, **fields),
            now,
        )
    except TargetRejected as error:
        log.info("the price target of %s is not added: %s", entry.coin, error)
