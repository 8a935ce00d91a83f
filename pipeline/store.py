"""The store stage: one database session that loads what was fetched, sends alerts, fills gaps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta

import budget_monitor
import database
from coin_registry import CoinRegistry
from pipeline import alerts
from pipeline.backfill import Backfill, CoinBackfill, CreditBudget, load_backfill, log_unfillable
from pipeline.backfill_plan import BackfillCall
from pipeline.load import load_run
from pipeline.run import Run
from pipeline.spool import RunSpool
from pipeline.stage_results import LoadResult
from sentinel import files
from sentinel.budget.coingecko_credits import covered_coins
from sentinel.health.failure_rates import check_failure_rates
from sentinel.models import Gap
from sentinel.storage import partitions, service_status
from sentinel.storage.connection import Connection, Session, resolve_database
from sentinel.storage.queries.gaps import FillableCoin
from sentinel.storage.queries.recent_activity import read_gaps, read_recent_activity
from sentinel.storage.service_status import ServiceStatus
from sentinel.times import format_age


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
                run.loaded = load_run(run, registry, spool, left_behind, session)
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
    age = format_age(now - monitor.recorded_at)
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
