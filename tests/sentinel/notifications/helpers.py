"""Shared by the tests of messages: a notifier, and the delivery of all that waits."""

from __future__ import annotations

from sentinel.notifications.delivery import Notifier
from sentinel.notifications.delivery_rules import DeliveryRules
from sentinel.notifications.targets import make_targets
from sentinel.storage.connection import Connection
from tests.conftest import FakeTime

TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
CHAT = f"tgram://{TOKEN}/-100123/"


def make_notifier(time_: FakeTime, *urls: str, rules: DeliveryRules | None = None) -> Notifier:
    """Return a notifier for targets with these addresses."""
    return Notifier(make_targets(urls), time_.clocks, rules or DeliveryRules())


def deliver_all(connection: Connection, notifier: Notifier, time_: FakeTime) -> None:
    """Deliver until no message waits; the time moves on during the pauses."""
    for _ in range(20_000):
        pause = notifier.deliver(connection, seconds=60)
        if pause is None:
            return
        time_.sleep(max(pause, 0.1))
    raise AssertionError("some messages were not delivered")


def read_rows(connection: Connection, statement: str) -> list[tuple[object, ...]]:
    """Return the rows of a statement."""
    return connection.execute(statement.encode()).fetchall()
