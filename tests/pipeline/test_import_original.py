"""The import of the original project's table: which rows, from where, and how often."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

import budget_monitor
from pipeline import import_original, original_table
from safe_zone import RETENTION, ROOT
from sentinel.backtesting import price_csv
from sentinel.storage import schema
from sentinel.storage.connection import open_connection
from tests.conftest import FreshDatabase, Rows, new_database
from tests.support.commands import Module, Script, assert_error

IMPORT = "pipeline.import_original"
pytestmark = pytest.mark.before_first_run

# As the original creates it.
CREATE_TABLE = """
CREATE TABLE public.market_data (
    id serial PRIMARY KEY, coin_id varchar(255) NOT NULL, symbol varchar(20) NOT NULL,
    price_usd float, market_cap float, volume_24h float, "timestamp" timestamptz NOT NULL,
    UNIQUE (coin_id, "timestamp"));
CREATE INDEX idx_timestamp ON public.market_data ("timestamp");
"""
# 30 coins in each of some hours, at whole seconds, as CoinGecko sends them.
FILL_TABLE = """
INSERT INTO public.market_data (coin_id, symbol, price_usd, market_cap, volume_24h, "timestamp")
SELECT 'coin-' || c, 'c' || c, c + h / 1000.0, c * 1e6, CASE WHEN c = 1 THEN 0 ELSE 5 END,
       date_trunc('second', now()) - make_interval(hours => h)
FROM generate_series(1, 30) c, generate_series({}, {}) h
"""
BAD_ROWS = """
INSERT INTO public.market_data (coin_id, symbol, price_usd, "timestamp") VALUES
    ('new-coin', 'UNK', 1, now() - interval '1 hour'),
    ('bitcoin', 'btc', NULL, now() - interval '1 hour'),
    ('ethereum', 'eth', 'NaN', now() - interval '1 hour'),
    ('solana', 'sol', -1, now() - interval '1 hour'),
    ('tether', 'usdt', 1e10, now() - interval '1 hour'),
    ('dogecoin', 'doge', 1, now() + interval '1 hour'),
    ('tron', 'trx', 1, 'infinity'),
    (E'bad\\nid', 'bad', 1, now() - interval '1 hour'),
    ('old', 'old', 1, now() - interval '70 days'),
    ('older', 'older', 1, '-infinity')
"""
CREATE_OTHER_TABLE = """
CREATE TABLE old (coin_id text, price text, market_cap numeric, "timestamp" timestamp)
"""
COUNT = "SELECT count(*) FROM market_data"


@pytest.fixture
def original(fresh: FreshDatabase) -> FreshDatabase:
    """A database of the original with 3,001 good rows, seven bad and two expired ones."""
    fresh.query(CREATE_TABLE)
    fresh.query(FILL_TABLE.format(1, 100))
    fresh.query(BAD_ROWS)
    return fresh


def _table(database: FreshDatabase, name: str = "market_data_original") -> Rows:
    return database.query(f"SELECT m::text FROM public.{name} AS m ORDER BY id")


def test_the_valid_rows_are_imported_and_the_table_is_renamed_and_unchanged(
    live_module: Module, original: FreshDatabase
) -> None:
    before = _table(original, "market_data")
    done = live_module(IMPORT)
    assert done.returncode == 0, done.stderr
    assert "public.market_data_original: 3,010 rows. 3,001 were imported, 0 were" in done.stdout
    for reason, count in {
        "future_timestamp": 2,
        "null_price": 1,
        "not_a_number": 1,
        "negative_price": 1,
        "price_too_high": 1,
        "malformed": 1,
    }.items():
        assert f"rejected as {reason}: {count}, such as '" in done.stdout
    assert f"older than {RETENTION.days} days, not imported: 2" in done.stdout
    assert _table(original) == before
    summary = "SELECT count(*), min(source::text), max(source::text) FROM market_data"
    assert original.query(summary) == [(3001, "observed", "observed")]
    columns = "coin_id, symbol, price, market_cap, volume_24h, timestamp"
    *stored, unknown = original.query(f"SELECT {columns} FROM stored_rows ORDER BY 1, 6")
    assert stored == original.query(
        "SELECT coin_id, symbol, price_usd, market_cap, nullif(volume_24h, 0), timestamp"
        " FROM market_data_original WHERE coin_id LIKE 'coin-%' ORDER BY 1, 6"
    )
    # The original's placeholder for a symbol that it did not know is not taken over.
    assert unknown[:5] == ("new-coin", "new-coin", 1.0, None, None)


@pytest.mark.slow
def test_a_repeated_import_changes_nothing_and_runs_go_on(
    live_module: Module, live_script: Script, original: FreshDatabase
) -> None:
    live_module(IMPORT)
    before = original.query("SELECT ctid, * FROM sentinel.observations ORDER BY 1")
    assert "0 were imported, 3,001 were stored before" in live_module(IMPORT).stdout
    assert original.query("SELECT ctid, * FROM sentinel.observations ORDER BY 1") == before
    assert live_script("ingest.py", "--limit", "5").returncode == 0
    assert original.query(COUNT) == [(3006,)]
    assert live_script("verify_db.py").returncode == 0


@pytest.mark.slow
def test_an_observed_row_stays_and_a_backfilled_one_is_replaced(
    live_module: Module, original: FreshDatabase
) -> None:
    live_module(IMPORT)
    original.query(
        "UPDATE sentinel.observations SET price_usd = 7,"
        " source = CASE coin_key % 2 WHEN 0 THEN 'observed' ELSE 'backfilled' END"
        "::sentinel.observation_source"
    )
    assert "1,501 were imported, 1,500 were stored before" in live_module(IMPORT).stdout
    kept = "SELECT count(*), count(DISTINCT source) FROM sentinel.observations WHERE price_usd = 7"
    assert original.query(kept) == [(1500, 1)]


def test_the_rename_and_the_schema_are_one_transaction(
    original: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a kill between the two there would be neither table nor view."""

    def fail(_connection: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, "apply_migrations", fail)
    with open_connection(original.address()) as connection, pytest.raises(KeyboardInterrupt):
        original_table.move_aside(connection)
    assert original.query("SELECT count(*) FROM market_data") == [(3010,)]


