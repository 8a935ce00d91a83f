"""The transaction that writes what a run fetched, and what earlier runs left in the spool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import budget_monitor
import database
from coin_registry import CoinRegistry
from pipeline.run import Run
from pipeline.run_incidents import find_recordable
from pipeline.spool import Item, LoadWindow, RunSpool
from pipeline.stage_results import LoadResult
from safe_zone import MAX_CLOCK_SKEW, RETENTION, Settings
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from sentinel.models import CoinLabel, FxRate, MarketRow, Rejection
from sentinel.storage import coin_labels, incidents, partitions, run_records, service_status
from sentinel.storage.connection import Connection, Session
from sentinel.storage.incidents import Incident
from sentinel.storage.retention import ArchiveBeforeDrop, trusted_now


def load_run(
    run: Run,
    registry: CoinRegistry,
    spool: RunSpool,
    left_behind: Sequence[Path],
    session: Session,
) -> LoadResult:
    """Write everything in one transaction; it is repeated after a broken connection.

    Raises StorageUnavailable.
    """
    # By CoinGecko's clock, which is trusted more than the machine's own.
    newest_seen = max(
        (row.observed_at for row in run.fetched.rows), default=datetime(2000, 1, 1, tzinfo=UTC)
    )

    def load(connection: Connection, days: partitions.Days) -> LoadResult:
        drained: Iterable[Item] = ()
        if left_behind:
            window = _load_window(connection, run, newest_seen)
            drained = spool.shared_spool.read(left_behind, window)
        loaded = _load_fetched(connection, run, drained, registry, days)
        run.storage.measure(session)
        run.record(connection, loaded)
        if run.is_scheduled:
            labels = {target.name: target.label for target in run.alert_targets}
            own = {"run_id": run.run_id, "targets": labels}
            service_status.record(connection, "schedule", own, run.trusted_start)
            incidents.record(connection, "schedule", _find_incidents(run), run.trusted_start)
        return loaded

    return database.run_write_transaction(
        session,
        load,
        run.trusted_start,
        newest_seen=newest_seen,
        archive_hook=_archive_hook(run.settings),
    )


def _find_incidents(run: Run) -> list[Incident]:
    """Return the incidents that the usage log shows, if this run ends as it went so far."""
    usages = usage_log.read(budget_monitor.log_path(run.settings)).usages
    earlier = [usage for usage in usages if usage.started_at < run.started_at]
    own = Usage(run.started_at, run.seconds, exit_code=run.exit_code)
    return find_recordable([*earlier, own], run.started_at)


def _load_window(connection: Connection, run: Run, newest_seen: datetime) -> LoadWindow:
    """Return which rows of the spool are loaded: no wrong clock of this machine may discard any."""
    oldest = trusted_now(connection, run.trusted_start, newest_seen) - RETENTION
    is_confirmed = run.client.clock_offset is not None
    return LoadWindow(oldest, run.trusted_start + MAX_CLOCK_SKEW, is_confirmed)


def _load_fetched(
    connection: Connection,
    run: Run,
    drained: Iterable[Item],
    registry: CoinRegistry,
    days: partitions.Days,
) -> LoadResult:
    """Write the rows, rejections and rates of this run and of the `drained` items.

    Idempotent: the caller repeats it after a broken connection.
    """
    others: list[Item] = []

    def describe(coin_id: str) -> CoinLabel | None:
        coin = registry.coins.get(coin_id)
        return coin.label if coin else None

    def drained_rows() -> Iterator[MarketRow]:
        for item in drained:
            if isinstance(item, MarketRow):
                yield item
            else:
                others.append(item)

    fetched = run.fetched
    if fetched.is_registry_synced:
        labels = {coin_id: coin.label for coin_id, coin in registry.coins.items()}
        coin_labels.relabel_coins(connection, labels)
    rows_drained = database.load_batch(connection, drained_rows(), describe, days).total
    counts = database.load_batch(connection, fetched.rows, describe, days)
    items = [*others, *fetched.rejections, *fetched.rates]
    run_records.record_rejections(connection, [i for i in items if isinstance(i, Rejection)])
    run_records.record_fx_rates(connection, [i for i in items if isinstance(i, FxRate)])
    return LoadResult(counts, rows_drained)


def _archive_hook(settings: Settings) -> ArchiveBeforeDrop | None:
    if not settings.archive_url:
        return None
    from sentinel.archive import export  # most deployments have no archive

    return export.archive_hook(settings)
