"""One run: the order of the stages, the report, the flags and the exit code."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import budget_monitor
import database
from api_library import chunk_ids
from budget_monitor import BudgetStatus
from coin_registry import CoinRegistry, move_damaged_file
from pipeline.backfill import backfill_gaps
from pipeline.report import RunReport, show
from pipeline.run import Loaded, Run
from pipeline.spool import Item, Spool
from safe_zone import (
    FLAG_KEYS,
    IDLE_TAIL_SECONDS,
    MARKETS_PER_PAGE,
    MODES,
    RANKED_COINS,
    RETENTION,
    RUN_DEADLINE_SECONDS,
    SUSPENDED_TAIL_SECONDS,
    Settings,
    ensure_state_dir,
    load_settings,
)
from sentinel import console, files
from sentinel.archive import export
from sentinel.budget import neon_api
from sentinel.budget.quotas import BackfillAllowance, Month
from sentinel.budget.usage_log import Usage
from sentinel.clocks import SYSTEM_CLOCKS, Clocks
from sentinel.coingecko import CoinGecko
from sentinel.errors import ApiUnavailable, BudgetExhausted, SentinelError
from sentinel.models import Batch, CoinLabel, FxRate, MarketRow, Rejection
from sentinel.process import defer_signals, run_as_script
from sentinel.storage import schema
from sentinel.storage.connection import Connection, Session, parse_address, resolve_database
from transform import transform_and_validate

__all__ = ["Clocks", "RunReport", "main", "run_pipeline"]

log = logging.getLogger("sentinel.ingest")

EPILOG = """examples:
  python ingest.py                               the top 500 coins into the database
  python ingest.py --mode dry-run --targets BTC,ethereum
  python ingest.py --mode backfill               repair gaps with what is left of today's credits
