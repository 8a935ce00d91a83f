"""Muted coins: each mute ends by itself or is ended."""

from __future__ import annotations

from datetime import timedelta

from sentinel.alerting.mutes import mute, read_muted, unmute
from sentinel.storage.connection import open_connection
from tests.conftest import NOW, FreshDatabase


def test_a_mute_holds_until_its_time_and_a_second_one_replaces_it(fresh: FreshDatabase) -> None:
    hour, day = NOW + timedelta(hours=1), NOW + timedelta(days=1)
    with open_connection(fresh.address()) as connection:
        mute(connection, "bitcoin", day, NOW)
        mute(connection, "tether", hour, NOW)
        assert read_muted(connection, NOW) == {"bitcoin": day, "tether": hour}
        assert read_muted(connection, hour) == {"bitcoin": day}
        mute(connection, "bitcoin", hour, NOW)
        assert read_muted(connection, hour) == {}


def test_a_mute_can_be_ended(fresh: FreshDatabase) -> None:
    with open_connection(fresh.address()) as connection:
        mute(connection, "bitcoin", NOW + timedelta(hours=1), NOW)
        assert unmute(connection, "bitcoin")
        assert not unmute(connection, "bitcoin")
        assert read_muted(connection, NOW) == {}
