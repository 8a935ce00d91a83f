"""Databases, roles and environments whose settings differ from those of a new database."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import FreshDatabase
from tests.support.commands import Script, assert_error

# What a database or a role may set, and no setting of which may change what is stored or read.
SETTINGS = {
    "client_encoding": "LATIN1",
    "DateStyle": "German",
    "IntervalStyle": "iso_8601",
    "TimeZone": "America/New_York",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "escape_string_warning": "off",
    "extra_float_digits": "-5",
    "bytea_output": "escape",
    "array_nulls": "off",
    "default_transaction_isolation": "serializable",
    "search_path": "pg_catalog",
    "lc_numeric": "C",
}
# A coin's name and a symbol that no encoding of western Europe has.
TARGETS = "bitcoin,red-green"


@pytest.fixture
def ascii_database(fresh: FreshDatabase) -> Iterator[FreshDatabase]:
    """An empty database in SQL_ASCII, which initdb creates where LANG=C."""
    yield from _create(fresh, "SQL_ASCII")


@pytest.fixture
def latin1_database(fresh: FreshDatabase) -> Iterator[FreshDatabase]:
    yield from _create(fresh, "LATIN1")


def _create(fresh: FreshDatabase, encoding: str) -> Iterator[FreshDatabase]:
    name = f"test_{uuid.uuid4().hex}"
    fresh.query(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
        " LOCALE_PROVIDER libc STRATEGY file_copy"
    )
    database = FreshDatabase(psycopg.conninfo.make_conninfo(fresh.url, dbname=name))
    yield database
    database.close()
    fresh.query(f"DROP DATABASE {name} WITH (FORCE)")


def _assert_works(script: Script, **environment: str) -> None:
    """Run twice, so that the second run reads what the first one stored, and check the health."""
    for _ in range(2):
        done = script("ingest.py", "--json", "--targets", TARGETS, **environment)
        assert done.returncode == 0, done.stderr
    done = script("verify_db.py", "--json", **environment)
    assert done.returncode == 0, done.stderr
    health = json.loads(done.stdout)
    assert (health["coins"], health["newest"][-6:]) == (2, "+00:00")


def test_a_run_works_with_any_settings_of_the_database(
    live_script: Script, fresh: FreshDatabase
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(fresh.url)["dbname"]
    for setting, value in SETTINGS.items():
        fresh.query(f"ALTER DATABASE {name} SET {setting} TO '{value}'")
    _assert_works(live_script)


@pytest.mark.parametrize(
    "environment", [{"PGCLIENTENCODING": "LATIN1"}, {"PGDATESTYLE": "SQL, DMY"}]
)
def test_a_run_works_with_any_variables_of_libpq(
    live_script: Script, environment: dict[str, str]
) -> None:
    _assert_works(live_script, **environment)


def test_a_run_works_in_a_database_without_an_encoding(
    live_script: Script, ascii_database: FreshDatabase
) -> None:
    _assert_works(live_script, DATABASE_URL=ascii_database.url)
    name = ascii_database.query("SELECT symbol FROM sentinel.coins WHERE coin_id = 'red-green'")
    assert name == [("🟥🟩".encode(),)]


def test_a_database_of_another_encoding_is_refused_with_the_statement_that_makes_a_usable_one(
    live_script: Script, latin1_database: FreshDatabase
) -> None:
    done = live_script("ingest.py", DATABASE_URL=latin1_database.url)
    assert_error(done, 2, "encoding LATIN1", "CREATE DATABASE market ENCODING 'UTF8' TEMPLATE")
