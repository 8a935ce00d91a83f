"""Queue messages as the user's settings ask for: each kind loud, silent or off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sentinel.alerting.options import MonitorOptions
from sentinel.notifications import outbox
from sentinel.notifications.delivery_rules import DeliveryRules
from sentinel.notifications.messages import Message, MessageFormatter
from sentinel.storage.connection import Connection


def make_formatter(options: MonitorOptions, dashboard_url: str | None) -> MessageFormatter:
    """Return the formatter of the messages that the settings describe."""
    return MessageFormatter(options.language, ZoneInfo(options.time_zone), dashboard_url)


def make_delivery_rules(options: MonitorOptions, dashboard_url: str | None) -> DeliveryRules:
    """Return what the settings say about delivery."""
    formatter = make_formatter(options, dashboard_url)
    return DeliveryRules(formatter, options.loudness, options.quiet_hours)


def announce(
    connection: Connection,
    messages: Iterable[Message],
    options: MonitorOptions,
    targets: Sequence[str],
    now: datetime,
) -> None:
    """Queue the messages for every target, in the caller's transaction, but no kind that is off."""
    for message in messages:
        if not options.is_off(message.kind):
            outbox.queue_message(connection, message, targets, now)
