"""The alert stage of a run: trackers, messages and their delivery, in the run's own session.

Everything that one run must know of another one is in the database. A run that dies in between
repeats no alert and loses none: the next one goes on from the trackers and the outbox.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import budget_monitor
from pipeline.run import Run
from pipeline.stage_results import AlertResult
from sentinel.alerting import stage
from sentinel.alerting.announcements import announce, make_delivery_rules, make_formatter
from sentinel.alerting.settings import AlertSettings
from sentinel.daily_summary import queueing as daily_summary
from sentinel.notifications import messages, outbox
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.outbox import TargetMessages
from sentinel.notifications.targets import Target, make_targets
from sentinel.storage.connection import Connection, Session

# Sending keeps Neon's compute awake. After DELIVERY_SECONDS no attempt begins at a target, and an
# attempt ends after ATTEMPT_SECONDS: a target that hangs in every run costs 2 of the 100 compute
# hours a month.
DELIVERY_SECONDS = 10.0
ATTEMPT_SECONDS = 10.0


def prepare_targets(settings: AlertSettings) -> list[Target]:
    """Return the targets. It loads every plugin of Apprise, so it comes before the session.

    Raises ConfigurationError if an address cannot be read.
    """
    targets = make_targets(settings.alert_urls)
    return [dataclasses.replace(each, timeout_seconds=ATTEMPT_SECONDS) for each in targets]


def queue_summary(run: Run, session: Session, settings: AlertSettings) -> None:
    """Queue the daily summary if it is due. Raises StorageUnavailable."""
    formatter, now = make_formatter(settings), run.trusted_clocks.now()
    names = [target.name for target in run.alert_targets]

    def queue(connection: Connection) -> bool:
        return daily_summary.queue_if_due(
            connection,
            run.settings,
            settings.options,
            formatter,
            names,
            now,
            lambda: budget_monitor.check_budget_status(run.settings, now).quota_usages,
        )

    session.use(queue)


def send_alerts(run: Run, session: Session, settings: AlertSettings) -> AlertResult:
    """Update the trackers with the stored prices, queue the messages and send what is due.

    The run's warnings are a message once a day (UTC). A target that has never been used gets a test
    message, which shows the user that it works.

    Raises StorageUnavailable.
    """
    options, clocks = settings.options, run.trusted_clocks
    notifier = Notifier(run.alert_targets, clocks, make_delivery_rules(settings))
    names, formatter, now = notifier.names, notifier.rules.formatter, clocks.now()

    def process(connection: Connection) -> int:
        return stage.process_new_prices(connection, options, formatter, names, now)

    def queue(connection: Connection) -> list[TargetMessages]:
        found = outbox.read_targets(connection, names, now)
        if new := [each.target for each in found if each.is_new]:
            message = messages.compose_test_message(formatter, now)
            outbox.queue_message(connection, message._replace(key="first"), new, now)
        if run.warnings:
            message = messages.compose_run_warnings(formatter, now, run.warnings)
            announce(connection, [message], options, names, now)
        return found

    def deliver(connection: Connection) -> list[TargetMessages]:
        notifier.deliver(connection, seconds=DELIVERY_SECONDS)
        return outbox.read_targets(connection, names, now)

    raised, found = session.use(process), session.use(queue)
    if run.warnings or any(each.is_new or each.not_held for each in found):
        found = session.use(deliver)
    return _summarize(raised, found, notifier)


def _summarize(raised: int, found: Sequence[TargetMessages], notifier: Notifier) -> AlertResult:
    problems = [
        f"{notifier.labels[each.target]} accepts no messages, {each.waiting} wait for the next "
        f"run: {each.error}"
        for each in found
        if each.waiting and each.error
    ]
    return AlertResult(
        raised, sum(each.sent for each in found), sum(each.waiting for each in found), problems
    )
