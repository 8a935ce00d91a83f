"""The load stage: write what a run fetched, and what earlier runs left in the spool."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

import database
from coin_registry import CoinRegistry
from pipeline.spool import Item
from pipeline.stage_results import FetchResult, LoadResult
from safe_zone import RETENTION
from sentinel.models import CoinLabel, FxRate, MarketRow, Rejection
from sentinel.storage import coin_labels, partitions, run_records
from sentinel.storage.connection import Connection


def load_fetched(
    connection: Connection,
    fetched: FetchResult,
    drained: Iterable[Item],
    registry: CoinRegistry,
    days: partitions.Days,
    now: datetime,
) -> LoadResult:
    """Write the rows, rejections and rates of this run and of the `drained` items.

    Idempotent: the caller repeats it after a broken connection.
    """

    def describe(coin_id: str) -> CoinLabel | None:
        coin = registry.coins.get(coin_id)
        return coin.label if coin else None

    if fetched.is_registry_synced:
        labels = {coin_id: coin.label for coin_id, coin in registry.coins.items()}
        coin_labels.relabel_coins(connection, labels)
    rows_drained = _drain(connection, days, describe, drained, now)
    counts = database.load_batch(connection, fetched.rows, describe, days)
    run_records.record_rejections(connection, fetched.rejections)
    run_records.record_fx_rates(connection, fetched.rates)
    return LoadResult(counts, rows_drained)


def _drain(
    connection: Connection,
    days: partitions.Days,
    describe: Callable[[str], CoinLabel | None],
    items: Iterable[Item],
    now: datetime,
) -> int:
    """Load what earlier runs could not, and return the number of rows.

    Rows that are older than the retention by now are left out.
    """
    others: list[Item] = []

    def rows() -> Iterator[MarketRow]:
        for item in items:
            if not isinstance(item, MarketRow):
                others.append(item)
            elif item.observed_at >= now - RETENTION:
                yield item

    counts = database.load_batch(connection, rows(), describe, days)
    run_records.record_rejections(connection, [i for i in others if isinstance(i, Rejection)])
    run_records.record_fx_rates(connection, [i for i in others if isinstance(i, FxRate)])
    return counts.total


def newest_observation(rows: Sequence[MarketRow]) -> datetime:
    """Return when the newest row was observed, by CoinGecko's clock; a past time without rows.

    The purge trusts this time more than the machine's clock, which may be wrong.
    """
    return max((row.observed_at for row in rows), default=datetime(2000, 1, 1, tzinfo=UTC))
