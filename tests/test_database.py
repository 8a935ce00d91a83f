"""Every write, on a real PostgreSQL."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

import psycopg
import pytest

import database
from sentinel.errors import ConfigurationError, StorageUnavailable
from sentinel.models import CoinLabel, FxRate, LoadCounts, MarketRow, Rejection, Source
from sentinel.storage import error_hints, locks, partitions, run_records, schema
from sentinel.storage.connection import Address, Connection, Session, parse_address
from tests.conftest import NOW, FakeTime, FreshDatabase

Load = Callable[..., LoadCounts]
LABELS = {f"coin-{n}": CoinLabel(f"c{n}", f"Coin {n}", n or None) for n in range(50)}


def _rows(
    at: datetime = NOW,
    *,
    coins: Iterable[int] = range(20),
    price: float = 1.0,
    source: Source = "observed",
) -> list[MarketRow]:
    return [
        MarketRow(f"coin-{n}", at, price + n, None if n % 3 else 1e9, 5.0 + n, source)
        for n in coins
    ]


@pytest.fixture
def session(fresh: FreshDatabase, time_: FakeTime) -> Iterator[Session]:
    with Session(fresh.address(), clock=time_.monotonic, sleep=time_.sleep) as opened:
        yield opened


@pytest.fixture
def load(session: Session) -> Load:
    def run(rows: Iterable[MarketRow], now: datetime = NOW) -> LoadCounts:
        return database.run_write_transaction(
            session,
            lambda connection, days: database.load_batch(connection, rows, LABELS.get, days),
            now,
        )

    return run


# --- upserting -------------------------------------------------------------------------------


def test_the_first_load_makes_the_schema_and_inserts(load: Load, fresh: FreshDatabase) -> None:
    assert load(_rows()) == LoadCounts(inserted=20)
    assert fresh.query("SELECT count(*) FROM stored_rows") == [(20,)]
    [row] = fresh.query("SELECT * FROM stored_rows WHERE coin_id = 'coin-1'")
    assert row == ("coin-1", "c1", 2.0, None, 6.0, NOW, "observed")


def test_the_view_has_the_columns_of_the_contract(load: Load, fresh: FreshDatabase) -> None:
    load(_rows())
    columns = fresh.query(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'market_data' "
        "ORDER BY ordinal_position"
    )
    assert [name for (name,) in columns] == [
        "coin_id", "symbol", "price", "market_cap", "volume_24h", "timestamp", "source",
    ]  # fmt: skip


def test_the_same_rows_again_are_unchanged_and_nothing_is_written(
    load: Load, fresh: FreshDatabase
) -> None:
    load(_rows())
    before = fresh.query("SELECT xmin::text, * FROM sentinel.observations ORDER BY coin_key")
    coins = fresh.query("SELECT xmin::text, * FROM sentinel.coins ORDER BY coin_key")
    assert load(_rows()) == LoadCounts(unchanged=20)
    assert (
        fresh.query("SELECT xmin::text, * FROM sentinel.observations ORDER BY coin_key") == before
    )
    assert fresh.query("SELECT xmin::text, * FROM sentinel.coins ORDER BY coin_key") == coins


def test_a_changed_row_is_updated_and_the_others_stay(load: Load, fresh: FreshDatabase) -> None:
    load(_rows())
    changed = [*_rows(coins=range(5), price=7.0), *_rows(coins=range(5, 20))]
    assert load([*changed, *_rows(coins=range(20, 25))]) == LoadCounts(5, 5, 15)
    assert fresh.query("SELECT price FROM stored_rows WHERE coin_id = 'coin-0'") == [(7.0,)]


def test_a_cap_that_becomes_unknown_is_an_update(load: Load, fresh: FreshDatabase) -> None:
    load([MarketRow("coin-1", NOW, 1.0, 5.0, 5.0)])
    assert load([MarketRow("coin-1", NOW, 1.0, None, 5.0)]) == LoadCounts(updated=1)
    assert fresh.query("SELECT market_cap FROM stored_rows") == [(None,)]


def test_two_rows_of_one_key_in_one_load_are_one_row_the_last(
    load: Load, fresh: FreshDatabase
) -> None:
    twice = [MarketRow("coin-1", NOW, 1.0, None, None), MarketRow("coin-1", NOW, 2.0, None, None)]
    counts = load(twice)
    assert fresh.query("SELECT price FROM stored_rows") == [(2.0,)]
    assert fresh.query("SELECT price_usd FROM sentinel.coins") == [(2.0,)]
    assert counts.inserted == 1


def test_older_rows_are_inserted_beside_newer_ones(load: Load, fresh: FreshDatabase) -> None:
    load(_rows(NOW))
    assert load(_rows(NOW - timedelta(days=40))) == LoadCounts(inserted=20)
    assert load(_rows(NOW - timedelta(days=40))) == LoadCounts(unchanged=20)
    assert fresh.query("SELECT DISTINCT observed_at FROM sentinel.coins") == [(NOW,)]


def test_rows_in_any_order_come_to_the_same(load: Load, fresh: FreshDatabase) -> None:
    times = [NOW - timedelta(minutes=15 * n) for n in (3, 0, 2, 1, 0)]
    rows = [row for at in times for row in _rows(at, coins=range(3))]
    assert load(rows).total >= 12
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(12,)]
    assert fresh.query("SELECT DISTINCT observed_at FROM sentinel.coins") == [(NOW,)]


def test_a_backfilled_value_never_replaces_an_observed_one(
    load: Load, fresh: FreshDatabase
) -> None:
    load(_rows(coins=[1], price=5.0))
    assert load(_rows(coins=[1], price=9.0, source="backfilled")) == LoadCounts(unchanged=1)
    assert fresh.query("SELECT price, source FROM stored_rows") == [(6.0, "observed")]
    assert fresh.query("SELECT price_usd, source FROM sentinel.coins") == [(6.0, "observed")]


def test_an_observed_value_replaces_a_backfilled_one(load: Load, fresh: FreshDatabase) -> None:
    load(_rows(coins=[1], price=9.0, source="backfilled"))
    assert load(_rows(coins=[1], price=5.0)) == LoadCounts(updated=1)
    assert fresh.query("SELECT price, source FROM stored_rows") == [(6.0, "observed")]
    assert fresh.query("SELECT price_usd, source FROM sentinel.coins") == [(6.0, "observed")]


def test_a_load_of_many_chunks_counts_like_one(
    load: Load, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("database.LOAD_CHUNK_ROWS", 7)
    rows = [row for n in range(5) for row in _rows(NOW + timedelta(minutes=n))]
    assert load(rows) == LoadCounts(inserted=100)
    assert load(rows) == LoadCounts(unchanged=100)
    assert fresh.query(
        "SELECT count(*) FROM sentinel.coins WHERE observed_at = %s", rows[-1].observed_at
    ) == [(20,)]


def _as_stored(rows: list[MarketRow]) -> dict[tuple[str, datetime], float]:
    return {(row.coin_id, row.observed_at): row.price_usd for row in rows}


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("size", [1, 2, 5])
def test_whatever_comes_in_whatever_chunks_the_last_word_counts(
    load: Load, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch, seed: int, size: int
) -> None:
    monkeypatch.setattr("database.LOAD_CHUNK_ROWS", size)
    dice = random.Random(seed)
    expected: dict[tuple[str, datetime], float] = {}
    for _ in range(2):  # the second time most coins are known
        rows = [
            MarketRow(
                f"coin-{dice.randrange(4)}",
                NOW + timedelta(minutes=dice.randrange(4)),
                float(dice.randrange(5)),
                None,
                None,
            )
            for _ in range(dice.randrange(1, 14))
        ]
        before = len(expected)
        expected |= _as_stored(rows)
        counts = load(rows)
        assert counts.inserted == len(expected) - before
        stored = fresh.query('SELECT coin_id, "timestamp", price FROM stored_rows')
        assert {(coin_id, at): price for coin_id, at, price in stored} == expected
        latest = fresh.query("SELECT coin_id, observed_at, price_usd FROM sentinel.coins")
        newest = {coin_id: max(at for i, at in expected if i == coin_id) for coin_id, _ in expected}
        assert {coin_id: (at, price) for coin_id, at, price in latest} == {
            coin_id: (at, expected[coin_id, at]) for coin_id, at in newest.items()
        }


def test_a_backfilled_twin_in_the_same_load_does_not_become_the_latest(
    load: Load, fresh: FreshDatabase
) -> None:
    observed = MarketRow("coin-1", NOW, 10.0, None, None)
    load([observed, observed._replace(price_usd=20.0, source="backfilled")])
    assert fresh.query("SELECT price_usd, source FROM sentinel.coins") == [(10.0, "observed")]
    assert fresh.query("SELECT price, source FROM stored_rows") == [(10.0, "observed")]


def test_a_coin_without_a_label_is_named_by_its_id_until_it_gets_one(
    session: Session, fresh: FreshDatabase
) -> None:
    database.run_write_transaction(
        session,
        lambda connection, days: database.load_batch(
            connection, _rows(coins=[1]), lambda _coin_id: None, days
        ),
        NOW,
    )
    assert fresh.query("SELECT symbol, name, rank FROM sentinel.coins") == [
        ("coin-1", "coin-1", None)
    ]
    database.run_write_transaction(
        session, lambda connection, _days: database.relabel_coins(connection, LABELS), NOW
    )
    assert fresh.query("SELECT symbol, name, rank FROM sentinel.coins") == [("c1", "Coin 1", 1)]
    others = {"coin-2": LABELS["coin-2"]}
    database.run_write_transaction(
        session, lambda connection, _days: database.relabel_coins(connection, others), NOW
    )
    assert fresh.query("SELECT symbol, name, rank FROM sentinel.coins") == [("c1", "Coin 1", None)]


def test_odd_names_are_stored_as_they_are(session: Session, fresh: FreshDatabase) -> None:
    row = MarketRow("_", NOW, 1.0, None, None)
    labels = {"_": CoinLabel("neo\u00a0", "'; DROP TABLE sentinel.coins; -- 🟥", None)}
    database.run_write_transaction(
        session,
        lambda connection, days: database.load_batch(connection, [row], labels.get, days),
        NOW,
    )
    assert fresh.query("SELECT coin_id, symbol, name FROM sentinel.coins") == [
        ("_", *labels["_"][:2])
    ]


def test_the_smallest_and_largest_prices_keep_every_digit(load: Load, fresh: FreshDatabase) -> None:
    prices = (9e-18, 92_000.123456789, 1e9, 0.0)
    load([MarketRow(f"coin-{n}", NOW, price, None, None) for n, price in enumerate(prices)])
    stored = fresh.query("SELECT price FROM stored_rows ORDER BY coin_id")
    assert tuple(price for (price,) in stored) == prices


def test_rows_written_by_hand_are_met_and_the_latest_is_read_anew(
    load: Load, fresh: FreshDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    load(_rows(coins=[1]))
    later = NOW + timedelta(minutes=5)
    fresh.query(
        "INSERT INTO sentinel.observations (observed_at, price_usd, coin_key) "
        "SELECT %s, 3.0, coin_key FROM sentinel.coins",
        later,
    )
    assert load(_rows(later, coins=[1])) == LoadCounts(updated=1)
    assert "disagree" in caplog.text
    assert fresh.query("SELECT count(*), max(price_usd) FROM sentinel.observations") == [(2, 2.0)]


def test_an_empty_load_is_nothing(load: Load) -> None:
    assert load([]) == LoadCounts()


# --- days and retention ----------------------------------------------------------------------


def _partitions(fresh: FreshDatabase) -> list[str]:
    found = fresh.query(
        "SELECT relname::text FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
        "WHERE inhparent = 'sentinel.observations'::regclass ORDER BY 1"
    )
    return [name for (name,) in found]


def test_days_are_made_ahead_and_where_rows_need_them(load: Load, fresh: FreshDatabase) -> None:
    load(_rows(NOW - timedelta(days=59)))
    assert _partitions(fresh) == [
        "observations_20260922",
        "observations_20261120",
        "observations_20261121",
        "observations_20261122",
    ]


def test_a_row_at_midnight_belongs_to_the_day_it_begins(load: Load, fresh: FreshDatabase) -> None:
    midnight = NOW.replace(hour=0, minute=0, second=0)
    load([*_rows(midnight), *_rows(midnight - timedelta(microseconds=1))])
    assert fresh.query("SELECT count(*) FROM sentinel.observations_20261119") == [(20,)]
    assert fresh.query("SELECT count(*) FROM sentinel.observations_20261120") == [(20,)]


def test_days_older_than_the_retention_are_dropped_whole(
    load: Load, session: Session, fresh: FreshDatabase
) -> None:
    load(_rows(NOW))
    later = NOW + timedelta(days=60)
    load(_rows(later), later)
    assert session.purged_rows == 0  # the day is still partly inside the 60
    much_later = NOW + timedelta(days=61)
    load(_rows(much_later), much_later)
    assert session.purged_rows == 20
    assert "observations_20261120" not in _partitions(fresh)
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(40,)]


def test_the_view_ends_at_sixty_days_to_the_second(session: Session, fresh: FreshDatabase) -> None:
    [(now,)] = fresh.query("SELECT now()")
    ages = (timedelta(days=60, seconds=5), timedelta(days=59, hours=23))
    rows = [MarketRow(f"coin-{n}", now - age, 1.0, None, None) for n, age in enumerate(ages)]
    database.run_write_transaction(
        session,
        lambda connection, days: database.load_batch(connection, rows, LABELS.get, days),
        now,
    )
    assert fresh.query("SELECT coin_id FROM market_data") == [("coin-1",)]


def test_a_purge_leaves_no_dead_rows_anywhere(
    load: Load, session: Session, fresh: FreshDatabase
) -> None:
    load(_rows(NOW))
    database.run_write_transaction(
        session, lambda connection, _days: _record_small(connection, NOW), NOW
    )
    later = NOW + timedelta(days=62)
    load(_rows(later), later)
    assert fresh.query("SELECT count(*) FROM sentinel.rejections") == [(0,)]
    assert fresh.query("SELECT count(*) FROM sentinel.fx_rates") == [(0,)]
    dead = fresh.query(
        "SELECT relname, pg_relation_size(oid) FROM pg_class "
        "WHERE relname IN ('rejections', 'fx_rates') AND pg_relation_size(oid) > 0"
    )
    assert dead == []  # vacuum gave the emptied pages back


def _record_small(connection: Connection, at: datetime) -> None:
    run_records.record_rejections(
        connection, [Rejection(f"coin-{n}", "null_price", "{}", "run", at) for n in range(5)]
    )
    run_records.record_fx_rates(connection, [FxRate(at, "idr", 16_000.0)])


def test_a_long_reader_postpones_the_purge_and_not_the_load(
    load: Load,
    session: Session,
    fresh: FreshDatabase,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sentinel.storage.retention.PURGE_LOCK_TIMEOUT_SECONDS", 0.1)
    load(_rows(NOW))
    later = NOW + timedelta(days=62)
    with psycopg.connect(fresh.url) as reader:
        reader.execute("SELECT count(*) FROM sentinel.observations")
        assert load(_rows(later), later) == LoadCounts(inserted=20)
    assert session.purged_rows == 0
    assert "the purge waits" in caplog.text
    load(_rows(later), later)
    assert session.purged_rows == 20


def test_the_day_that_closed_is_rewritten_in_order_of_coin(
    load: Load, fresh: FreshDatabase
) -> None:
    times = [NOW.replace(hour=0) + timedelta(minutes=5 * n) for n in range(40)]
    load([row for at in times for row in _rows(at, coins=range(50))])
    order = "SELECT coin_key, observed_at FROM sentinel.observations_20261120 ORDER BY ctid"
    rows = fresh.query(order)
    size = "SELECT pg_total_relation_size('sentinel.observations_20261120')"
    before = fresh.query(size)[0][0]
    assert rows != sorted(rows)
    tomorrow = NOW + timedelta(days=1)
    load(_rows(tomorrow), tomorrow)
    assert fresh.query(order) == sorted(rows)
    assert fresh.query(size)[0][0] < before


# --- records ---------------------------------------------------------------------------------


def test_rejections_and_rates_are_kept_once(session: Session, fresh: FreshDatabase) -> None:
    for _ in range(2):
        database.run_write_transaction(
            session, lambda connection, _days: _record_small(connection, NOW), NOW
        )
    assert fresh.query("SELECT count(*) FROM sentinel.rejections") == [(5,)]
    assert fresh.query("SELECT * FROM sentinel.fx_rates") == [(NOW, 16_000.0, "idr")]


# --- one at a time ---------------------------------------------------------------------------


def test_two_writers_never_interleave(fresh: FreshDatabase, load: Load) -> None:
    load([])
    inside, overlaps = threading.Lock(), []

    def work(connection: Connection, _days: partitions.Days) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(True)
            return
        connection.execute("SELECT pg_sleep(0.05)").fetchone()
        inside.release()

    def write() -> None:
        with Session(fresh.address()) as session:
            database.run_write_transaction(session, work, NOW)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not overlaps


def test_a_write_that_fails_leaves_nothing(session: Session, fresh: FreshDatabase) -> None:
    def work(connection: Connection, days: partitions.Days) -> None:
        database.load_batch(connection, _rows(), LABELS.get, days)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.run_write_transaction(session, work, NOW)
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(0,)]
    assert fresh.query("SELECT count(*) FROM sentinel.coins") == [(0,)]


# --- schema ----------------------------------------------------------------------------------


def test_the_schema_is_applied_once_by_the_first_process(fresh: FreshDatabase) -> None:
    def make() -> None:
        with Session(fresh.address()) as session:
            database.run_write_transaction(session, lambda _connection, _days: None, NOW)

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fresh.query("SELECT version FROM sentinel.schema_version") == [
        (version,) for version in schema.migrations()
    ]


def test_a_schema_newer_than_the_code_is_refused(load: Load, fresh: FreshDatabase) -> None:
    load([])
    fresh.query("INSERT INTO sentinel.schema_version (version) VALUES (99)")
    with pytest.raises(ConfigurationError, match="schema version 99, this code knows 8"):
        load(_rows())


# --- faults ----------------------------------------------------------------------------------


def test_a_connection_that_breaks_in_the_work_is_opened_again(
    session: Session, fresh: FreshDatabase, time_: FakeTime
) -> None:
    tries = []

    def work(connection: Connection, days: partitions.Days) -> LoadCounts:
        tries.append(connection)
        counts = database.load_batch(connection, _rows(), LABELS.get, days)
        if len(tries) == 1:
            [(pid,)] = connection.execute("SELECT pg_backend_pid()").fetchall()
            fresh.query("SELECT pg_terminate_backend(%s)", pid)
        return counts

    assert database.run_write_transaction(session, work, NOW) == LoadCounts(inserted=20)
    assert (len(tries), len(time_.slept)) == (2, 1)
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(20,)]


def test_a_server_that_is_down_is_tried_four_times_and_then_named(time_: FakeTime) -> None:
    address = parse_address("postgresql://me:hunter2@127.0.0.1:9/market")
    session = Session(address, clock=time_.monotonic, sleep=time_.sleep)
    with pytest.raises(StorageUnavailable) as caught:
        database.run_write_transaction(session, lambda _connection, _days: None, NOW)
    assert "market on 127.0.0.1" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert len(time_.slept) == 3


def test_a_wrong_database_is_final_and_named(fresh: FreshDatabase, time_: FakeTime) -> None:
    address = Address(fresh.url.replace("dbname=test_", "dbname=no_"), "no")
    session = Session(address, clock=time_.monotonic, sleep=time_.sleep)
    with pytest.raises(StorageUnavailable, match="Correct user and database"):
        database.run_write_transaction(session, lambda _connection, _days: None, NOW)
    assert time_.slept == []


def test_a_user_without_rights_gets_a_clear_error(fresh: FreshDatabase, time_: FakeTime) -> None:
    fresh.query("DROP ROLE IF EXISTS poor")
    fresh.query("CREATE ROLE poor LOGIN")
    address = Address(fresh.url.replace("user=postgres", "user=poor"), "x")
    with (
        Session(address, clock=time_.monotonic, sleep=time_.sleep) as session,
        pytest.raises(StorageUnavailable, match="Grant the user"),
    ):
        database.run_write_transaction(session, lambda _connection, _days: None, NOW)
    assert time_.slept == []


def test_a_lock_held_too_long_is_named(
    load: Load, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    load([])
    monkeypatch.setattr("sentinel.storage.partitions.LOCK_TIMEOUT_SECONDS", 0.1)
    with psycopg.connect(fresh.url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [locks._WRITER_LOCK])
        with pytest.raises(StorageUnavailable, match="hanging run"):
            load(_rows())


@pytest.mark.parametrize(
    ("text", "sqlstate", "transient", "words"),
    [
        # Neon's own words, from its documents and issue threads.
        ("ERROR:  Couldn't connect to compute node", "XX000", True, ""),
        ("Control plane request failed", "XX000", True, ""),
        ("the database system is starting up", "57P03", True, ""),
        ("terminating connection due to administrator command", "57P01", True, ""),
        ("SSL connection has been closed unexpectedly", None, True, ""),
        ("connection failed: timeout expired", None, True, ""),
        ("connection failed: Connection refused", None, True, ""),
        ("could not serialize access", "40001", True, ""),
        ("sorry, too many clients already", "53300", True, ""),
        (
            "connection failed: ERROR:  Your account or project has exceeded the compute time "
            "quota. Upgrade your plan to increase limits.",
            None,
            False,
            "next billing period",
        ),
        (
            "could not extend file because project size limit (512 MB) has been exceeded",
            "53100",
            False,
            "storage quota is full",
        ),
        ("could not extend file: No space left on device", "53100", False, "Free space"),
        ("endpoint is disabled", "XX000", False, "Neon's console"),
        ('password authentication failed for user "me"', "28P01", False, "user and password"),
        ("fe_sendauth: no password supplied", None, False, "password into DATABASE_URL"),
        ("cannot execute INSERT in a read-only transaction", "25006", False, "primary"),
    ],
)
def test_each_fault_is_known_as_passing_or_final(
    text: str, sqlstate: str | None, transient: bool, words: str
) -> None:
    error = psycopg.errors.lookup(sqlstate)(text) if sqlstate else psycopg.OperationalError(text)
    assert error_hints.is_transient(error) is transient
    explained = error_hints.explain(error, "market on host")
    assert words in explained
    assert explained.startswith("The database market on host cannot be used: ")


def test_a_list_of_tried_addresses_is_cut_from_the_message() -> None:
    error = psycopg.OperationalError(
        "connection failed: refused\nMultiple connection attempts failed. All failures were:\n- x"
    )
    assert "Multiple" not in error_hints.explain(error, "x")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@host:port/d",
        "postgresql://me:hunter2/x@host/d",
        "postgresql://me:p@hunter2@host/d",
        "postgresql://me:5432/hunter2@host/d",
        "postgresql://me:p@x/hunter2@host/d",
        "postgresql://me:hunter2@a..b/d",
        "postgresql://me:hunter2@host/d?surprise=1",
        "postgresql://me:hunter%zz@host/d",
        "host='hunter2",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_address(url)
    assert "hunter" not in f"{caught.value}{caught.value.__cause__}"
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_an_address_shows_people_the_place_and_no_password() -> None:
    address = parse_address("postgresql://me:hunter2@ep-1-pooler.neon.tech/market")
    assert repr(address) == "Address(market on ep-1-pooler.neon.tech)"
