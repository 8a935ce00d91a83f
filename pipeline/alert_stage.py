"""The alert stage of a run: trackers, messages and their delivery, in the run's own session.

Everything that one run must know of another one is in the database. A run that dies in between
repeats no alert and loses none: the next one goes on from the trackers and the outbox.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pipeline.stage_results import AlertResult
from sentinel.alerting import stage
from sentinel.alerting.announcements import announce, make_delivery_rules
from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.settings import AlertSettings
from sentinel.clocks import Clocks
from sentinel.notifications import messages, outbox
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.outbox import TargetMessages
from sentinel.notifications.targets import Target, make_targets
from sentinel.storage.connection import Connection, Session

# Sending keeps Neon's compute awake. After DELIVERY_SECONDS no attempt begins, and an attempt ends
# after ATTEMPT_SECONDS: a target that hangs in every run costs 2 of the 100 compute hours a month.
DELIVERY_SECONDS = 10.0
ATTEMPT_SECONDS = 10.0


def prepare_targets(settings: AlertSettings) -> list[Target]:
    """Return the targets. It loads every plugin of Apprise, so it comes before the session.

    Raises ConfigurationError if an address cannot be read.
    """
    targets = make_targets(settings.alert_urls)
    return [dataclasses.replace(each, timeout_seconds=ATTEMPT_SECONDS) for each in targets]


def send_alerts(
    session: Session,
    options: MonitorOptions,
    targets: Sequence[Target],
    clocks: Clocks,
    warnings: Sequence[str],
) -> AlertResult:
    """Update the trackers with the stored prices, queue the messages and send what is due.

    `warnings` of the run are a message once a day (UTC). A target that has never been used gets a
    test message, which shows the user that it works.

    Raises StorageUnavailable.
    """
    notifier = Notifier(targets, clocks, make_delivery_rules(options, dashboard_url=None))
    began, formatter = clocks.now(), notifier.rules.formatter

    def queue(connection: Connection) -> tuple[int, list[TargetMessages]]:
        # Neon bills the time of round trips; in a pipeline only results that are read cost one.
        with connection.pipeline():
            raised = stage.process_new_prices(connection, options, formatter, notifier.names, began)
            found = outbox.read_targets(connection, notifier.names, began)
            if new := [each.target for each in found if each.is_new]:
                message = messages.compose_test_message(formatter, began)
                outbox.queue_message(connection, message._replace(key="first"), new, began)
            if warnings:
                message = messages.compose_run_warnings(formatter, began, warnings)
                announce(connection, [message], options, notifier.names, began)
            return raised, found

    def deliver(connection: Connection) -> list[TargetMessages]:
        notifier.deliver(connection, seconds=DELIVERY_SECONDS)
        return outbox.read_targets(connection, notifier.names, began)

    raised, found = session.use(queue)
    if warnings or any(each.is_new or each.waiting for each in found):
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
