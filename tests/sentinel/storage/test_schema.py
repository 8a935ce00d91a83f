"""The schema: migrations, the view, and what belongs to other programs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from safe_zone import RETENTION
from sentinel.errors import ConfigurationError, StorageUnavailable
from sentinel.storage import schema
from sentinel.storage.connection import Connection, open_connection, parse_address
from tests.conftest import FreshDatabase
from tests.support.commands import Script

pytestmark = pytest.mark.before_first_run

OUTSIDE_OBJECTS = """
SELECT relname::text FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
"""


@pytest.fixture
def connection(fresh: FreshDatabase) -> Iterator[Connection]:
    with open_connection(fresh.address()) as opened:
        yield opened


def test_the_view_is_the_only_object_outside_the_schema(
    connection: Connection, fresh: FreshDatabase
) -> None:
    schema.apply_migrations(connection)
    assert fresh.query(OUTSIDE_OBJECTS) == [("market_data",)]
    schema.drop_schema(connection)
    assert fresh.query(OUTSIDE_OBJECTS) == []
    assert fresh.query("SELECT to_regnamespace('sentinel')") == [(None,)]


def test_migrations_are_numbered_without_gaps_or_duplicates() -> None:
    names = [path.name for path in schema.MARKET_DATA_VIEW.parent.glob("[0-9]*.sql")]
    assert sorted(schema.migrations()) == list(range(1, len(names) + 1))


def _apply_older_than(
    version: int, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = {n: text for n, text in schema.migrations().items() if n < version}
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: older)
        schema.apply_migrations(connection)


def test_a_database_of_an_older_version_gets_the_missing_migrations(
    connection: Connection, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_older_than(schema.latest_version(), connection, monkeypatch)
    fresh.query("INSERT INTO sentinel.coins (coin_id, symbol, name) VALUES ('a', 'a', 'A')")
    assert not schema.is_up_to_date(connection)
    schema.migrate_if_needed(connection)
    assert schema.is_up_to_date(connection)
    assert fresh.query("SELECT count(*) FROM sentinel.wallets") == [(0,)]
    assert fresh.query("SELECT coin_id FROM sentinel.coins") == [("a",)]


def test_transactions_of_an_earlier_version_are_purchases_and_sales(
    connection: Connection, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_older_than(22, connection, monkeypatch)
    for quantity in (2, -1):
        fresh.query(
            "INSERT INTO sentinel.transactions (made_at, coin_id, quantity, price_usd, fee_usd,"
            " note, identity) VALUES (now(), 'bitcoin', %s, 5, 1, '', %s)",
            *(quantity, str(quantity)),
        )
    schema.migrate_if_needed(connection)
    assert fresh.query(
        "SELECT kind, wallet, quantity, identity FROM sentinel.transactions ORDER BY 1"
    ) == [("buy", "", 2, "2"), ("sell", "", -1, "-1")]
    assert fresh.query(
        "SELECT coin_id, sum(quantity), sum(value_usd + fee_usd) FROM sentinel.transaction_legs"
        " GROUP BY 1"
    ) == [("bitcoin", 1, 7)]


def test_messages_of_an_earlier_version_wait_with_their_kind(
    connection: Connection, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_older_than(13, connection, monkeypatch)
    for queue, key in (("bitcoin", "panic:bitcoin:1"), ("market", "market:panic:9"), ("b", "b:1")):
        fresh.query(
            "INSERT INTO sentinel.outbox (target, queue, message_key, title, body, created_at,"
            " due_at) VALUES ('a1', %s, %s, 't', 'b', now(), now())",
            *(queue, key),
        )
    schema.migrate_if_needed(connection)
    assert fresh.query("SELECT kind, coin_id FROM sentinel.outbox ORDER BY message_id") == [
        ("panic", "bitcoin"),
        ("market", None),
        ("incident", None),
    ]


def test_trackers_of_an_earlier_version_have_watched_since_the_first_alert(
    connection: Connection, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_older_than(17, connection, monkeypatch)
    fresh.query(
        "INSERT INTO sentinel.alert_trackers (threshold, effective_multiplier, coin_key, state)"
        " VALUES (0.05, 1.5, 1, '{}')"
    )
    for day in ("2026-11-03", "2026-11-02"):
        fresh.query(
            "INSERT INTO sentinel.alerts (observed_at, reference_at, price_usd, reference_usd,"
            " move, threshold, coin_key, level, kind)"
            " VALUES (%s, now(), 1, 1, 0, 0, 2, 1, 'panic')",
            f"{day} 00:00Z",
        )
    schema.migrate_if_needed(connection)
    assert fresh.query("SELECT watched_since::text FROM sentinel.alert_trackers") == [
        ("2026-11-02 00:00:00+00",)
    ]


def test_the_view_ends_at_the_retention() -> None:
    interval = f"interval '{RETENTION.days} days'"
    assert interval in schema.MARKET_DATA_VIEW.read_text()


def test_a_view_that_was_dropped_is_created_again(
    connection: Connection, fresh: FreshDatabase
) -> None:
    schema.apply_migrations(connection)
    fresh.query("DROP VIEW public.market_data")
    schema.migrate_if_needed(connection)
    assert fresh.query("SELECT count(*) FROM market_data") == [(0,)]


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("CREATE TABLE market_data (coin text, price numeric)", "table"),
        ("CREATE VIEW market_data AS SELECT 1 AS price", "view"),
        ("CREATE MATERIALIZED VIEW market_data AS SELECT 1 AS price", "materialized view"),
        ("CREATE SEQUENCE market_data", "sequence"),
    ],
)
def test_market_data_of_another_program_is_refused_and_left_alone(
    connection: Connection, fresh: FreshDatabase, statement: str, kind: str
) -> None:
    fresh.query(statement)
    before = fresh.query("SELECT * FROM market_data")
    with pytest.raises(ConfigurationError, match=rf"a {kind} public.market_data .* RENAME TO"):
        schema.apply_migrations(connection)
    assert fresh.query("SELECT to_regnamespace('sentinel')") == [(None,)]  # nothing was created
    schema.drop_schema(connection)
    assert fresh.query("SELECT * FROM market_data") == before


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("CREATE TYPE market_data AS ENUM ('a')", "type"),
        ("CREATE TYPE market_data AS (price numeric)", "type"),
        ("CREATE DOMAIN market_data AS numeric", "domain"),
        ("CREATE TABLE prices (n int); CREATE INDEX market_data ON prices (n)", "index"),
        (
            "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
            "CREATE FOREIGN TABLE market_data (price numeric) SERVER s",
            "foreign table",
        ),
    ],
)
def test_the_remedy_for_market_data_of_another_program_works(
    connection: Connection, fresh: FreshDatabase, statement: str, kind: str
) -> None:
    fresh.query(statement)
    with pytest.raises(ConfigurationError, match=f"a {kind} public.market_data") as caught:
        schema.apply_migrations(connection)
    fresh.query(str(caught.value).partition("(")[2].partition(")")[0])
    schema.apply_migrations(connection)
    assert schema.is_up_to_date(connection)


def test_the_view_of_another_program_does_not_pass_for_ours(
    connection: Connection, fresh: FreshDatabase
) -> None:
    schema.apply_migrations(connection)
    fresh.query("DROP VIEW market_data")
    fresh.query("CREATE VIEW market_data AS SELECT 1 AS price")
    assert not schema.is_up_to_date(connection)


def test_a_database_without_the_schema_public_is_refused(
    connection: Connection, fresh: FreshDatabase
) -> None:
    fresh.query("DROP SCHEMA public")
    with pytest.raises(ConfigurationError, match="Create it: CREATE SCHEMA public"):
        schema.migrate_if_needed(connection)


@pytest.mark.parametrize("prepared", ["", "CREATE SCHEMA sentinel AUTHORIZATION {role}"])
def test_the_message_about_missing_privileges_has_the_statements_that_grant_them(
    fresh: FreshDatabase, prepared: str
) -> None:
    role = f"test_{uuid.uuid4().hex}"
    fresh.query(f"CREATE ROLE {role} LOGIN")
    fresh.query(prepared.format(role=role))
    try:
        with open_connection(parse_address(make_conninfo(fresh.url, user=role))) as connection:
            with pytest.raises(StorageUnavailable) as caught:
                schema.apply_migrations(connection)
            statements = str(caught.value).partition("owner: ")[2]
            assert statements.count("GRANT") == (1 if prepared else 2)
            fresh.query(statements)
            schema.apply_migrations(connection)
    finally:
        fresh.query(f"DROP OWNED BY {role}")
        fresh.query(f"DROP ROLE {role}")


def test_a_run_on_the_original_projects_table_ends_with_exit_code_2(
    live_script: Script, fresh: FreshDatabase
) -> None:
    fresh.query("CREATE TABLE market_data (id serial, coin text)")
    done = live_script("ingest.py", "--limit", "5")
    assert done.returncode == 2, done.stderr
    assert "public.market_data of another program" in done.stderr
    assert "RENAME TO market_data_old" in done.stderr
    fresh.query("ALTER TABLE public.market_data RENAME TO market_data_old")
    again = live_script("ingest.py", "--limit", "5")
    assert again.returncode == 0, again.stderr
    assert fresh.query("SELECT count(*) FROM market_data_old") == [(0,)]


def test_a_schema_of_another_program_is_refused_and_left_alone(
    connection: Connection, fresh: FreshDatabase
) -> None:
    fresh.query("CREATE SCHEMA sentinel CREATE TABLE sentinel.theirs (id int)")
    with pytest.raises(ConfigurationError, match="schema sentinel of another program"):
        schema.apply_migrations(connection)
    assert fresh.query("SELECT count(*) FROM sentinel.theirs") == [(0,)]


def test_a_reset_refuses_while_another_programs_view_reads_our_tables(
    connection: Connection, fresh: FreshDatabase
) -> None:
    schema.apply_migrations(connection)
    fresh.query("CREATE VIEW public.report AS SELECT coin_id FROM sentinel.coins")
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        schema.drop_schema(connection)
    assert schema.is_up_to_date(connection)
