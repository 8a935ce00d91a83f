"""The loop: a run of the pipeline every interval, then alerts, forecasts, messages, heartbeat."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from psycopg.types.json import Jsonb

import budget_monitor
from api_library import choose_plan
from coin_registry import CoinRegistry
from ingest import RunReport, run_pipeline
from safe_zone import Settings
from sentinel.archive import export
from sentinel.budget import usage_log
from sentinel.clocks import Clocks
from sentinel.errors import BudgetExhausted, Interrupted, SentinelError
from sentinel.notifications import outbox
from sentinel.notifications.messages import MessageFormatter
from sentinel.notifications.senders import Notifier
from sentinel.paper_trading import wallets
from sentinel.storage import schema
from sentinel.storage.connection import Connection, Session, resolve_database
from services.ingestion import alerting, forecasting, polling_interval
from services.settings import MonitorSettings

log = logging.getLogger("sentinel.loop")
T = TypeVar("T")

MOST_FAILURES = 5  # ticks in a row, after which a supervisor had better start afresh
OUTAGE = timedelta(minutes=15)  # a longer silence is repaired for the watched coins at once, …
OUTAGE_INTERVALS = 3  # … if it is longer than so many intervals too
LOOK_FOR_GAPS_SECONDS = 1800.0  # at a point a minute a look takes ten seconds
LONGEST_INTERVAL = timedelta(hours=1)  # where the month's credits are spent: a look at the ledger
DELIVERY_SECONDS = 20.0  # of a tick; what is left over goes out in the pause behind it
INSTANT = 0.001  # seconds; less is no pause
LONGEST_NAP_SECONDS = 5.0  # between looks at the outbox and the wish to stop

NEWEST_RUN = "SELECT max(started_at) FROM pipeline_runs WHERE started_at <= %(now)s"

BEAT = """
INSERT INTO heartbeats (service, beat_at, state) VALUES ('ingestion', %(now)s, %(state)s)
ON CONFLICT (service) DO UPDATE SET beat_at = excluded.beat_at, state = excluded.state
"""


class TickFailed(SentinelError):
    """The pipeline's run in a tick had trouble; carries its message and exit code."""

    def __init__(self, report: RunReport) -> None:
        self.exit_code = report.exit_code
        super().__init__(report.message)


