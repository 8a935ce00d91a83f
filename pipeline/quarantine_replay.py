"""The replay of rejected entries through today's validation."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import database
from safe_zone import LOAD_CHUNK_ROWS, MAX_CLOCK_SKEW, RETENTION
from sentinel import console
from sentinel.models import CoinLabel, MarketRow
from sentinel.storage import quarantine
from sentinel.storage.connection import Connection, Session
from sentinel.storage.partitions import Days
from sentinel.storage.quarantine import Entry, Selection
from sentinel.storage.queries.stored_points import find_lacking_rows
from transform import revalidate

# Why an entry is not loaded although no rule of transform.py rejects it.
REFUSALS = {
    "cut": "the raw entry was too long to be stored whole",
    "expired": f"the price is older than {RETENTION.days} days",
    "unknown_coin": "neither the database nor the registry knows the coin",
}


@dataclass(slots=True)
class ReplayResult:
    """What a replay did, or would do, in entries."""

    loaded: int = 0
    # Valid entries whose point is stored already, from another run or another entry.
    stored_before: int = 0
    # Entries that stay open, by reason: one of transform.py or of REFUSALS.
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All entries that were looked at."""
        return self.loaded + self.stored_before + self.refused.total()

    def __iadd__(self, other: ReplayResult) -> Self:
        self.loaded += other.loaded
        self.stored_before += other.stored_before
        self.refused += other.refused
        return self


def replay(
    session: Session,
    selection: Selection,
    labels: Mapping[str, CoinLabel],
    now: datetime,
    *,
    is_dry_run: bool = False,
    progress: console.Progress = lambda _stage, _done, _total: None,
) -> ReplayResult:
    """Load the open entries of the selection that today's rules accept, and mark them.

    Each batch is one transaction under the writers' lock, so that a run or a second replay at the
    same time loads nothing twice. `labels` are the registry's. Raises StorageUnavailable.
    """
    groups = session.use(lambda connection: quarantine.group_entries(connection, selection))
    waiting, result, last = sum(group.open for group in groups), ReplayResult(), None
    while True:
        progress("replaying", result.total, waiting)
        work = functools.partial(_replay_batch, selection, last, labels, now)
        if is_dry_run:
            batch, last = session.use(work)
        else:
            batch, last = database.run_write_without_purge(session, work)
        result += batch
        if last is None:
            return result


def _replay_batch(
    selection: Selection,
    last: Entry | None,
    labels: Mapping[str, CoinLabel],
    now: datetime,
    connection: Connection,
    days: Days | None = None,
) -> tuple[ReplayResult, Entry | None]:
    """Replay the entries after `last`, the newest first; return the last one of them, if any.

    Without `days` nothing is written.
    """
    entries = quarantine.read_entries(
        connection, selection, LOAD_CHUNK_ROWS, is_open=True, before=last
    )
    found = {entry.id: _judge(entry, labels, now) for entry in entries}
    accepted = {entry_id: row for entry_id, row in found.items() if isinstance(row, MarketRow)}
    refused = Counter(reason for reason in found.values() if isinstance(reason, str))
    # Of several entries with one point, the newest counts.
    points: dict[tuple[object, ...], MarketRow] = {}
    for row in accepted.values():
        points.setdefault((row.coin_id, row.observed_at, row.source), row)
    lacking = find_lacking_rows(connection, list(points.values()))
    if days is not None and accepted:
        database.load_batch(connection, lacking, labels.get, days)
        quarantine.resolve_entries(connection, Selection(ids=list(accepted)), "replayed", now)
    loaded = len(lacking)
    result = ReplayResult(loaded, len(accepted) - loaded, refused)
    return result, entries[-1] if entries else None


def _judge(entry: Entry, labels: Mapping[str, CoinLabel], now: datetime) -> MarketRow | str:
    """Return the row of an entry, or why it is not loaded."""
    found = revalidate(entry)
    if isinstance(found, str):
        return found
    if found.observed_at < now - RETENTION:
        return "expired"
    if found.observed_at > now + MAX_CLOCK_SKEW:  # the clock of the rejecting run was ahead
        return "future_timestamp"
    is_known = entry.is_coin_stored or entry.coin_id in labels
    return found if is_known else "unknown_coin"
