"""The store stage: one database session that loads what was fetched and then fills gaps."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import budget_monitor
import database
from coin_registry import CoinRegistry
from pipeline.backfill import Backfill, CoinBackfill, load_backfill, log_unfillable
from pipeline.credit_budget import CreditBudget
from pipeline.load import load_fetched, newest_observation
from pipeline.run import Run
from pipeline.spool import RunSpool
from pipeline.stage_results import LoadResult, StorageUse
from safe_zone import Settings
from sentinel import files
from sentinel.models import Gap
from sentinel.storage import partitions
from sentinel.storage.connection import Connection, Session, resolve_database
from sentinel.storage.queries.recent_activity import read_recent_activity
from sentinel.storage.retention import ArchiveBeforeDrop


def store_run(
    run: Run,
    settings: Settings,
    registry: CoinRegistry,
    spool: RunSpool,
    usages_since: datetime,
) -> None:
    """Load this run's data and what earlier runs left in the spool, then fill gaps.

    Nothing happens if there is nothing to load, because a connection wakes the database. Rows are
    removed from the spool after their commit. Usage that the database recorded since
    `usages_since` goes to `run.storage`.

    Raises StorageUnavailable.
    """
    with spool.shared_spool.claim() as left_behind:
        has_items = bool(run.fetched.rows or run.fetched.rejections or left_behind)
        if run.is_interrupted or not (has_items or run.inputs.mode == "backfill"):
            return
        with (
            resolve_database(settings) as address,
            Session(address, clock=run.clocks.monotonic, sleep=run.clocks.sleep) as session,
        ):
            run.storage.database_name = address.display_name
            with _measure_at_end(run.storage, session):
                run.loaded = _load(run, settings, registry, spool, left_behind, session)
                spool.discard(left_behind)
                _backfill(run, settings, spool, session, usages_since)
                spool.discard()


@contextlib.contextmanager
def _measure_at_end(storage: StorageUse, session: Session) -> Iterator[None]:
    """Note what the session cost, also if an error ends it."""
    try:
        yield
    finally:
        storage.measure(session)


def _load(
    run: Run,
    settings: Settings,
    registry: CoinRegistry,
    spool: RunSpool,
    left_behind: Sequence[Path],
    session: Session,
) -> LoadResult:
    """Write everything in one transaction; it is repeated after a broken connection."""

    def load(connection: Connection, days: partitions.Days) -> LoadResult:
        drained = spool.shared_spool.read(left_behind)
        loaded = load_fetched(
            connection, run.fetched, drained, registry, days, run.inputs.started_at
        )
        run.storage.measure(session)
        run.record(connection, loaded)
        return loaded

    return database.run_write_transaction(
        session,
        load,
        run.inputs.started_at,
        newest_seen=newest_observation(run.fetched.rows),
        archive_hook=_archive_hook(settings),
    )


def _archive_hook(settings: Settings) -> ArchiveBeforeDrop | None:
    if not settings.archive_url:
        return None
    from sentinel.archive import export  # most deployments have no archive

    return export.archive_hook(settings)


def _backfill(
    run: Run, settings: Settings, spool: RunSpool, session: Session, usages_since: datetime
) -> None:
    """Find gaps and fill them, unless another run on this machine is already doing so."""
    with files.try_lock(settings.state_dir / "backfill") as is_exclusive:
        gaps = _find_gaps(run, settings, session, usages_since)
        run.storage.measure(session)
        usage = run.usage(is_metered=budget_monitor.is_metered(settings))
        recorded = run.storage.recorded_usages or ()
        budget = CreditBudget(settings, usage, recorded, is_exclusive)
        stage = Backfill(run.inputs, run.client, spool, run.backfill)
        found = stage.fetch_gaps(gaps, run.fetched.targets, budget)
        if found:
            run.loaded = _load_backfill(run, session, found)
            log_unfillable(found)


def _find_gaps(run: Run, settings: Settings, session: Session, usages_since: datetime) -> list[Gap]:
    """Read gaps, the database's size and recorded usage in one round trip; return the gaps."""
    activity = session.use(
        lambda connection: read_recent_activity(
            connection,
            run.inputs.started_at,
            cadence=timedelta(minutes=settings.cadence_minutes),
            coin_ids=run.fetched.targets if run.inputs.detect_gaps else [],
            # Backfill mode fetched no prices, so the pause until now counts as a gap too.
            until=run.inputs.started_at if run.inputs.mode == "backfill" else None,
            usages_since=usages_since,
        )
    )
    run.storage.database_bytes = activity.database_bytes
    run.storage.recorded_usages = activity.usages
    return activity.gaps


def _load_backfill(run: Run, session: Session, found: Sequence[CoinBackfill]) -> LoadResult:
    """Load what the backfill found, and record the run again with it."""
    before = run.loaded or LoadResult()

    def load(connection: Connection, days: partitions.Days) -> LoadResult:
        inserted = load_backfill(connection, found, days, run.inputs.started_at)
        loaded = dataclasses.replace(before, rows_backfilled=inserted)
        run.storage.measure(session)
        run.record(connection, loaded)
        return loaded

    return database.run_write_without_purge(session, load)
