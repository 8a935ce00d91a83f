"""One run of the pipeline: the order of its stages, the command line and the exit code."""

from __future__ import annotations

import gc

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

    gc.disable()  # searching for cycles takes 0.1 s of a run, which ends before it needs memory

import argparse
import contextlib
import json
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING

from coin_registry import CoinRegistry
from pipeline.fetch import fetch_prices
from pipeline.report import RunReport, show
from pipeline.run import Run
from pipeline.run_usage import (
    check_budget,
    recorded_usages_since,
    reserve_credits,
    save_usage,
)
from pipeline.spool import RunSpool, Spool
from pipeline.targets import choose_targets, find_active_ids, load_registry, sync_registry
from safe_zone import FLAG_KEYS, MODES, RUN_DEADLINE_SECONDS, Settings, load_settings
from sentinel import console
from sentinel.arguments import make_parser
from sentinel.clocks import SYSTEM_CLOCKS, Clocks
from sentinel.config import ensure_state_dir
from sentinel.errors import SentinelError
from sentinel.models import MarketRow
from sentinel.process import configure_logging, is_on_github_actions, run_as_script
from sentinel.storage.connection import parse_address

if TYPE_CHECKING:
    from sentinel.alerting.settings import AlertSettings
    from sentinel.heartbeat import Heartbeat

__all__ = ["Clocks", "RunReport", "main", "run_pipeline"]

log = logging.getLogger("sentinel.ingest")

EPILOG = """examples:
  python ingest.py                               write the top 500 coins to the database
  python ingest.py --mode dry-run --targets BTC,ethereum
  python ingest.py --mode backfill               fill gaps with what is left of today's credits
exit codes: 0 done or skipped, 1 unexpected, 2 usage or configuration, 3 CoinGecko unavailable,
  4 database unavailable (rows wait in the spool), 5 budget exhausted, 128+n ended by signal n"""


def run_pipeline(
    settings: Settings,
    *,
    clocks: Clocks = SYSTEM_CLOCKS,
    extra_coins: Sequence[str] = (),
    detect_gaps: bool = True,
    is_scheduled: bool = False,
    alert_settings: AlertSettings | None = None,
    progress: console.Progress = lambda _stage, _done, _total: None,
    show_rows: Callable[[Sequence[MarketRow]], None] = lambda _rows: None,
) -> RunReport:
    """Do one run and return its report. A SentinelError ends in the report, not in an exception.

    `extra_coins` (ids, symbols or names) are fetched besides the top coins, within the limit.
    A run that `is_scheduled` and the monitor on the same database watch each other.
    `alert_settings`: send alerts, in ingest mode. The monitor's loop sends its own.
    `show_rows` gets the rows that a dry run would have written.
    """
    run = Run(settings, clocks, extra_coins, detect_gaps, is_scheduled, alert_settings)
    if settings.mode == "dry-run":
        with _collect_errors(run):
            registry = load_registry(settings.registry_path, run.started_at, is_dry_run=True)
            _fetch(run, registry, progress)
        show_rows(run.fetched.rows)
        return run.report()
    with _collect_errors(run):
        _check_environment(settings)
        try:
            with _collect_errors(run):
                _run_stages(run, progress)
            run.has_ended = True
        finally:
            save_usage(run)
    return run.report()


def _check_environment(settings: Settings) -> None:
    """Raise ConfigurationError before the run costs a call, if it could not end well."""
    ensure_state_dir(settings.state_dir)
    if settings.database_url:
        parse_address(settings.database_url)


@contextlib.contextmanager
def _collect_errors(run: Run) -> Iterator[None]:
    """Note a SentinelError in the run, so that the next stage still runs."""
    try:
        yield
    except SentinelError as error:
        run.stage_errors.append(error)


# --- the stages --------------------------------------------------------------------------------


def _run_stages(run: Run, progress: console.Progress) -> None:
    """Check the budget, then fetch, store and save the registry.

    An error in one of the last three stages does not stop the next one.
    """
    settings, now = run.settings, run.started_at
    status = check_budget(settings, now)
    run.unrecorded_runs = status.unrecorded_runs
    if status.decision == "skip" and not status.is_due:
        run.skip_reason = status.reason
        return
    registry = load_registry(settings.registry_path, now, is_dry_run=False)
    reserve_credits(run, registry)
    with contextlib.closing(Spool(settings.state_dir / "spool")) as folder:
        spool = run.spool = RunSpool(folder, run.run_id)
        try:
            with _prepared_meanwhile(run), _collect_errors(run):
                _fetch(run, registry, progress)
            with _collect_errors(run):
                from pipeline.store import store_run

                progress("database", 0, 1)
                store_run(run, registry, spool, recorded_usages_since(status, now))
        finally:  # an unexpected error costs no health changes
            with _collect_errors(run):
                registry.save(settings.registry_path)