exit codes: 0 done or skipped, 1 unexpected, 2 usage or configuration, 3 CoinGecko unavailable,
  4 database unavailable (rows wait in the spool), 5 budget exhausted, 128+n ended by signal n"""


def run_pipeline(
    settings: Settings,
    *,
    clocks: Clocks = SYSTEM_CLOCKS,
    extra_coins: Sequence[str] = (),
    detect_gaps: bool = True,
    progress: console.Progress = lambda _stage, _done, _total: None,
    show_rows: Callable[[Sequence[MarketRow]], None] = lambda _rows: None,
) -> RunReport:
    """Do one run and report it. Trouble that has a name ends in the report, not in an exception.

    `show_rows` gets the rows that a dry run would have written.
    """
    run = Run.begin(settings.mode, _client(settings, clocks), clocks)
    run.extra_coins, run.detect_gaps = extra_coins, detect_gaps
    if settings.mode == "dry-run":
        with _noting_trouble(run):
            registry = _load_registry(settings, run.started_at)
            _fetch(run, settings, registry, progress, _forget)
        show_rows(run.rows)
        return run.report(None)
    with _noting_trouble(run):
        _refuse_early(settings)
        try:
            with _noting_trouble(run):
                _do_stages(run, settings, progress)
        finally:
            _account(run, settings)
    return run.report(run.loaded)


def _client(settings: Settings, clocks: Clocks) -> CoinGecko:
    return CoinGecko(
        api_key=settings.api_key,
        is_pro=settings.is_pro,
        base_url=settings.base_url,
        clock=clocks.monotonic,
        sleep=clocks.sleep,
    )


def _do_stages(run: Run, settings: Settings, progress: console.Progress) -> None:
    """Ledger, registry, fetch, store, repair, registry: what one stage suffers does not cost the
    others."""
    budget = _ask_the_ledger(run, settings)
    if budget.decision == "skip" and not budget.is_due:
        run.skipped_because = budget.reason
        return
    registry = _load_registry(settings, run.started_at)
    with contextlib.closing(Spool(settings.state_dir / "spool")) as spool:
        with _noting_trouble(run):
            _fetch(run, settings, registry, progress, functools.partial(_spool, run, spool))
        with _noting_trouble(run):
            progress("database", 0, 1)
            _store(run, settings, registry, spool)
    with _noting_trouble(run):
        registry.save(settings.registry_path)


# --- the ledger ------------------------------------------------------------------------------


def _ask_the_ledger(run: Run, settings: Settings) -> BudgetStatus:
    """The verdict on this run, before it costs a call or a wake.

    Raises BudgetExhausted.
    """
    status = budget_monitor.check_budget_status(settings, run.started_at)
    if status.decision == "stop":
        raise BudgetExhausted(
            f"Nothing was asked and nothing was woken: {status.reason}. Runs go on by themselves "
            "when the month begins anew; docs/deploy-github-actions.md tells of paid plans."
        )
    run.unrecorded_runs = status.unrecorded_runs
    # What the log does not know is read from the database: all of the month where it was lost,
    # else of a day at least, for a run that was killed or that another machine made.
    month, day = Month.of(run.started_at).start, run.started_at - timedelta(days=1)
    is_known = status.is_log_complete and status.latest_run_at is not None
    run.usages_wanted_since = (
        max(month, min(day, status.latest_run_at or day)) if is_known else month
    )
    return status


def _account(run: Run, settings: Settings) -> None:
    """Write this run into the usage log, and what the database told of others."""
    has_woken = run.loaded is not None or run.db_seconds > 0
    is_asleep = has_woken and settings.suspend_after_run and neon_api.suspend(settings)
    tail = SUSPENDED_TAIL_SECONDS if is_asleep else IDLE_TAIL_SECONDS
    others = run.known_usages
    if others is not None:
        # The database does not remember tails: a deployment that suspends is taken at its word.
        usual = SUSPENDED_TAIL_SECONDS if settings.suspend_after_run else IDLE_TAIL_SECONDS
        is_metered = budget_monitor.is_metered(settings)
        others = [u._replace(tail_seconds=usual, is_metered=is_metered) for u in others]
    own = _usage(run, settings)._replace(tail_seconds=tail)
    budget_monitor.save_run(settings, own, run.clocks.now(), others)


def _usage(run: Run, settings: Settings, planned: int = 0) -> Usage:
    """What the run has used so far, and the credits it plans to spend on repairs."""
    return Usage(
        run.started_at,
        run.seconds,
        run.client.credits + planned,
        run.db_seconds,
        run.backfill_credits + planned,
        db_bytes=run.db_bytes,
        is_skipped=run.skipped_because is not None or run.is_stopped,
        is_stored=run.loaded is not None,
        is_metered=budget_monitor.is_metered(settings),
    )


def _refuse_early(settings: Settings) -> None:
    """What cannot end well is refused before it costs a call."""
    ensure_state_dir(settings.state_dir)
    if settings.database_url:
        parse_address(settings.database_url)


@contextlib.contextmanager
def _noting_trouble(run: Run) -> Iterator[None]:
    try:
        yield
    except SentinelError as trouble:
        run.troubles.append(trouble)


# --- which coins -----------------------------------------------------------------------------


def _load_registry(settings: Settings, now: datetime) -> CoinRegistry:
    """The registry; a damaged file is set aside and an empty one returned, which is then filled."""
    path = settings.registry_path
    try:
        return CoinRegistry.load(path)
    except ValueError as error:
        if settings.mode == "dry-run":
            log.warning("%s is damaged (%s): this dry run goes on without it", path, error)
        else:
            aside = move_damaged_file(path, now)
            log.warning("%s was damaged (%s): moved to %s, rebuilding", path, error, aside.name)
        return CoinRegistry()


def _sync(registry: CoinRegistry, client: CoinGecko, now: datetime) -> bool:
    """Read CoinGecko's list and ranking once a day; a failure is borne where coins are known."""
    if not registry.needs_sync(now):
        return False
    try:
        registry.sync(client.coin_list(), _ranking(client), now)
        log.info("registry: %d coins known to CoinGecko", len(registry))
    except (ApiUnavailable, ValueError) as error:
        if not registry.coins:
            raise ApiUnavailable(str(error)) from error
        log.warning("registry not compared with CoinGecko this time: %s", error)
        return False
    return True


