"""The loop: run the pipeline at an interval, then the stages that use the new prices."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from ingest import RunReport, run_pipeline
from pipeline.publish_place import open_place
from safe_zone import Settings
from sentinel.alerting import alert_score, stage, watched_coins
from sentinel.analytics import forecast
from sentinel.clocks import Clocks
from sentinel.errors import BudgetExhausted, Interrupted, SentinelError
from sentinel.heartbeat import Heartbeat
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.messages import MessageFormatter
from sentinel.paper_trading import wallets
from sentinel.paper_trading.strategy_process import STEP_SECONDS, StrategyProcess
from sentinel.paper_trading.wallets import Wallet
from sentinel.storage import schema, service_status
from sentinel.storage.connection import Connection, Session, resolve_database
from services.ingestion import forecasting, stages
from services.ingestion.forecasting import FitSlopes
from services.ingestion.incidents import Incidents, Tick
from services.ingestion.publication import Publication
from services.settings import MonitorSettings

log = logging.getLogger("sentinel.loop")
T = TypeVar("T")

MAX_FAILED_TICKS = 5  # in a row; then the process ends and its supervisor starts a new one
GAP_CHECK_SECONDS = 1800.0  # with a price per minute, one check takes ten seconds
DELIVERY_SECONDS = 20.0  # per tick; later messages are sent in the pause after it
# The share of the interval that the users' strategies may take, so that the next tick is in time.
MAX_WALLET_SHARE = 0.5
MIN_PAUSE_SECONDS = 0.001
MAX_SLEEP_SECONDS = 5.0  # then the loop checks the outbox and whether it should stop

NEWEST_RUN = "SELECT max(started_at) FROM sentinel.pipeline_runs WHERE started_at <= %(now)s"


class TickFailed(SentinelError):
    """The pipeline run of a tick failed; this error has its message and its exit code."""

    def __init__(self, report: RunReport) -> None:
        self.exit_code = report.exit_code
        super().__init__(report.message)


@dataclass(slots=True)
class Loop:
    """The running monitor."""

    monitor: MonitorSettings
    notifier: Notifier
    formatter: MessageFormatter
    clocks: Clocks
    # What the user asked for. The loop takes a longer interval if the credits require it.
    requested_interval: timedelta | None = None
    # Returns whether to end after the current tick.
    should_stop: Callable[[], bool] = lambda: False
    # Ends a tick, or a delivery between ticks, that hangs.
    deadline: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    # Sleeps between ticks (seconds). None: the clocks' sleep.
    sleep: Callable[[float], None] | None = None
    # Fits the lines of the forecasts.
    fit_slopes: FitSlopes = forecast.fit_slopes
    # Reports each tick to a dead man's switch.
    heartbeat: Heartbeat = field(default_factory=lambda: Heartbeat(None))
    # Failed ticks in a row.
    failed_ticks: int = 0
    # Monotonic seconds of the last gap check.
    gaps_checked_at: float | None = None
    # Ids of the watched coins.
    watched: tuple[str, ...] = ()
    # Warnings of runs that are logged already: most runs have the same.
    logged_warnings: set[str] = field(default_factory=set)
    # What went wrong in the current tick.
    errors: list[SentinelError] = field(default_factory=list)
    # What went wrong after the heartbeat of a tick; the next tick reports it.
    late_errors: list[SentinelError] = field(default_factory=list)
    # The paper-trading wallets to step at the end of the current tick.
    open_wallets: Sequence[Wallet] = ()
    # Announces what is wrong with the monitor itself.
    incidents: Incidents = field(init=False)
    # Publishes the monitor's figures.
    publication: Publication = field(init=False)

    def __post_init__(self) -> None:
        self.incidents = Incidents(
            self.monitor.settings, self.notifier, self.formatter, self.monitor.options
        )
        self.publication = Publication(self.monitor, open_place(self.monitor.settings))

    def run(self) -> None:
        """Tick until `should_stop`.

        Raises the last error after MAX_FAILED_TICKS failed ticks in a row.
        """
        while not self.should_stop():
            began = self.clocks.monotonic()
            with self.deadline():
                self.tick()
            if self.failed_ticks >= MAX_FAILED_TICKS:
                log.error(
                    "%d ticks in a row failed: the loop ends, so that its supervisor restarts it",
                    self.failed_ticks,
                )
                raise self.errors[-1]
            self._pause_until(began + self.interval().total_seconds())

    def tick(self) -> RunReport:
        """Run the pipeline and the stages that follow. A failed stage does not stop the others."""
        began, self.errors = self.clocks.monotonic(), []
        self.incidents.begin_tick()
        previous_run_at = self._prepare_tick()
        settings = self._tick_settings()
        report = run_pipeline(
            settings,
            clocks=self.clocks,
            extra_coins=tuple(dict.fromkeys([*self.monitor.options.named_coins, *self.watched])),
            detect_gaps=self._should_check_gaps(),
        )
        self._check_report(report)
        if previous_run_at and not self.errors:
            pause = self.clocks.now() - previous_run_at
            if service_status.is_late(pause, self.interval()):
                stages.backfill_watched_coins(settings, self.watched, self.clocks)
        with self._collect_errors():
            self._run_stages(settings, report)
        self.incidents.check_without_database(self._describe_tick(report))
        self.failed_ticks = self.failed_ticks + 1 if self.errors else 0
        self.heartbeat.send_tick(self.errors or self.incidents.problems, began)
        self._step_wallets()
        return report

    def interval(self) -> timedelta:
        """Return the pause between ticks: what the credits allow, or the longer requested one."""
        extra_coins = len(self.watched) + len(self.monitor.options.named_coins)
        shortest = stages.find_interval(self.monitor.settings, extra_coins, self.clocks.now())
        return max(shortest, self.requested_interval) if self.requested_interval else shortest

    # --- the stages of a tick ----------------------------------------------------------------

    def _tick_settings(self) -> Settings:
        """Return the pipeline's settings for one tick, with the loop's cadence."""
        minutes = max(1, round(self.interval() / timedelta(minutes=1)))
        return dataclasses.replace(self.monitor.settings, mode="ingest", cadence_minutes=minutes)

    def _should_check_gaps(self) -> bool:
        now = self.clocks.monotonic()
        checked_at = self.gaps_checked_at
        if checked_at is not None and now - checked_at < GAP_CHECK_SECONDS:
            return False
        self.gaps_checked_at = now
        return True

    def _prepare_tick(self) -> datetime | None:
        """Read which coins are watched; return when the previous run started, None if unknown."""

        def read(connection: Connection) -> datetime | None:
            schema.migrate_if_needed(connection)
            self.watched = watched_coins.list_watched_ids(connection, self.monitor.options)
            self.incidents.read_newest_price(connection)
            row = connection.execute(NEWEST_RUN, {"now": self.clocks.now()}).fetchone()
            return row[0] if row else None

        try:
            return self._use(read)
        except SentinelError as error:
            self._add_error(error)
            return None

    def _check_report(self, report: RunReport) -> None:
        log.info("%s", report.message)
        for text in dict.fromkeys(report.warnings):
            if text not in self.logged_warnings:
                log.warning("%s", text)
        self.logged_warnings.update(report.warnings)
        if report.exit_code > 128:
            raise Interrupted(report.exit_code - 128)
        # A used-up budget is no failure: the loop waits for the next month.
        if report.exit_code not in (0, BudgetExhausted.exit_code):
            self._add_error(TickFailed(report))

    def _run_stages(self, settings: Settings, report: RunReport) -> None:
        self.errors += self.late_errors
        self.late_errors, self.open_wallets = [], ()
        now = self.clocks.now()
        cadence = timedelta(minutes=settings.cadence_minutes)
        options, formatter, targets = self.monitor.options, self.formatter, self.notifier.names
        works: tuple[Callable[[Connection], object], ...] = (
            lambda c: stage.process_new_prices(c, options, formatter, targets, now),
            lambda c: alert_score.score_if_due(c, options, now),
            lambda c: forecasting.update_forecasts(c, cadence, now, self.fit_slopes),
            lambda c: self.incidents.check(c, self._describe_tick(report)),
            lambda c: stages.queue_summary(c, self.monitor, formatter, targets, now),
            lambda c: self.notifier.deliver(c, seconds=DELIVERY_SECONDS),
            lambda c: self.publication.visit_if_due(c, cadence, now),
        )
        with self._session() as session:
            session.use(lambda _connection: None)  # in an outage, one stage tries and not each
            for work in works:
                with self._collect_errors():
                    session.use(work)
            own_state = {
                "interval_seconds": self.interval().total_seconds(),
                "cadence_minutes": settings.cadence_minutes,
                "failures_in_a_row": self.failed_ticks + 1 if self.errors else 0,
                "targets": self.notifier.labels,
            }
            end = self.clocks.now()
            session.use(lambda c: stages.record_heartbeat(c, report, self.errors, own_state, end))
            self.open_wallets = session.use(wallets.load_open_wallets)

    def _step_wallets(self) -> None:
        """Step the wallets, last in the tick: a user's strategy may take all of its time limit.

        An error ends this tick, and the heartbeat of the next one reports it.
        """
        if not self.open_wallets:
            return
        seconds = min(STEP_SECONDS, self.interval().total_seconds() * MAX_WALLET_SHARE)
        process = StrategyProcess(step_seconds=seconds, should_stop=self.should_stop)
        known = len(self.errors)
        with self._collect_errors(), process:
            self._use(
                lambda c: stages.step_wallets(
                    c, self.open_wallets, self.monitor.settings, self.clocks.now(), process
                )
            )
        self.late_errors = self.errors[known:]

    @contextlib.contextmanager
    def announce_errors(self) -> Iterator[None]:
        """Announce incidents if an error leaves the block: no tick does if no database starts."""
        try:
            yield
        except SentinelError as error:
            if not isinstance(error, Interrupted):
                tick = Tick(self.interval(), str(error), self.clocks.now())
                self.incidents.check_without_database(tick)
            raise

    def _describe_tick(self, report: RunReport) -> Tick:
        errors = [str(error) for error in self.errors]
        problem = "; ".join(errors) or (report.message if report.exit_code else "")
        return Tick(self.interval(), problem, self.clocks.now(), self.publication.last)

    # --- between ticks -----------------------------------------------------------------------

    def _pause_until(self, moment: float) -> None:
        """Sleep until the monotonic clock reaches `moment`; deliver messages that become due."""
        due_in: float | None = 0.0
        sleep = self.sleep or self.clocks.sleep
        while not self.should_stop():
            remaining = moment - self.clocks.monotonic()
            if remaining <= MIN_PAUSE_SECONDS:
                return
            if due_in is not None and due_in <= 0:
                with self.deadline():
                    due_in = self._deliver(min(remaining, DELIVERY_SECONDS))
                continue
            seconds = min(remaining, MAX_SLEEP_SECONDS)
            if due_in is not None:
                seconds = min(seconds, due_in)
                due_in -= seconds
            sleep(seconds)

    def _deliver(self, seconds: float) -> float | None:
        """Deliver messages; return the seconds until the next is due.

        None: nothing waits, or the database is unavailable until the next tick.
        """

        def deliver(connection: Connection) -> float | None:
            pause = self.notifier.deliver(connection, seconds=seconds)
            if self.incidents.check_targets(connection, self.clocks.now()):
                pause = self.notifier.deliver(connection, seconds=seconds)
            return pause

        try:
            pause = self._use(deliver)
        except Interrupted:
            raise
        except SentinelError as error:
            log.warning("the messages wait for the next tick: %s", error)
            return None
        return None if pause is None else max(pause, 0.1)

    # --- the database ------------------------------------------------------------------------

    @contextlib.contextmanager
    def _session(self) -> Iterator[Session]:
        with (
            resolve_database(self.monitor.settings) as address,
            Session(address, clock=self.clocks.monotonic, sleep=self.clocks.sleep) as session,
        ):
            yield session

    def _use(self, work: Callable[[Connection], T]) -> T:
        with self._session() as session:
            return session.use(work)

    @contextlib.contextmanager
    def _collect_errors(self) -> Iterator[None]:
        try:
            yield
        except SentinelError as error:
            self._add_error(error)

    def _add_error(self, error: SentinelError) -> None:
        if isinstance(error, Interrupted):  # a signal, or the deadline of a tick that hangs
            raise error
        log.warning("%s", error)
        self.errors.append(error)
