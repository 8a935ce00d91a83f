"""A transaction in pipeline mode, when a signal or an error ends it."""

from __future__ import annotations

import psycopg
import pytest

from sentinel.errors import Interrupted
from sentinel.storage.connection import open_connection
from sentinel.storage.transactions import pipelined_transaction
from tests.conftest import FreshDatabase


def test_a_signal_does_not_wait_for_a_lock(fresh: FreshDatabase) -> None:
    with open_connection(fresh.address()) as other, open_connection(fresh.address()) as own:
        other.execute("SELECT pg_advisory_lock(1)")
        own.execute("SET statement_timeout TO 1000")
        with pytest.raises(Interrupted), pipelined_transaction(own):
            own.execute("SELECT pg_advisory_xact_lock(1)")
            raise Interrupted(15)
        assert own.closed


def test_an_error_that_arrives_later_rolls_all_back(fresh: FreshDatabase) -> None:
    with open_connection(fresh.address()) as own:
        own.execute("CREATE TABLE kept (n int UNIQUE)")
        with pytest.raises(psycopg.errors.UniqueViolation), pipelined_transaction(own):
            for n in (1, 2, 2, 3):
                own.execute("INSERT INTO kept VALUES (%s)", [n])
        assert own.execute("SELECT count(*) FROM kept").fetchall() == [(0,)]
