"""The table of incidents: recorded again and again, listed for the page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from sentinel.storage import incidents, service_status
from sentinel.storage.connection import Connection, open_connection
from sentinel.storage.incidents import Incident
from sentinel.storage.retention import DELETE_EXPIRED_ROWS
from tests.conftest import NOW, FreshDatabase

HOUR = timedelta(hours=1)


@pytest.fixture
def connection(fresh: FreshDatabase) -> Iterator[Connection]:
    with open_connection(fresh.address()) as connection:
        yield connection


def _list(connection: Connection) -> list[Incident]:
    return incidents.list_incidents(connection, NOW - timedelta(days=60), 50, NOW)


def test_an_incident_is_stored_once_ends_and_never_ends_that_of_the_other_source(
    connection: Connection,
) -> None:
    disk = Incident("monitor", "disk", NOW - 2 * HOUR, None, "The disk is almost full.")
    api = Incident("schedule", "coingecko_unavailable", NOW, None, "Runs failed.")
    incidents.record(connection, "monitor", [disk, disk], NOW)
    for _ in range(2):
        incidents.record(connection, "schedule", [api], NOW)
    assert _list(connection) == [api, disk]
    ended = api._replace(ended_at=NOW + HOUR, summary="Runs failed for another reason.")
    incidents.record(connection, "schedule", [ended], NOW + HOUR)
    assert _list(connection) == [ended, disk]
    assert incidents.list_incidents(connection, NOW, 1, NOW) == [disk], "the one that goes on"
    assert incidents.list_incidents(connection, NOW + 2 * HOUR, 50, NOW) == [disk]


def test_the_incidents_of_a_monitor_that_was_switched_off_have_ended(
    connection: Connection,
) -> None:
    disk = Incident("monitor", "disk", NOW - HOUR, None, "The disk is almost full.")
    incidents.record(connection, "monitor", [disk], NOW)
    service_status.record(connection, "ingestion", {}, NOW)
    week = service_status.SILENCE_WINDOW
    assert incidents.list_incidents(connection, NOW, 9, NOW + week) == [disk]
    ended = [disk._replace(ended_at=NOW)]
    assert incidents.list_incidents(connection, NOW, 9, NOW + week + HOUR) == ended


def test_an_incident_that_its_source_forgot_has_ended_and_goes_with_the_retention(
    connection: Connection,
) -> None:
    disk = Incident("monitor", "disk", NOW, None, "The disk is almost full.")
    later = disk._replace(began_at=NOW + HOUR)
    incidents.record(connection, "monitor", [disk], NOW)
    incidents.record(connection, "monitor", [later], NOW + 2 * HOUR)
    assert _list(connection) == [later, disk._replace(ended_at=NOW + 2 * HOUR)]
    delete = DELETE_EXPIRED_ROWS["incidents"]
    connection.execute(delete, {"oldest": NOW + 2 * HOUR})
    assert _list(connection) == [disk._replace(ended_at=NOW + 2 * HOUR)]
    connection.execute(delete, {"oldest": NOW + 3 * HOUR})
    assert _list(connection) == []
