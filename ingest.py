"""One run: the order of the stages, the report, the flags and the exit code."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import logging
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import console
import database
import postgres
import tables
from api_library import chunk_ids
from coin_registry import CoinRegistry, set_aside
from coingecko import CoinGecko
from errors import ApiUnavailable, Interrupted, SentinelError, run_as_script, signals_held
from records import Batch, CoinLabel, FxRate, LoadCounts, MarketRow, Rejection
from run_report import RunReport, Status, show
from safe_zone import (
    MARKETS_PER_PAGE,
    MODES,
    RANKED_COINS,
    RETENTION,
    RUN_DEADLINE_SECONDS,
    Settings,
    ensure_state_dir,
    load_settings,
)
from spool import Item, Spool
from transform import transform_and_validate

__all__ = ["Clocks", "RunReport", "main", "run_pipeline"]

log = logging.getLogger("sentinel.ingest")

EPILOG = """examples:
  python ingest.py                               the top 500 coins into the database
  python ingest.py --mode dry-run --targets BTC,ethereum
exit codes: 0 done, 1 unexpected, 2 usage or configuration, 3 CoinGecko unavailable,
  4 database unavailable (rows wait in the spool), 128+n ended by signal n"""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The times a run lives by; tests pass their own."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


SYSTEM_CLOCKS = Clocks(lambda: datetime.now(UTC), time.monotonic, time.sleep)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What a committed transaction did with this run's rows, and how many it drained."""

    counts: LoadCounts = field(default_factory=LoadCounts)
    rows_drained: int = 0


@dataclass(slots=True)
class _Run:
    """What a run has gathered so far. The one thing here that changes while the stages go by."""

    run_id: str
    mode: str
    started_at: datetime
    targets: list[str] = field(default_factory=list)
    rows: list[MarketRow] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    rates: list[FxRate] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    strikes: list[str] = field(default_factory=list)
    deactivated: list[str] = field(default_factory=list)
    healed: list[str] = field(default_factory=list)
    troubles: list[SentinelError] = field(default_factory=list)
    is_sick: bool = False
    is_synced: bool = False
    own_files: list[Path] = field(default_factory=list)
    loaded: _Loaded | None = None
    place: str = "the database"
    rows_spooled: int = 0
    db_seconds: float = 0.0
    purged_rows: int = 0

    @property
    def is_interrupted(self) -> bool:
        return any(isinstance(trouble, Interrupted) for trouble in self.troubles)

    @property
    def exit_code(self) -> int:
        return max((trouble.exit_code for trouble in self.troubles), default=0)

    def status(self, *, is_stored: bool) -> Status:
        """`ok` without trouble; `partial` where rows arrived all the same, else `failed`."""
        if not self.troubles:
            return "partial" if self.is_sick or not self.rows else "ok"
        return "partial" if self.rows and (is_stored or self.mode == "dry-run") else "failed"

    def rejected(self) -> dict[str, int]:
        """How many coins were rejected, by reason."""
        return dict(Counter(rejection.reason for rejection in self.rejections))


def run_pipeline(
    settings: Settings,
    *,
    clocks: Clocks = SYSTEM_CLOCKS,
    progress: console.Progress = lambda _stage, _done, _total: None,
    show_rows: Callable[[Sequence[MarketRow]], None] = lambda _rows: None,
) -> RunReport:
    """Do one run and report it. Trouble that has a name ends in the report, not in an exception.

    `show_rows` gets the rows that a dry run would have written.
    """
    started_at = clocks.now()
    run = _Run(f"{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}", settings.mode, started_at)
    client = CoinGecko(
        api_key=settings.api_key,
        is_pro=settings.is_pro,
        base_url=settings.base_url,
        clock=clocks.monotonic,
        sleep=clocks.sleep,
    )
    is_dry = settings.mode == "dry-run"
    with _noting_trouble(run):
        if not is_dry:
            _refuse_early(settings)
        registry = _load_registry(settings, started_at)
        with contextlib.closing(Spool(settings.state_dir / "spool")) as spool:
            keep = _forget if is_dry else functools.partial(_spool, run, spool)
            with _noting_trouble(run):
                _fetch(run, settings, registry, client, progress, keep)
            if is_dry:
                show_rows(run.rows)
                return _report(run, None, client, clocks)
            with _noting_trouble(run):
                progress("database", 0, 1)
                _store(run, settings, registry, client, clocks, spool)
        with _noting_trouble(run):
            registry.save(settings.registry_path)
    return _report(run, run.loaded, client, clocks)