def _ranking(client: CoinGecko) -> Iterator[Any]:
    """The rows of as many pages as there are ranks to keep."""
    for page in range(1, -(-RANKED_COINS // MARKETS_PER_PAGE) + 1):
        rows = client.markets(page)
        yield from rows
        if len(rows) < MARKETS_PER_PAGE:
            return


def _choose_targets(
    settings: Settings, registry: CoinRegistry, extra_coins: Sequence[str], *, is_synced: bool
) -> list[str]:
    also = _also(extra_coins, registry, is_synced=is_synced)
    if settings.targets:
        return list(dict.fromkeys([*registry.resolve(settings.targets), *also]))
    targets = registry.top_ids(settings.limit)
    if len(targets) < settings.limit:
        log.warning(
            "limit %d is above the %d active coins: taking all", settings.limit, len(targets)
        )
    # In the place of the last ones, so that they cost no call of their own.
    top = set(targets)
    extra = [i for i in also if i not in top]
    return targets[: max(0, settings.limit - len(extra))] + extra


def _also(extra_coins: Sequence[str], registry: CoinRegistry, *, is_synced: bool) -> list[str]:
    """The active ones of the coins asked for besides; who is on parole waits for its probe."""
    if not extra_coins:
        return []
    found, unknown = registry.look_up(extra_coins)
    if unknown:  # said once a day
        level = logging.WARNING if is_synced else logging.INFO
        log.log(level, "watched, but not listed by CoinGecko: %s", ", ".join(unknown))
    return [i for i in found if registry.coins[i].status == "active"]


# --- fetching --------------------------------------------------------------------------------


def _fetch(
    run: Run,
    settings: Settings,
    registry: CoinRegistry,
    progress: console.Progress,
    keep: Callable[[Sequence[Item]], None],
) -> None:
    """Ask for every target chunk by chunk; what one chunk suffers does not cost the others.

    What each answer came to is handed to `keep` at once. A backfill only learns its targets.
    """
    progress("registry", 0, 1)
    client = run.client
    run.is_synced = _sync(registry, client, run.started_at)
    run.targets = _choose_targets(settings, registry, run.extra_coins, is_synced=run.is_synced)
    if run.mode == "backfill":
        return
    wanted = set(run.targets)
    probes = [i for i in registry.due_for_probe(run.started_at) if i not in wanted]
    # With nothing active to ask for, those on parole are worth a call of their own.
    asked, riders = (run.targets, probes) if run.targets else (probes, [])
    chunks = list(chunk_ids(client.base_url, asked, riders))
    for done, chunk in enumerate(chunks):
        progress("prices", done, len(chunks))
        try:
            for answer in client.prices(chunk):
                with defer_signals():  # an answer that arrived is kept, whoever wants us to stop
                    keep(_take(run, registry, answer.ids, answer.body))
        except ApiUnavailable as trouble:
            run.troubles.append(trouble)
            if client.is_exhausted:
                return
    if run.is_degraded and not run.rows:
        raise ApiUnavailable(
            "CoinGecko answered without one usable price. The next run asks again."
        )


def _take(run: Run, registry: CoinRegistry, ids: Sequence[str], body: bytes) -> list[Item]:
    """Validate and judge one answer; returns what of it belongs into the database."""
    batch = transform_and_validate(body, ids, run.started_at, run.run_id)
    bad = {rejection.coin_id: rejection.reason for rejection in batch.rejections}
    bad |= dict.fromkeys(batch.missing, "missing")
    wanted = set(run.targets)
    verdicts = registry.record_results(
        (row.coin_id for row in batch.rows), bad, (i for i in ids if i in wanted), run.started_at
    )
    if verdicts.is_degraded:
        log.warning(
            "%d of %d coins came back bad: the answer is sick, nobody is struck", len(bad), len(ids)
        )
    run.is_degraded |= verdicts.is_degraded
    run.rows += batch.rows
    run.rejections += batch.rejections
    rates = _rates(batch)
    run.rates += rates
    run.missing += batch.missing
    run.strikes += verdicts.struck
    run.deactivated += verdicts.deactivated
    run.healed += verdicts.healed
    return [*batch.rows, *batch.rejections, *rates]


def _rates(batch: Batch) -> list[FxRate]:
    """The rupiah's rate, as old as the newest of the prices that imply it."""
    if batch.idr_per_usd is None:
        return []
    return [FxRate(max(row.observed_at for row in batch.rows), "idr", batch.idr_per_usd)]


def _forget(_items: Sequence[Item]) -> None:
    """What a dry run does with what it fetched."""


# --- storing ---------------------------------------------------------------------------------


def _spool(run: Run, spool: Spool, items: Sequence[Item]) -> None:
    """Put an answer on disk before anything else; where that fails the run goes on without."""
    if not items:
        return
    try:
        path = spool.write(f"{run.run_id}-{run.answers:03}", items)
    except OSError as error:
        log.warning(
            "the spool cannot be written (%s): these rows are lost if the database fails too",
            error.strerror,
        )
        return
    run.answers += 1
    run.own_files.append(path)
    run.rows_spooled += sum(isinstance(item, MarketRow) for item in items)


def _store(run: Run, settings: Settings, registry: CoinRegistry, spool: Spool) -> None:
    """Load what was fetched and what earlier runs left behind, forget the spool, repair gaps."""
    with spool.claim() as left_behind:
        has_work = run.rows or run.rejections or left_behind or run.mode == "backfill"
        if run.is_interrupted or not has_work:
            return
        with (
            resolve_database(settings) as address,
            Session(address, clock=run.clocks.monotonic, sleep=run.clocks.sleep) as session,
        ):
            run.place = address.place
            load = functools.partial(_load, run, registry, spool, left_behind, session)
            with _timing(run, session):
                run.loaded = database.write(
                    session,
                    load,
                    run.started_at,
                    newest_seen=_newest(run.rows),
                    archive_hook=export.archive_hook(settings),
                )
                _forget_spooled(run, spool, left_behind)
                _repair(run, settings, session, spool)
                _forget_spooled(run, spool)


def _newest(rows: Sequence[MarketRow]) -> datetime:
    """When the newest price was observed, by CoinGecko's clock; long ago where there is none."""
    return max((row.observed_at for row in rows), default=datetime(2000, 1, 1, tzinfo=UTC))


def _repair(run: Run, settings: Settings, session: Session, spool: Spool) -> None:
    """Repair gaps, unless another run here is about it: both would spend the day's credits."""

    def announce(planned: int) -> None:
        run.db_seconds = session.seconds
        own = _usage(run, settings, planned)
        budget_monitor.save_run(settings, own, run.clocks.now())

    with files.try_lock(settings.state_dir / "repair") as is_alone:

        def grant() -> BackfillAllowance:
            others = run.known_usages or ()
            granted = budget_monitor.backfill_allowance(settings, run.started_at, others)
            return granted if is_alone else granted._replace(left=0)

        keep = functools.partial(_spool, run, spool)
        backfill_gaps(run, settings, session, grant, keep, announce)


@contextlib.contextmanager
def _timing(run: Run, session: Session) -> Iterator[None]:
    """Note what the session cost, however it ends."""
    try:
        yield
    finally:
        run.purged_rows, run.db_seconds = session.purged_rows, session.seconds


def _forget_spooled(run: Run, spool: Spool, left_behind: Sequence[Path] = ()) -> None:
    """What is in the database need not wait in the spool."""
    spool.discard([*left_behind, *run.own_files])
    run.own_files.clear()
    run.rows_spooled = 0


def _load(
    run: Run,
    registry: CoinRegistry,
    spool: Spool,
    left_behind: Sequence[Path],
    session: Session,
    connection: Connection,
    days: schema.Days,
) -> Loaded:
    """Everything a run writes. May run twice, after a broken connection; comes to the same."""

    def describe(coin_id: str) -> CoinLabel | None:
        coin = registry.coins.get(coin_id)
        return coin.label if coin else None

    if run.is_synced:
        labels = {coin_id: coin.label for coin_id, coin in registry.coins.items()}
        database.relabel_coins(connection, labels)
    drained = 0
    if left_behind:
        items = spool.read(left_behind)
        drained = _drain(connection, days, describe, items, run.started_at)
    counts = database.load_batch(connection, run.rows, describe, days)
    database.record_rejections(connection, run.rejections)
    database.record_fx_rates(connection, run.rates)
    loaded = Loaded(counts, drained)
    run.purged_rows, run.db_seconds = session.purged_rows, session.seconds
    run.record(connection, loaded)
    return loaded


def _drain(
    connection: Connection,
    days: schema.Days,
    describe: Callable[[str], CoinLabel | None],
    items: Iterable[Item],
    now: datetime,
) -> int:
    """Load what earlier runs could not; returns the number of rows. What has outlived the
    retention meanwhile is left out."""
    others: list[Item] = []

    def rows() -> Iterator[MarketRow]:
        for item in items:
            if not isinstance(item, MarketRow):
                others.append(item)
            elif item.observed_at >= now - RETENTION:
                yield item

    counts = database.load_batch(connection, rows(), describe, days)
    database.record_rejections(connection, [i for i in others if isinstance(i, Rejection)])
    database.record_fx_rates(connection, [i for i in others if isinstance(i, FxRate)])
    return counts.total


# --- the command line ------------------------------------------------------------------------


def _unstarted(trouble: SentinelError) -> RunReport:
    """The report of a run that its settings did not let begin."""
    run = Run.begin("ingest", CoinGecko(), SYSTEM_CLOCKS)
    run.run_id = ""
    run.troubles.append(trouble)
    return run.report(None)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, as typed; `load_settings` judges the values."""
    parser = argparse.ArgumentParser(
        prog="ingest.py",
        description="Collect prices from CoinGecko into Postgres, once.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mode", help=f"one of {', '.join(MODES)} (default ingest)")
    parser.add_argument("--limit", help="how many of the top coins (default 500)")
    parser.add_argument("--targets", help="only these ids, symbols or names, such as BTC,ethereum")
    parser.add_argument("--config", help="another file than ingest_config.json")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument("--verbose", action="store_true", help="tell of retries and pauses too")
    return parser.parse_args(arguments)


def main() -> int:
    """Run once as the command line says; returns the exit code."""
    arguments = parse_arguments()
    console.configure_logging(verbose=arguments.verbose)
    flags = {name: getattr(arguments, name) for name in FLAG_KEYS}
    try:
        settings = load_settings(flags, config=arguments.config)
    except SentinelError as trouble:
        if arguments.json:
            print(json.dumps(asdict(_unstarted(trouble))))
        raise
    if arguments.targets and arguments.limit:
        log.warning("--limit is ignored: --targets names the coins")
    if hasattr(signal, "alarm"):
        signal.alarm(RUN_DEADLINE_SECONDS)
    dry_rows: list[MarketRow] = []
    with console.progress() as progress:
        report = run_pipeline(settings, progress=progress, show_rows=dry_rows.extend)
    if report.exit_code:
        console.print_error(report.message)
    if arguments.json:
        print(json.dumps(asdict(report)))
    else:
        show(report, dry_rows)
    return report.exit_code


if __name__ == "__main__":
    run_as_script(main)