@contextlib.contextmanager
def _prepared_meanwhile(run: Run) -> Iterator[None]:
    """Import what the store stage needs in a thread, while the block waits for CoinGecko."""

    def prepare() -> None:
        from pipeline import alerts, store  # noqa: F401

        alerts.prepare_alerts(run)

    thread = threading.Thread(target=prepare)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _fetch(run: Run, registry: CoinRegistry, progress: console.Progress) -> None:
    """Choose the targets and fetch their prices. Backfill mode needs only the targets."""
    progress("registry", 0, 1)
    fetched = run.fetched
    fetched.is_registry_synced = sync_registry(registry, run.client, run.started_at)
    extra_ids = find_active_ids(registry, run.extra_coins, run.warnings)
    fetched.targets = choose_targets(
        registry, names=run.settings.targets, limit=run.settings.limit, extra_ids=extra_ids
    )
    if run.settings.mode != "backfill":
        fetch_prices(run, registry, progress)


# --- the command line ------------------------------------------------------------------------


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line as typed; `load_settings` validates the values."""
    parser = make_parser("ingest.py", "Collect prices from CoinGecko into Postgres, once.", EPILOG)
    parser.add_argument("--mode", help=f"one of {', '.join(MODES)} (default ingest)")
    parser.add_argument("--limit", help="how many of the top coins (default 500)")
    parser.add_argument("--targets", help="only these ids, symbols or names, such as BTC,ethereum")
    parser.add_argument("--config", help="a settings file instead of ingest_config.json")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument("--verbose", action="store_true", help="log retries and pauses too")
    return parser.parse_args(arguments)


def main() -> int:
    """Do one run as the command line says, and return its exit code."""
    arguments = parse_arguments()
    configure_logging(verbose=arguments.verbose)
    settings, alert_settings = _load_settings(arguments)
    if arguments.targets and arguments.limit:
        log.warning("--limit is ignored: --targets names the coins")
    with _watch(settings) as heartbeat:
        report = _run_before_deadline(settings, alert_settings, is_json=arguments.json)
        if heartbeat and report.exit_code:
            heartbeat.send_failure(report.exit_code, report.message)
    return report.exit_code


def _load_settings(arguments: argparse.Namespace) -> tuple[Settings, AlertSettings | None]:
    """Return the settings, and those of alerts if this run sends any.

    A SentinelError becomes the report of a failed run.
    """
    flags = {name: getattr(arguments, name) for name in FLAG_KEYS}
    try:
        settings = load_settings(flags, config=arguments.config)
        if not settings.has_alert_targets or settings.mode != "ingest":
            return settings, None
        from sentinel.alerting.settings import load_alert_settings  # most deployments have none

        return settings, load_alert_settings(config=arguments.config)
    except SentinelError as error:
        if arguments.json:
            print(json.dumps(asdict(_report_without_run(error))))
        if arguments.mode != "dry-run":
            from sentinel.heartbeat import report_wrong_settings

            with report_wrong_settings("HEARTBEAT_URL"):
                raise
        raise


def _watch(settings: Settings) -> AbstractContextManager[Heartbeat | None]:
    """Report the block as a run to the dead man's switch, if one is set. A dry run is none."""
    if not settings.heartbeat_url or settings.mode == "dry-run":
        return contextlib.nullcontext()
    from sentinel.heartbeat import watch  # most deployments have none

    return watch(settings.heartbeat_url)


def _run_before_deadline(
    settings: Settings, alert_settings: AlertSettings | None, *, is_json: bool
) -> RunReport:
    """Do one run, print its report and return it."""
    dry_rows: list[MarketRow] = []
    if hasattr(signal, "alarm"):
        signal.alarm(RUN_DEADLINE_SECONDS)
    with console.show_progress() as progress:
        report = run_pipeline(
            settings,
            extra_coins=alert_settings.options.named_coins if alert_settings else (),
            alert_settings=alert_settings,
            # Other runs were started by a person, who starts no next one.
            is_scheduled=bool(settings.heartbeat_url) or is_on_github_actions(),
            progress=progress,
            show_rows=dry_rows.extend,
        )
    for text in report.warnings:
        log.warning("%s", text)
    if hasattr(signal, "alarm"):
        signal.alarm(0)  # the run is done: a slow heartbeat must not change its exit code
    if report.exit_code:
        console.print_error(report.message)
    if is_json:
        print(json.dumps(asdict(report)))
    else:
        show(report, dry_rows)
    return report


def _report_without_run(error: SentinelError) -> RunReport:
    """Return the report of a run that its settings did not let begin."""
    run = Run(Settings(), SYSTEM_CLOCKS)
    run.run_id = ""
    run.stage_errors.append(error)
    return run.report()


if __name__ == "__main__":
    run_as_script(main)
