"""The API's database access: read-only transactions, reconnecting, preparing the schema."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from datetime import UTC, timedelta

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pipeline.site_figures import read_monitor_figures
from safe_zone import Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.errors import StorageUnavailable
from sentinel.storage.connection import Address, Connection, parse_address
from services.api import connection_pool
from services.api.connection_pool import ConnectionPool
from services.api.queries.coins import list_coins
from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import (
    ApiSession,
    StartApi,
    add_transaction,
    problem_detail,
)
from tests.support.monitor import load


@contextlib.contextmanager
def _open_pool(address: Address) -> Iterator[ConnectionPool]:
    pool = ConnectionPool(address)
    pool.open()
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def pool(week_database: FreshDatabase) -> Iterator[ConnectionPool]:
    with _open_pool(week_database.address()) as opened:
        yield opened


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM sentinel.coins",
        "CREATE TABLE sentinel.of_a_read (id int)",
        "SELECT nextval('sentinel.transactions_transaction_id_seq')",
        "SET TRANSACTION READ WRITE",
    ],
)
@pytest.mark.parametrize("uses_copy", [False, True])
def test_a_read_cannot_write(
    pool: ConnectionPool, week_database: FreshDatabase, statement: str, uses_copy: bool
) -> None:
    with pytest.raises(StorageUnavailable, match=r"read-only transaction|read-write mode"):
        pool.read(lambda c: c.execute(statement.encode()), uses_copy=uses_copy)
    assert pool.read(lambda c: c.execute("SELECT count(*) FROM sentinel.coins").fetchall()) == [
        (2,)
    ]
    assert week_database.query("SELECT to_regclass('sentinel.of_a_read')") == [(None,)]


def test_all_statements_of_a_read_see_one_snapshot(
    pool: ConnectionPool, week_database: FreshDatabase
) -> None:
    def read(connection: Connection) -> list[object]:
        count = "SELECT count(*) FROM sentinel.muted_coins"
        before = connection.execute(count).fetchall()
        week_database.query("INSERT INTO sentinel.muted_coins VALUES (%s, %s, 'btc')", NOW, NOW)
        return [before, connection.execute(count).fetchall()]

    before, after = pool.read(read)
    week_database.query("TRUNCATE sentinel.muted_coins")
    assert before == after


def test_the_status_page_is_read_in_the_read_only_transaction(
    pool: ConnectionPool, settings: Settings
) -> None:
    def read(connection: Connection) -> object:
        read_monitor_figures(
            *(connection, settings, MonitorOptions(), NOW), interval=timedelta(1), with_market=True
        )
        return connection.execute("SHOW transaction_read_only").fetchone()

    assert pool.read(read) == ("on",)


def test_the_settings_of_the_database_do_not_matter(fresh: FreshDatabase) -> None:
    for setting, value in {"DateStyle": "German", "client_encoding": "LATIN1"}.items():
        name = conninfo_to_dict(fresh.url)["dbname"]
        fresh.query(f"ALTER DATABASE {name} SET {setting} TO '{value}'")
    with _open_pool(fresh.address()) as opened:
        [[at, text]] = opened.read(lambda c: c.execute("SELECT now(), '🟥'").fetchall())
    assert (at.tzinfo, text) == (UTC, "🟥")


@pytest.mark.usefixtures("week")
def test_a_write_can_be_the_first_request(start_api: StartApi, fresh: FreshDatabase) -> None:
    from sentinel.storage import schema

    with psycopg.connect(fresh.url, autocommit=True) as connection:
        schema.drop_schema(connection)
    assert add_transaction(start_api(), quantity="1", price="1").status_code == 201


def test_a_login_that_may_only_read_can_read(week_database: FreshDatabase) -> None:
    name = f"reader_{week_database.url.partition('dbname=')[2][:13]}"
    week_database.query(f"CREATE ROLE {name} LOGIN")
    try:
        week_database.query(f"GRANT USAGE ON SCHEMA sentinel TO {name}")
        week_database.query(f"GRANT SELECT ON ALL TABLES IN SCHEMA sentinel TO {name}")
        address = parse_address(psycopg.conninfo.make_conninfo(week_database.url, user=name))
        with _open_pool(address) as pool:
            assert len(pool.read(lambda c: list_coins(c, search=None, limit=9, offset=0))) == 2
    finally:
        week_database.query(f"DROP OWNED BY {name}")
        week_database.query(f"DROP ROLE {name}")


def test_an_unreachable_database_is_a_problem_until_it_is_back(
    start_api: StartApi, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(connection_pool, "TIMEOUT_SECONDS", 0.3)
        gone = start_api(address=parse_address("host=127.0.0.1 port=9 user=x dbname=y"))
        for path in ("/coins", "/status/"):
            assert "cannot be used" in problem_detail(gone.get(path), 503)
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


def test_the_cause_of_a_failed_login_is_in_the_log_and_in_the_owners_health_check(
    start_api: StartApi, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(connection_pool, "TIMEOUT_SECONDS", 0.3)
    unknown = psycopg.conninfo.make_conninfo(fresh.url, user="unknown_user")
    api = start_api(address=parse_address(unknown))
    message = api.get("/health").json()["checks"]["database"]["message"]
    assert 'role "unknown_user" does not exist' in message
    assert "Correct user and database in DATABASE_URL" in message
    assert message.partition("cause. ")[2] in caplog.text
    del api.headers["Authorization"]
    assert "unknown_user" not in api.get("/health").text


def test_an_emptied_database_is_prepared_again(api: ApiSession, fresh: FreshDatabase) -> None:
    from sentinel.storage import schema

    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    assert api.get_json("/coins")["items"]
    with psycopg.connect(fresh.url, autocommit=True) as connection:
        schema.drop_schema(connection)
    assert api.get_json("/coins", limit=7)["items"] == []