def test_an_import_that_would_fill_the_free_storage_is_refused(
    live_module: Module, original: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget_monitor, "is_metered", lambda _settings: True)
    monkeypatch.setattr(import_original, "ROW_BYTES", 1_000_000)
    done = live_module(IMPORT)
    assert_error(done, 2, "needs about 3,008 MB", "of 500 MB (neon_storage_bytes)", "--from")
    assert original.query(COUNT) == [(0,)]


@pytest.mark.slow
def test_an_import_continues_after_a_kill(live_module: Module, original: FreshDatabase) -> None:
    original.query(FILL_TABLE.format(101, 1300))
    process = live_module.start(IMPORT)
    while not original.query("SELECT to_regclass('sentinel.observations')")[0][0] or (
        original.query("SELECT count(*) FROM sentinel.observations") == [(0,)]
    ):
        time.sleep(0.01)
    process.kill()
    process.communicate()
    [(stored,)] = original.query(COUNT)
    assert 0 < stored < 39_001
    done = live_module(IMPORT)
    assert f"{39_001 - stored:,} were imported, {stored:,} were stored before" in done.stdout
    assert original.query(COUNT) == [(39_001,)]


def test_a_table_of_another_database_and_version_is_imported_and_left_alone(
    live_module: Module, fresh: FreshDatabase, server: str
) -> None:
    """Without a symbol, with numeric prices as text, and with times without a zone."""
    at = datetime.now(UTC).replace(microsecond=0, tzinfo=None) - timedelta(hours=1)
    with new_database(server, "template1") as other:
        name = conninfo_to_dict(other.url)["dbname"]
        other.query(f"ALTER DATABASE {name} SET TimeZone TO 'Asia/Jakarta'")
        other.query(CREATE_OTHER_TABLE)
        other.query("INSERT INTO old VALUES ('a', '0.1', 1e30, %s), ('b', 'x', 0, %s)", at, at)
        done = live_module(IMPORT, "--from", other.url, "--table", "old")
        assert done.returncode == 0, done.stderr
        assert "old: 2 rows. 1 were imported" in done.stdout
        assert "rejected as not_a_number: 1, such as 'b' with price x" in done.stdout
        assert other.query("SELECT count(*) FROM old") == [(2,)]
        assert other.query("SELECT to_regnamespace('sentinel')") == [(None,)]
    stored = "SELECT coin_id, symbol, price, market_cap, volume_24h, timestamp FROM stored_rows"
    assert fresh.query(stored) == [("a", "a", 0.1, 1e30, None, at.replace(tzinfo=UTC))]


def test_the_statement_of_the_document_exports_old_rows_as_a_price_file(
    original: FreshDatabase, tmp_path: Path
) -> None:
    text = (ROOT / "docs/migrate-from-the-original.md").read_text()
    [statement] = re.findall(r"COPY \(.*?HEADER", text, re.DOTALL)
    original.query("DELETE FROM market_data WHERE NOT isfinite(timestamp) OR price_usd = 'NaN'")
    original.query("ALTER TABLE market_data RENAME TO market_data_original")
    path = tmp_path / "prices.csv"
    with (
        open_connection(original.address()) as connection,
        connection.cursor().copy(statement.encode()) as copy,
    ):
        path.write_bytes(b"".join(copy))
    assert list(price_csv.read(path)) == ["old"]


@pytest.mark.parametrize(
    "arguments",
    [["ingest.py", "--limit", "5"], ["verify_db.py"], ["verify_db.py", "--json"], ["reset_db.py"]],
)
def test_all_commands_say_how_to_import_the_table_of_the_original(
    live_script: Script, original: FreshDatabase, arguments: list[str]
) -> None:
    done = live_script(*arguments)
    assert_error(done, 2, "public.market_data of the original project", f"Run python -m {IMPORT}: ")
    assert len(_table(original, "market_data")) == 3010


@pytest.mark.parametrize(
    ("statement", "arguments", "words"),
    [
        ("", [], "no table public.market_data or public.market_data_original"),
        (
            "CREATE TABLE mine (coin_id text, at timestamptz)",
            ["--table", "mine"],
            "lacks coin_id",
        ),
        ("", ["--from", "postgresql://me:hunter2@host:x/d"], "--from cannot be read"),
        (
            f"{CREATE_TABLE} CREATE TABLE public.market_data_original (id int)",
            [],
            "both tables public.market_data and public.market_data_original",
        ),
        ("CREATE TABLE public.market_data (mine text)", [], "of another program"),
    ],
)
def test_a_table_that_cannot_be_imported_is_a_plain_error(
    live_module: Module, fresh: FreshDatabase, statement: str, arguments: list[str], words: str
) -> None:
    fresh.query(statement)
    assert_error(live_module(IMPORT, *arguments), 2, words)