@dataclass(slots=True)
class Loop:
    """The monitor at work. `asked` is the interval somebody wishes, `should_stop` whether to end
    after the tick in hand, `guard` what ends a tick that hangs, `nap` sleeps between ticks."""

    monitor: MonitorSettings
    notifier: Notifier
    formatter: MessageFormatter
    clocks: Clocks
    asked: timedelta | None = None
    should_stop: Callable[[], bool] = lambda: False
    guard: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
    nap: Callable[[float], None] | None = None
    failures: int = 0
    looked_at: float | None = None
    watched: tuple[str, ...] = ()
    troubles: list[SentinelError] = field(default_factory=list)

    def run(self) -> None:
        """Tick until somebody asks to stop.

        Raises the last trouble after MOST_FAILURES ticks in a row that failed.
        """
        while not self.should_stop():
            began = self.clocks.monotonic()
            with self.guard():
                self.tick()
            if self.failures >= MOST_FAILURES:
                log.error("%d ticks in a row failed: leaving, to be started afresh", self.failures)
                raise self.troubles[-1]
            self._pause_until(began + self.interval().total_seconds())

    def tick(self) -> RunReport:
        """One run and what follows from it; a trouble of one stage does not cost the others."""
        self.troubles = []
        silent_since = self._look_back()
        settings = self._settings()
        report = run_pipeline(
            settings,
            clocks=self.clocks,
            extra_coins=tuple(dict.fromkeys([*self.monitor.options.watchlist, *self.watched])),
            detect_gaps=self._is_time_for_gaps(),
        )
        self._note_report(report)
        if silent_since and not self.troubles and self._was_outage(silent_since):
            self._repair(settings)
        with self._noting():
            self._follow_up(settings, report)
        self.failures = self.failures + 1 if self.troubles else 0
        return report

    def interval(self) -> timedelta:
        """What the credits allow; longer where somebody asks for it."""
        settings, now = self.monitor.settings, self.clocks.now()
        usages = usage_log.read(budget_monitor.log_path(settings)).usages
        status = budget_monitor.check_budget_status(settings, now, usages=usages)
        spent = next(m for m in status.quota_usages if m.name == "coingecko_credits")
        extra = len(self.watched) + len(self.monitor.options.watchlist)
        coins = max(len(settings.targets) + extra if settings.targets else settings.limit, extra)
        plan = choose_plan(settings.api_key, is_pro=settings.is_pro)
        shortest = polling_interval.affordable_interval(
            plan, spent.quota, spent.spent or 0.0, coins, now
        )
        shortest = min(shortest, LONGEST_INTERVAL)
        return max(shortest, self.asked) if self.asked else shortest

    # --- a tick's stages ---------------------------------------------------------------------

    def _settings(self) -> Settings:
        """The pipeline's settings for one tick, at the cadence of the loop."""
        minutes = max(1, round(self.interval() / timedelta(minutes=1)))
        return dataclasses.replace(self.monitor.settings, mode="ingest", cadence_minutes=minutes)

    def _is_time_for_gaps(self) -> bool:
        now = self.clocks.monotonic()
        if self.looked_at is not None and now - self.looked_at < LOOK_FOR_GAPS_SECONDS:
            return False
        self.looked_at = now
        return True

    def _look_back(self) -> datetime | None:
        """Learn which coins are watched, so that the run asks for them; returns when the run before
        was, None where nobody knows."""

        def look(connection: Connection) -> datetime | None:
            schema.migrate_if_needed(connection)
            self.watched = alerting.watched_coins(connection, self.monitor.options)
            row = connection.execute(NEWEST_RUN, {"now": self.clocks.now()}).fetchone()
            return row[0] if row else None

        try:
            return self._use(look)
        except SentinelError as trouble:
            self._note(trouble)
            return None

    def _note_report(self, report: RunReport) -> None:
        log.info("%s", report.message)
        if report.exit_code > 128:
            raise Interrupted(report.exit_code - 128)
        if report.exit_code not in (0, BudgetExhausted.exit_code):
            self._note(TickFailed(report))

    def _was_outage(self, silent_since: datetime) -> bool:
        usual = OUTAGE_INTERVALS * self.interval()
        return self.clocks.now() - silent_since > max(OUTAGE, usual)

    def _repair(self, settings: Settings) -> None:
        """Fill for the watched coins what an outage left, while its detail is to be had."""
        try:
            listed = CoinRegistry.load(settings.registry_path).coins
        except ValueError:
            return  # the next run mends it
        targets = tuple(coin_id for coin_id in self.watched if coin_id in listed)
        if not targets:
            return
        wanted = dataclasses.replace(settings, mode="backfill", targets=targets)
        report = run_pipeline(wanted, clocks=self.clocks)
        level = logging.WARNING if report.exit_code else logging.INFO
        log.log(level, "after an outage: %s", report.message)

    def _follow_up(self, settings: Settings, report: RunReport) -> None:
        now = self.clocks.now()
        cadence = timedelta(minutes=settings.cadence_minutes)
        options, formatter, names = self.monitor.options, self.formatter, self.notifier.names
        with self._session() as session:
            with self._noting():
                session.use(lambda c: alerting.watch(c, options, formatter, names, now))
            with self._noting():
                session.use(lambda c: forecasting.predict(c, cadence, now))
            with self._noting():
                session.use(lambda c: self._trade(c, now))
            with self._noting():
                session.use(lambda c: self.notifier.deliver(c, seconds=DELIVERY_SECONDS))
            session.use(lambda c: self._beat(c, settings, report))

    def _trade(self, connection: Connection, now: datetime) -> None:
        """One step of every wallet of paper money. A person's own strategy that fails is no trouble
        of the loop's."""
        chosen = wallets.wallets(connection)
        archive = export.archive_of(self.monitor.settings) if chosen else None
        added, troubles = wallets.step_all(connection, archive, chosen, now)
        for name, events in added.items():
            for event in events:
                log.info("wallet '%s': %s %s", name, event.kind, event.coin_id)
        for trouble in troubles:
            log.warning("%s", trouble)

    def _beat(self, connection: Connection, settings: Settings, report: RunReport) -> None:
        stopped = [report.message] if report.exit_code == BudgetExhausted.exit_code else []
        state = {
            "status": report.status,
            "run_id": report.run_id,
            "message": report.message,
            "troubles": [str(trouble) for trouble in self.troubles] or stopped,
            "interval_seconds": self.interval().total_seconds(),
            "failures_in_a_row": self.failures + 1 if self.troubles else 0,
            "messages_waiting": outbox.count_waiting(connection),
            "cadence_minutes": settings.cadence_minutes,
        }
        connection.execute(BEAT, {"now": self.clocks.now(), "state": Jsonb(state)})

    # --- between ticks -----------------------------------------------------------------------

    def _pause_until(self, moment: float) -> None:
        """Sleep until the steady clock says so, delivering what falls due meanwhile."""
        due: float | None = 0.0
        while not self.should_stop() and (left := moment - self.clocks.monotonic()) > INSTANT:
            if due is not None and due <= 0:
                due = self._deliver_meanwhile(min(left, DELIVERY_SECONDS))
                continue
            nap = min(left, LONGEST_NAP_SECONDS, due if due is not None else left)
            (self.nap or self.clocks.sleep)(nap)
            due = None if due is None else due - nap

    def _deliver_meanwhile(self, seconds: float) -> float | None:
        """Seconds until there is something to deliver again; None: nothing before the next tick."""
        try:
            pause = self._use(lambda c: self.notifier.deliver(c, seconds=seconds))
        except Interrupted:
            raise
        except SentinelError as trouble:
            log.warning("messages wait: %s", trouble)
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
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except SentinelError as trouble:
            self._note(trouble)

    def _note(self, trouble: SentinelError) -> None:
        if isinstance(trouble, Interrupted):  # asked to end at once, or a tick that hung
            raise trouble
        log.warning("%s", trouble)
        self.troubles.append(trouble)