def _refuse_early(settings: Settings) -> None:
    """What cannot end well is refused before it costs a call."""
    ensure_state_dir(settings.state_dir)
    if settings.database_url:
        postgres.parse_address(settings.database_url)


@contextlib.contextmanager
def _noting_trouble(run: _Run) -> Iterator[None]:
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
            aside = set_aside(path, now)
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


def _choose_targets(settings: Settings, registry: CoinRegistry) -> list[str]:
    if settings.targets:
        return registry.resolve(settings.targets)
    targets = registry.top(settings.limit)
    if len(targets) < settings.limit:
        log.warning(
            "limit %d is above the %d active coins: taking all", settings.limit, len(targets)
        )
    return targets


# --- fetching --------------------------------------------------------------------------------


def _fetch(
    run: _Run,
    settings: Settings,
    registry: CoinRegistry,
    client: CoinGecko,
    progress: console.Progress,
    keep: Callable[[Sequence[Item]], None],
) -> None:
    """Ask for every target chunk by chunk; what one chunk suffers does not cost the others.

    What each answer came to is handed to `keep` at once.
    """
    progress("registry", 0, 1)
    run.is_synced = _sync(registry, client, run.started_at)
    run.targets = _choose_targets(settings, registry)
    wanted = set(run.targets)
    probes = [i for i in registry.due_for_probe(run.started_at) if i not in wanted]
    # With nothing active to ask for, those on parole are worth a call of their own.
    asked, riders = (run.targets, probes) if run.targets else (probes, [])
    chunks = list(chunk_ids(client.base_url, asked, riders))
    for done, chunk in enumerate(chunks):
        progress("prices", done, len(chunks))
        try:
            for answer in client.prices(chunk):
                with signals_held():  # an answer that arrived is kept, whoever wants us to stop
                    keep(_take(run, registry, answer.ids, answer.body))
        except ApiUnavailable as trouble:
            run.troubles.append(trouble)
            if client.has_given_up:
                return
    if run.is_sick and not run.rows:
        raise ApiUnavailable(
            "CoinGecko answered without one usable price. The next run asks again."
        )


def _take(run: _Run, registry: CoinRegistry, ids: Sequence[str], body: bytes) -> list[Item]:
    """Validate and judge one answer; returns what of it belongs into the database."""
    batch = transform_and_validate(body, ids, run.started_at, run.run_id)
    bad = {rejection.coin_id: rejection.reason for rejection in batch.rejections}
    bad |= dict.fromkeys(batch.missing, "missing")
    wanted = set(run.targets)
    verdicts = registry.judge(
        (row.coin_id for row in batch.rows), bad, (i for i in ids if i in wanted), run.started_at
    )
    if verdicts.is_sick:
        log.warning(
            "%d of %d coins came back bad: the answer is sick, nobody is struck", len(bad), len(ids)
        )
    run.is_sick |= verdicts.is_sick
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


def _spool(run: _Run, spool: Spool, items: Sequence[Item]) -> None:
    """Put an answer on disk before anything else; where that fails the run goes on without."""
    if not items:
        return
    try:
        path = spool.write(f"{run.run_id}-{len(run.own_files):03}", items)
    except OSError as error:
        log.warning(
            "the spool cannot be written (%s): these rows are lost if the database fails too",
            error.strerror,
        )
        return
    run.own_files.append(path)
    run.rows_spooled += sum(isinstance(item, MarketRow) for item in items)


