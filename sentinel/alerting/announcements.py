"""Queue messages as the user's settings ask for: each kind loud, silent or off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sentinel.alerting.options import MonitorOptions
from sentinel.alerting.settings import AlertSettings
from sentinel.notifications import outbox
from sentinel.notifications.delivery_rules import DeliveryRules
from sentinel.notifications.messages import Message, MessageFormatter
from sentinel.storage.connection import Connection


def make_formatter(settings: AlertSettings) -> MessageFormatter:
    """Return the formatter of the messages that the settings describe."""
    options = settings.options
    return MessageFormatter(options.language, ZoneInfo(options.time_zone), settings.dashboard_url)


def make_delivery_rules(settings: AlertSettings) -> DeliveryRules:
    """Return what the settings say about delivery."""
    options = settings.options
    return DeliveryRules(make_formatter(settings), options.loudness, options.quiet_hours)


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
