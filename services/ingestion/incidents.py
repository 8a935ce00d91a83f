"""Incidents: what is wrong with the monitor itself. One message reports the begin, one the end."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import budget_monitor
from safe_zone import Settings
from sentinel.alerting.announcements import announce
from sentinel.alerting.options import MonitorOptions
from sentinel.budget import usage_log
from sentinel.errors import EXIT_UNHEALTHY, SentinelError
from sentinel.health import checks, deployment, failure_rates
from sentinel.health.facts import TargetDelivery
from sentinel.health.failure_rates import RaisedFailure
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.messages import Message, MessageFormatter, compose_incident
from sentinel.site import other_half
from sentinel.storage import service_status
from sentinel.storage.connection import Connection
from sentinel.storage.incidents import Incident
from sentinel.storage.queries.failing_coins import DayFailures, find_failing_coins
from sentinel.storage.retention import NEWEST_OBSERVATION
from sentinel.storage.service_status import MAX_SCHEDULE_PAUSE, ServiceStatus
from services.ingestion.announced_incidents import AnnouncedIncidents
from services.ingestion.publication import Visit
from services.ingestion.recorded_incidents import describe_incident, record_incidents

log = logging.getLogger("sentinel.loop")

MAX_SILENCE = timedelta(minutes=30)  # without a new price
MAX_UNPUBLISHED = timedelta(hours=24)  # an outage of the place is over within hours

# A target may stop failing because its messages were abandoned: then it does not work again.
HAS_ACCEPTED = """
SELECT EXISTS (SELECT FROM sentinel.outbox WHERE target = %(target)s AND delivered_at > %(since)s)
"""


class NoWorkingTarget(SentinelError):
    """No alert target accepts messages."""

    exit_code = EXIT_UNHEALTHY


class Tick(NamedTuple):
    """What the loop knows at the end of a tick."""

    # The pause between two ticks.
    interval: timedelta
    # Why the tick brought no prices; empty: nothing failed.
    problem: str
    now: datetime
    # The last visit to SENTINEL_PUBLISH_URL; None: none has ended.
    visit: Visit | None = None


class Change(NamedTuple):
    """The begin or the end of an incident."""

    incident: str
    message: Message
    began_at: datetime
    # None: it goes on.
    ended_at: datetime | None
    # The fingerprints of the targets that get the message.
    targets: Sequence[str]


@dataclass(slots=True)
class Incidents:
    """Finds the begin and the end of incidents, and sends a message about each."""

    settings: Settings
    notifier: Notifier
    formatter: MessageFormatter
    options: MonitorOptions
    announced: AnnouncedIncidents = field(init=False)
    # The newest observation before the current tick; None: unknown.
    _newest_before: datetime | None = None
    # Whether this tick's check is done.
    _is_done: bool = False
    # Why each target that accepts no messages does not, by its fingerprint.
    _failing: dict[str, str] = field(default_factory=dict)
    # What has ended and is not recorded yet.
    _ended: list[Incident] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.announced = AnnouncedIncidents(self.settings.state_dir / "incidents.json")

    def begin_tick(self) -> None:
        """Forget what the tick before knew."""
        self._newest_before, self._is_done = None, False

    def read_newest_price(self, connection: Connection) -> None:
        """Read the newest observation before a tick."""
        self._newest_before = _find_newest_observation(connection)

    def check(self, connection: Connection, tick: Tick) -> None:
        """Find what has begun or ended, queue the messages about it, and record it."""
        newest = _find_newest_observation(connection)
        schedule = service_status.read(connection, "schedule")
        self._queue(connection, self._check_prices(newest, tick), tick.now)
        self._queue(connection, self._check_disk(tick.now), tick.now)
        self._queue(connection, self._check_schedule(schedule, tick.visit, tick.now), tick.now)
        self._queue(connection, self._check_publication(tick.visit, tick.now), tick.now)
        days = find_failing_coins(connection, tick.now).fetchall()
        self._queue(connection, self._check_failures(days, tick.now), tick.now)
        self.check_targets(connection, tick.now)
        record_incidents(connection, self.announced.begins, self._ended, tick.now)
        self._ended.clear()
        self._is_done = True

    def check_targets(self, connection: Connection, now: datetime) -> bool:
        """Report targets that fail to the other targets, and targets that work again to all.

        Return whether a message was queued.
        """
        deliveries = deployment.read_deliveries(connection, self.notifier.labels, now)
        failing = [each for each in deliveries if checks.is_failing(each, now)]
        self._failing = {each.target: each.error or "no attempt yet" for each in failing}
        changes = [*self._find_failing(failing, now), *self._find_working(connection, now)]
        self._queue(connection, changes, now)
        return bool(changes)

    def check_without_database(self, tick: Tick) -> None:
        """Find what has begun, as far as that is known without the database; send it directly.

        Nothing happens if `check` found it before.
        """
        if self._is_done:
            return
        usages = usage_log.read(budget_monitor.log_path(self.settings)).usages
        stored = [u.started_at for u in usages if u.is_stored and u.started_at <= tick.now]
        changes = [
            *self._check_prices(max(stored, default=None), tick),
            *self._check_disk(tick.now),
        ]
        for change in changes:
            # No message can wait for the end of quiet hours here: the incident is found again then.
            if not change.ended_at and not self.notifier.rules.is_held(
                change.message.kind, tick.now
            ):
                for failure in self.notifier.send_directly(change.message):
                    log.warning("%s", failure)
                self.announced.note(change.incident, change.began_at)

    @property
    def problems(self) -> list[SentinelError]:
        """What no target can report, because none of them works."""
        if not self._failing.keys() >= set(self.notifier.names):
            return []
        reasons = (
            f"{label} ({self._failing[name]})" for name, label in self.notifier.labels.items()
        )
        return [NoWorkingTarget(f"No alert target accepts messages: {', '.join(reasons)}.")]

    # --- the incidents -----------------------------------------------------------------------

    def _check_prices(self, newest: datetime | None, tick: Tick) -> Iterator[Change]:
        """`newest` is the newest observation, or as much of it as is known."""
        if newest is None:
            return
        limit = max(MAX_SILENCE, service_status.late_after(tick.interval))
        since = self.announced.since("prices")
        if tick.now - newest >= limit:
            if since is None:
                problem = tick.problem or self.formatter.translate("no_newer_price")
                values = {"minutes": _minutes(tick.now - newest), "problem": problem}
                yield self._begin("prices", "no_prices", newest, tick.now, values)
        elif since or newest - (self._newest_before or newest) >= limit:
            begin = since or self._newest_before or newest
            minutes = _minutes(newest - begin)
            yield self._end("prices", "prices_again", begin, newest, {"minutes": minutes})

    def _check_disk(self, now: datetime) -> Iterator[Change]:
        disk = deployment.read_disk_space(self.settings.state_dir)
        if disk is None:
            return
        state, since = checks.check_disk(disk).state, self.announced.since("disk")
        values = {
            "free": self.formatter.format_quantity(round(Decimal(disk.free_bytes) / 10**9, 1)),
            "share": self.formatter.format_percent(disk.free_bytes / max(1, disk.total_bytes)),
        }
        if state == "unhealthy" and since is None:
            yield self._begin("disk", "disk_full", now, now, values)
        elif state == "ok" and since:
            yield self._end("disk", "disk_free", since, now, values)

    def _check_schedule(
        self, recorded: ServiceStatus | None, visit: Visit | None, now: datetime
    ) -> Iterator[Change]:
        """The scheduled job records its runs, if it uses this database, or publishes a document."""
        document = visit and visit.schedule
        known = [recorded.recorded_at] if recorded else []
        known += [document.generated_at] if document else []
        if not known:
            return
        last, since = max(known), self.announced.since("schedule")
        is_silent = recorded and service_status.is_silent(recorded, MAX_SCHEDULE_PAUSE, now)
        if document and last == document.generated_at:
            is_silent = other_half.is_silent(document, now)
        if is_silent:
            if since is None:
                hours = {"hours": (now - last) // timedelta(hours=1)}
                yield self._begin("schedule", "schedule_silent", last, now, hours)
        elif since and last > since:
            hours = {"hours": (last - since) // timedelta(hours=1)}
            yield self._end("schedule", "schedule_again", since, last, hours)

    def _check_publication(self, visit: Visit | None, now: datetime) -> Iterator[Change]:
        """The visits to SENTINEL_PUBLISH_URL."""
        if visit is None:
            return
        since = self.announced.since("publication")
        if visit.failing_since is None:
            if since:
                yield self._end("publication", "published_again", since, now, {})
        elif since is None and now - visit.failing_since >= MAX_UNPUBLISHED:
            values = {"problem": visit.problem}
            yield self._begin("publication", "not_published", visit.failing_since, now, values)

    def _check_failures(self, days: Sequence[DayFailures], now: datetime) -> Iterator[Change]:
        """Rejected and missing coins. The incident goes on until all are near their usual share."""
        since = self.announced.since("rejections")
        if since is None and (raised := failure_rates.find_raised_failures(days)):
            lines = (self.formatter.translate("failing_coins", **_describe(r)) for r in raised)
            values = {"reasons": "\n".join(lines)}
            yield self._begin("rejections", "rejections", now, now, values)
        elif since and not failure_rates.find_raised_failures(days, failure_rates.ENDED_SPREADS):
            yield self._end("rejections", "rejections_end", since, now, {})

    def _find_failing(self, failing: Sequence[TargetDelivery], now: datetime) -> Iterator[Change]:
        others = [name for name in self.notifier.names if name not in self._failing]
        for each in failing:
            incident = f"target:{each.target}"
            if others and self.announced.since(incident) is None:
                error = each.error or ""
                values = {"label": each.label, "waiting": each.waiting, "error": error}
                change = self._begin(incident, "target_fails", each.waiting_since, now, values)
                yield change._replace(targets=others)

    def _find_working(self, connection: Connection, now: datetime) -> Iterator[Change]:
        for name, label in self.notifier.labels.items():
            since = self.announced.since(f"target:{name}")
            if since and name not in self._failing:
                parameters = {"target": name, "since": since}
                [(has_accepted,)] = connection.execute(HAS_ACCEPTED, parameters).fetchall()
                if has_accepted:
                    values = {"label": label}
                    yield self._end(f"target:{name}", "target_works", since, now, values)

    # --- messages, and what was announced ------------------------------------------------------

    def _begin(
        self, incident: str, kind: str, since: datetime, now: datetime, values: Mapping[str, object]
    ) -> Change:
        message = compose_incident(self.formatter, incident, kind, since, now, values)
        return Change(incident, message, since, None, self.notifier.names)

    def _end(
        self, incident: str, kind: str, since: datetime, end: datetime, values: Mapping[str, object]
    ) -> Change:
        return self._begin(incident, kind, since, end, values)._replace(ended_at=end)

    def _queue(self, connection: Connection, changes: Iterable[Change], now: datetime) -> None:
        for change in changes:
            announce(connection, [change.message], self.options, change.targets, now)
            self.announced.note(change.incident, None if change.ended_at else change.began_at)
            if change.ended_at:
                ended = describe_incident(change.incident, change.began_at, change.ended_at)
                self._ended.append(ended)


def _find_newest_observation(connection: Connection) -> datetime | None:
    """Return the time of the newest observation of any coin."""
    row = connection.execute(NEWEST_OBSERVATION).fetchone()
    return row[0] if row else None


def _describe(failure: RaisedFailure) -> dict[str, object]:
    return {**failure._asdict(), "usual": round(failure.usual)}


def _minutes(pause: timedelta) -> int:
    return pause // timedelta(minutes=1)
