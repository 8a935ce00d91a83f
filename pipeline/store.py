"""The store stage: one database session that loads what was fetched, sends alerts, fills gaps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import budget_monitor
import database
from coin_registry import CoinRegistry
from pipeline import alerts
from pipeline.backfill import Backfill, CoinBackfill, CreditBudget, load_backfill, log_unfillable
from pipeline.backfill_plan import BackfillCall
from pipeline.run import Run
from pipeline.run_incidents import find_recordable
from pipeline.spool import Item, LoadWindow, RunSpool
from pipeline.stage_results import LoadResult
from safe_zone import MAX_CLOCK_SKEW, RETENTION, Settings
from sentinel import files
from sentinel.budget import usage_log
from sentinel.budget.coingecko_credits import covered_coins
from sentinel.budget.usage_log import Usage
from sentinel.health import checks
from sentinel.health.failure_rates import check_failure_rates
from sentinel.models import CoinLabel, FxRate, Gap, MarketRow, Rejection
from sentinel.storage import coin_labels, incidents, partitions, run_records, service_status
from sentinel.storage.connection import Connection, Session, resolve_database
from sentinel.storage.incidents import Incident
from sentinel.storage.queries.gaps import FillableCoin
from sentinel.storage.queries.recent_activity import read_gaps, read_recent_activity
from sentinel.storage.retention import ArchiveBeforeDrop, trusted_now
from sentinel.storage.service_status import ServiceStatus


def store_run(run: Run, registry: CoinRegistry, spool: RunSpool, usages_since: datetime) -> None:
    """Load this run's data and what earlier runs left in the spool, then fill gaps.

    Nothing happens if there is nothing to load, because a connection wakes the database. Rows are
    removed from the spool after their commit. Usage that the database recorded since
    `usages_since` goes to `run.storage`.

    Raises StorageUnavailable.
    """
    with spool.shared_spool.claim() as left_behind:
        has_items = bool(run.fetched.rows or run.fetched.rejections or left_behind)
        if run.is_interrupted or not (has_items or run.settings.mode == "backfill"):
            return
        with (
            resolve_database(run.settings) as address,
            Session(address, clock=run.clocks.monotonic, sleep=run.clocks.sleep) as session,
        ):
            run.storage.database_name = address.display_name
            try:
                run.loaded = _load(run, registry, spool, left_behind, session)
                spool.discard(left_behind)
                with files.try_lock(run.settings.state_dir / "backfill") as is_exclusive:
                    coins = _read_activity(run, session, usages_since)
                    alerts.send_alerts(run, session)  # before the backfill, which takes longer
                    _backfill(run, spool, session, coins, is_exclusive=is_exclusive)
                if run.settings.public_page:
                    from pipeline import site_stage  # most deployments have no page

                    site_stage.prepare_page(run, registry, session)
                spool.discard()
            finally:
                session.close()  # which counts what the run received
                run.storage.measure(session)


def _load(
    run: Run,
    registry: CoinRegistry,
    spool: RunSpool,
    left_behind: Sequence[Path],
    session: Session,
) -> LoadResult:
    """Write everything in one transaction; it is repeated after a broken connection."""
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


def _backfill(
    run: Run,
    spool: RunSpool,
    session: Session,
    coins: Sequence[FillableCoin],
    *,
    is_exclusive: bool,
) -> None:
    """Fill the gaps of coins, unless another run on this machine is already doing so."""
    run.storage.measure(session)
    usage = run.usage(is_metered=budget_monitor.is_metered(run.settings))
    recorded = run.storage.recorded_usages or ()
    budget = CreditBudget(run.settings, usage, recorded, is_exclusive)
    backfill = Backfill(run, spool)
    if calls := backfill.plan(coins, budget):
        found = backfill.fetch(calls, _find_gaps(run, session, calls))
        run.loaded = _load_backfill(run, session, found)
        log_unfillable(found)


def _read_activity(run: Run, session: Session, usages_since: datetime) -> list[FillableCoin]:
    """Read what the run needs to know about earlier runs; return the coins with gaps."""
    credits_per_day = run.settings.backfill_credits_per_day if run.is_scheduled else 0
    activity = session.use(
        lambda connection: read_recent_activity(
            connection,
            run.trusted_start,
            cadence=_cadence(run),
            coin_ids=run.fetched.targets if run.detect_gaps else [],
            until=_gaps_until(run),
            usages_since=usages_since,
            covered_coins=covered_coins(credits_per_day),
        )
    )
    run.storage.database_bytes = activity.database_bytes
    run.storage.recorded_usages = activity.usages
    run.storage.slot_coverage = activity.slot_coverage
    if run.is_scheduled:
        run.warnings += _describe_silence(activity.monitor, run.trusted_start)
        failures = check_failure_rates(activity.failing_coins)
        run.warnings += [failures.summary] if failures.state == "warning" else []
    return activity.fillable_coins


def _find_gaps(run: Run, session: Session, calls: Sequence[BackfillCall]) -> list[Gap]:
    """Return all pauses that the calls can fill."""
    return session.use(
        lambda connection: read_gaps(
            connection,
            run.trusted_start,
            cadence=_cadence(run),
            coin_ids=[call.coin_id for call in calls],
            until=_gaps_until(run),
        )
    )


def _cadence(run: Run) -> timedelta:
    return timedelta(minutes=run.settings.cadence_minutes)


def _gaps_until(run: Run) -> datetime | None:
    """Return until when the newest pause counts as a gap; None: it does not count.

    Backfill mode fetched no prices, so the pause until now counts too.
    """
    return run.trusted_start if run.settings.mode == "backfill" else None


def _describe_silence(monitor: ServiceStatus | None, now: datetime) -> list[str]:
    """Return a warning about a monitor on this database that has stopped, else nothing."""
    if not monitor:
        return []
    if not service_status.is_silent(monitor, service_status.late_after(monitor.interval), now):
        return []
    age = checks.format_age(now - monitor.recorded_at)
    return [f"The monitor on this database has been silent for {age}: make status."]


def _load_backfill(run: Run, session: Session, found: Sequence[CoinBackfill]) -> LoadResult:
    """Load what the backfill found, and record the run again with it."""
    before = run.loaded or LoadResult()

    def load(connection: Connection, days: partitions.Days) -> LoadResult:
        inserted = load_backfill(connection, found, days, run.trusted_start)
        loaded = dataclasses.replace(before, rows_backfilled=inserted)
        run.storage.measure(session)
        run.record(connection, loaded)
        return loaded

    return database.run_write_without_purge(session, load)
