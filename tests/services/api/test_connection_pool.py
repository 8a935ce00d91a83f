"""The API's database access: the reader role, reconnecting, preparing the schema."""

from __future__ import annotations

import itertools

import psycopg
import pytest

from sentinel.errors import StorageUnavailable
from sentinel.storage.connection import parse_address
from services.api import connection_pool
from services.api.connection_pool import ConnectionPool
from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import (
    ApiSession,
    StartApi,
    add_transaction,
    problem_detail,
)
from tests.support.monitor import load


@pytest.mark.usefixtures("week")
def test_reads_use_a_role_that_can_only_read(fresh: FreshDatabase) -> None:
    pool = ConnectionPool(fresh.address())
    pool.open()
    try:
        who = "SELECT current_user, current_setting('transaction_read_only')"
        assert pool.read(lambda c: c.execute(who).fetchall()) == [
            (connection_pool.READER_ROLE, "on")
        ]
        with psycopg.connect(fresh.url) as connection:
            connection.execute(f"SET ROLE {connection_pool.READER_ROLE}")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(b"DELETE FROM sentinel.coins")
        with pytest.raises(StorageUnavailable, match=r"permission denied|read-only transaction"):
            pool.read(lambda c: c.execute(b"DELETE FROM sentinel.coins"))
    finally:
        pool.close()
    assert fresh.query("SELECT count(*) FROM sentinel.coins") == [(2,)]


@pytest.mark.usefixtures("week")
def test_a_write_can_be_the_first_request(start_api: StartApi, fresh: FreshDatabase) -> None:
    from sentinel.storage import schema

    with psycopg.connect(fresh.url, autocommit=True) as connection:
        schema.drop_schema(connection)
    assert add_transaction(start_api(), quantity="1", price="1").status_code == 201


def test_a_login_without_the_reader_role_can_still_read(
    fresh: FreshDatabase, start_api: StartApi, api: ApiSession
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    assert api.get_json("/coins")["items"]  # the role is there by now, and not this login's
    name = f"plain_{fresh.url.partition('dbname=')[2][:13]}"
    fresh.query(f"CREATE ROLE {name} LOGIN")
    try:
        fresh.query(f"GRANT ALL ON ALL TABLES IN SCHEMA sentinel TO {name}")
        fresh.query(f"GRANT ALL ON SCHEMA sentinel TO {name}")
        plain = parse_address(psycopg.conninfo.make_conninfo(fresh.url, user=name))
        assert start_api(address=plain).get_json("/coins")["items"]
        fresh.query(f"GRANT {connection_pool.READER_ROLE} TO {name}")
        pool = ConnectionPool(plain)
        pool.open()
        who = pool.read(lambda c: c.execute("SELECT current_user").fetchall())
        pool.close()
        assert who == [(connection_pool.READER_ROLE,)]
    finally:
        fresh.query(f"DROP OWNED BY {name}")
        fresh.query(f"DROP ROLE {name}")


def test_an_unreachable_database_is_a_problem_until_it_is_back(
    start_api: StartApi, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "TIMEOUT_SECONDS", 0.3)
    gone = start_api(address=parse_address("host=127.0.0.1 port=9 user=x dbname=y"))
    assert "cannot be used" in problem_detail(gone.get("/coins"), 503)
    health = gone.get("/health")
    assert health.status_code == 503
    assert not health.json()["checks"]["database"]["is_ok"]
    api = start_api()
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    assert api.get_json("/coins")["items"]
    fresh.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
    for n in itertools.count():
        response = api.get("/coins", params={"offset": n % 2})
        if response.status_code == 200:
            break
        problem_detail(response, 503)
        assert n < 50
    assert api.get_json("/coins")["items"]


def test_an_emptied_database_is_prepared_again(api: ApiSession, fresh: FreshDatabase) -> None:
    from sentinel.storage import schema

    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    assert api.get_json("/coins")["items"]
    with psycopg.connect(fresh.url, autocommit=True) as connection:
        schema.drop_schema(connection)
    assert api.get_json("/coins", limit=7)["items"] == []