def _store(
    run: _Run,
    settings: Settings,
    registry: CoinRegistry,
    client: CoinGecko,
    clocks: Clocks,
    spool: Spool,
) -> None:
    """Load what was fetched and what earlier runs left behind, then forget the spool."""
    with spool.claim() as left_behind:
        if run.is_interrupted or not (run.rows or run.rejections or left_behind):
            return
        load = functools.partial(_load, run, registry, client, clocks, spool, left_behind)
        _write(run, settings, clocks, load)
        spool.discard([*left_behind, *run.own_files])


def _write(
    run: _Run,
    settings: Settings,
    clocks: Clocks,
    load: Callable[[postgres.Session, postgres.Connection, tables.Days], _Loaded],
) -> None:
    """Reach the database and run `load` there in one transaction."""
    with (
        postgres.reach(settings) as address,
        postgres.Session(address, clock=clocks.monotonic, sleep=clocks.sleep) as session,
    ):
        run.place = address.place
        try:
            run.loaded = database.write(session, functools.partial(load, session), run.started_at)
        finally:
            run.purged_rows, run.db_seconds = session.purged_rows, session.seconds
    run.rows_spooled = 0


def _load(
    run: _Run,
    registry: CoinRegistry,
    client: CoinGecko,
    clocks: Clocks,
    spool: Spool,
    left_behind: Sequence[Path],
    session: postgres.Session,
    connection: postgres.Connection,
    days: tables.Days,
) -> _Loaded:
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
    loaded = _Loaded(counts, drained)
    run.purged_rows, run.db_seconds = session.purged_rows, session.seconds
    database.record_run(connection, asdict(_report(run, loaded, client, clocks)))
    return loaded


def _drain(
    connection: postgres.Connection,
    days: tables.Days,
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


# --- reporting -------------------------------------------------------------------------------


def _report(run: _Run, loaded: _Loaded | None, client: CoinGecko, clocks: Clocks) -> RunReport:
    """The report as of now; `loaded` is None where nothing was stored."""
    is_stored, loaded = loaded is not None, loaded or _Loaded()
    now = clocks.now()
    return RunReport(
        mode=run.mode,
        status=run.status(is_stored=is_stored),
        exit_code=run.exit_code,
        run_id=run.run_id,
        started_at=run.started_at.isoformat(),
        finished_at=now.isoformat(),
        duration_seconds=max(0.0, round((now - run.started_at).total_seconds(), 3)),
        targets=len(run.targets),
        rows_valid=len(run.rows),
        rows_inserted=loaded.counts.inserted,
        rows_updated=loaded.counts.updated,
        rows_unchanged=loaded.counts.unchanged,
        rows_spooled=run.rows_spooled,
        rows_drained=loaded.rows_drained,
        rejected=run.rejected(),
        missing=run.missing,
        strikes=run.strikes,
        deactivated=run.deactivated,
        healed=run.healed,
        api_calls=client.calls,
        api_credits=client.credits,
        db_seconds=round(run.db_seconds, 3),
        purged_rows=run.purged_rows,
        message=_message(run, client),
    )


def _unstarted(trouble: SentinelError) -> RunReport:
    """The report of a run that its settings did not let begin."""
    run = _Run("", "ingest", SYSTEM_CLOCKS.now(), troubles=[trouble])
    return _report(run, None, CoinGecko(), SYSTEM_CLOCKS)


def _message(run: _Run, client: CoinGecko) -> str:
    """One line for a person."""
    if run.troubles:
        spooled = f" {run.rows_spooled} rows wait in the spool." if run.rows_spooled else ""
        return " ".join(str(trouble) for trouble in run.troubles) + spooled
    where = "would be written" if run.mode == "dry-run" else f"in {run.place}"
    sick = " The answer was sick: nobody was struck." if run.is_sick else ""
    calls = f"{client.calls} API call{'' if client.calls == 1 else 's'}"
    return f"{len(run.rows)} of {len(run.targets)} coins {where}, {calls}.{sick}"


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
    console.speak_through_logging(verbose=arguments.verbose)
    flags = {name: getattr(arguments, name) for name in ("mode", "limit", "targets")}
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
        console.complain(report.message)
    if arguments.json:
        print(json.dumps(asdict(report)))
    else:
        show(report, dry_rows)
    return report.exit_code


if __name__ == "__main__":
    run_as_script(main)
