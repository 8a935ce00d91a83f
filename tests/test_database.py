"""Loading rows into a real PostgreSQL, and the write transaction around it."""

from __future__ import annotations

import random
import threading
from datetime import datetime, timedelta

import pytest

import database
from sentinel.errors import ConfigurationError
from sentinel.models import CoinLabel, FxRate, LoadCounts, MarketRow, Rejection
from sentinel.storage import coin_labels, partitions, run_records, schema
from sentinel.storage.connection import Connection, Session
from tests.conftest import NOW, FreshDatabase, Load
from tests.support.loading import LABELS, load_rows, make_rows

# --- upserting ------------------------------------------------------------------------------


def test_the_first_load_creates_the_schema_and_inserts_all_rows(
    load: Load, fresh: FreshDatabase
) -> None:
    assert load(make_rows()) == LoadCounts(inserted=20)
    assert fresh.query("SELECT count(*) FROM stored_rows") == [(20,)]
    [row] = fresh.query("SELECT * FROM stored_rows WHERE coin_id = 'coin-1'")
    assert row == ("coin-1", "c1", 2.0, None, 6.0, NOW, "observed")


def test_the_view_has_the_columns_of_the_contract(load: Load, fresh: FreshDatabase) -> None:
    load(make_rows())
    columns = fresh.query(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'market_data' "
        "ORDER BY ordinal_position"
    )
    assert [name for (name,) in columns] == [
        "coin_id", "symbol", "price", "market_cap", "volume_24h", "timestamp", "source",
    ]  # fmt: skip


def test_loading_the_same_rows_again_writes_nothing(load: Load, fresh: FreshDatabase) -> None:
    load(make_rows())
    before = fresh.query("SELECT xmin::text, * FROM sentinel.observations ORDER BY coin_key")
    coins = fresh.query("SELECT xmin::text, * FROM sentinel.coins ORDER BY coin_key")
    assert load(make_rows()) == LoadCounts(unchanged=20)
    assert (
        fresh.query("SELECT xmin::text, * FROM sentinel.observations ORDER BY coin_key") == before
    )
    assert fresh.query("SELECT xmin::text, * FROM sentinel.coins ORDER BY coin_key") == coins


def test_only_changed_rows_are_updated(load: Load, fresh: FreshDatabase) -> None:
    load(make_rows())
    changed = [*make_rows(coins=range(5), price=7.0), *make_rows(coins=range(5, 20))]
    assert load([*changed, *make_rows(coins=range(20, 25))]) == LoadCounts(5, 5, 15)
    assert fresh.query("SELECT price FROM stored_rows WHERE coin_id = 'coin-0'") == [(7.0,)]


def test_a_market_cap_that_becomes_unknown_is_updated(load: Load, fresh: FreshDatabase) -> None:
    load([MarketRow("coin-1", NOW, 1.0, 5.0, 5.0)])
    assert load([MarketRow("coin-1", NOW, 1.0, None, 5.0)]) == LoadCounts(updated=1)
    assert fresh.query("SELECT market_cap FROM stored_rows") == [(None,)]


def test_the_last_of_two_rows_with_the_same_key_is_stored(load: Load, fresh: FreshDatabase) -> None:
    twice = [MarketRow("coin-1", NOW, 1.0, None, None), MarketRow("coin-1", NOW, 2.0, None, None)]
    counts = load(twice)
    assert fresh.query("SELECT price FROM stored_rows") == [(2.0,)]
    assert fresh.query("SELECT price_usd FROM sentinel.coins") == [(2.0,)]
    assert counts.inserted == 1


def test_older_rows_are_inserted_and_the_latest_price_stays(
    load: Load, fresh: FreshDatabase
) -> None:
    load(make_rows(NOW))
    assert load(make_rows(NOW - timedelta(days=40))) == LoadCounts(inserted=20)
    assert load(make_rows(NOW - timedelta(days=40))) == LoadCounts(unchanged=20)
    assert fresh.query("SELECT DISTINCT observed_at FROM sentinel.coins") == [(NOW,)]


def test_the_order_of_rows_does_not_matter(load: Load, fresh: FreshDatabase) -> None:
    times = [NOW - timedelta(minutes=15 * n) for n in (3, 0, 2, 1, 0)]
    rows = [row for at in times for row in make_rows(at, coins=range(3))]
    assert load(rows).total >= 12
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(12,)]
    assert fresh.query("SELECT DISTINCT observed_at FROM sentinel.coins") == [(NOW,)]


def test_a_backfilled_value_never_replaces_an_observed_one(
    load: Load, fresh: FreshDatabase
) -> None:
    load(make_rows(coins=[1], price=5.0))
    assert load(make_rows(coins=[1], price=9.0, source="backfilled")) == LoadCounts(unchanged=1)
    assert fresh.query("SELECT price, source FROM stored_rows") == [(6.0, "observed")]
    assert fresh.query("SELECT price_usd, source FROM sentinel.coins") == [(6.0, "observed")]


def test_an_observed_value_replaces_a_backfilled_one(load: Load, fresh: FreshDatabase) -> None:
    load(make_rows(coins=[1], price=9.0, source="backfilled"))
    assert load(make_rows(coins=[1], price=5.0)) == LoadCounts(updated=1)
    assert fresh.query("SELECT price, source FROM stored_rows") == [(6.0, "observed")]
    assert fresh.query("SELECT price_usd, source FROM sentinel.coins") == [(6.0, "observed")]


def test_counts_do_not_depend_on_the_chunk_size(
    load: Load, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("database.LOAD_CHUNK_ROWS", 7)
    rows = [row for n in range(5) for row in make_rows(NOW + timedelta(minutes=n))]
    assert load(rows) == LoadCounts(inserted=100)
    assert load(rows) == LoadCounts(unchanged=100)
    assert fresh.query(
        "SELECT count(*) FROM sentinel.coins WHERE observed_at = %s", rows[-1].observed_at
    ) == [(20,)]


def _as_stored(rows: list[MarketRow]) -> dict[tuple[str, datetime], float]:
    return {(row.coin_id, row.observed_at): row.price_usd for row in rows}


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_last_value_of_random_rows_is_stored_for_any_chunk_size(
    load: Load, fresh: FreshDatabase, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("database.LOAD_CHUNK_ROWS", size)
    for seed in range(10):
        _load_random_rows_of_new_coins(load, fresh, seed)


def _load_random_rows_of_new_coins(load: Load, fresh: FreshDatabase, seed: int) -> None:
    """Load rows of coins whose ids begin with the seed, and assert what is stored of them."""
    dice = random.Random(seed)
    prefix = f"{seed}-%"
    expected: dict[tuple[str, datetime], float] = {}
    for _ in range(2):  # in the second load most coins are stored already
        rows = [
            MarketRow(
                f"{seed}-{dice.randrange(4)}",
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
        stored = fresh.query(
            'SELECT coin_id, "timestamp", price FROM stored_rows WHERE coin_id LIKE %s', prefix
        )
        assert {(coin_id, at): price for coin_id, at, price in stored} == expected
        latest = fresh.query(
            "SELECT coin_id, observed_at, price_usd FROM sentinel.coins WHERE coin_id LIKE %s",
            prefix,
        )
        newest = {coin_id: max(at for i, at in expected if i == coin_id) for coin_id, _ in expected}
        assert {coin_id: (at, price) for coin_id, at, price in latest} == {
            coin_id: (at, expected[coin_id, at]) for coin_id, at in newest.items()
        }


def test_a_backfilled_row_does_not_replace_an_observed_row_of_the_same_load(
    load: Load, fresh: FreshDatabase
) -> None:
    observed = MarketRow("coin-1", NOW, 10.0, None, None)
    load([observed, observed._replace(price_usd=20.0, source="backfilled")])
    assert fresh.query("SELECT price_usd, source FROM sentinel.coins") == [(10.0, "observed")]
    assert fresh.query("SELECT price, source FROM stored_rows") == [(10.0, "observed")]


def test_a_coin_without_a_label_is_named_by_its_id_until_it_is_relabeled(
    session: Session, fresh: FreshDatabase
) -> None:
    load_rows(session, make_rows(coins=[1]), find_label=lambda _coin_id: None)
    assert fresh.query("SELECT symbol, name, rank FROM sentinel.coins") == [
        ("coin-1", "coin-1", None)
    ]
    database.run_write_transaction(
        session, lambda connection, _days: coin_labels.relabel_coins(connection, LABELS), NOW
    )
    assert fresh.query("SELECT symbol, name, rank FROM sentinel.coins") == [("c1", "Coin 1", 1)]
    others = {"coin-2": LABELS["coin-2"]}
    database.run_write_transaction(
        session, lambda connection, _days: coin_labels.relabel_coins(connection, others), NOW
    )
    assert fresh.query("SELECT symbol, name, rank FROM sentinel.coins") == [("c1", "Coin 1", None)]


def test_unusual_ids_and_names_are_stored_unchanged(session: Session, fresh: FreshDatabase) -> None:
    row = MarketRow("_", NOW, 1.0, None, None)
    labels = {"_": CoinLabel("neo\u00a0", "'; DROP TABLE sentinel.coins; -- 🟥", None)}
    load_rows(session, [row], find_label=labels.get)
    assert fresh.query("SELECT coin_id, symbol, name FROM sentinel.coins") == [
        ("_", *labels["_"][:2])
    ]


def test_the_smallest_and_largest_prices_keep_every_digit(load: Load, fresh: FreshDatabase) -> None:
    prices = (9e-18, 92_000.123456789, 1e9, 0.0)
    load([MarketRow(f"coin-{n}", NOW, price, None, None) for n, price in enumerate(prices)])
    stored = fresh.query("SELECT price FROM stored_rows ORDER BY coin_id")
    assert tuple(price for (price,) in stored) == prices


def test_rows_written_by_hand_are_updated_and_the_latest_price_is_refreshed(
    load: Load, fresh: FreshDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    load(make_rows(coins=[1]))
    later = NOW + timedelta(minutes=5)
    fresh.query(
        "INSERT INTO sentinel.observations (observed_at, price_usd, coin_key) "
        "SELECT %s, 3.0, coin_key FROM sentinel.coins",
        later,
    )
    assert load(make_rows(later, coins=[1])) == LoadCounts(updated=1)
    assert "disagree" in caplog.text
    assert fresh.query("SELECT count(*), max(price_usd) FROM sentinel.observations") == [(2, 2.0)]


def test_an_empty_load_counts_nothing(load: Load) -> None:
    assert load([]) == LoadCounts()


# --- records of a run -----------------------------------------------------------------------


def test_rejections_and_rates_are_stored_once(session: Session, fresh: FreshDatabase) -> None:
    for _ in range(2):
        database.run_write_transaction(
            session, lambda connection, _days: _record_small(connection, NOW), NOW
        )
    assert fresh.query("SELECT count(*) FROM sentinel.rejections") == [(5,)]
    assert fresh.query("SELECT * FROM sentinel.fx_rates") == [(NOW, 16_000.0, "idr")]


def _record_small(connection: Connection, at: datetime) -> None:
    run_records.record_rejections(
        connection, [Rejection(f"coin-{n}", "null_price", "{}", "run", at) for n in range(5)]
    )
    run_records.record_fx_rates(connection, [FxRate(at, "idr", 16_000.0)])


# --- one writer at a time -------------------------------------------------------------------


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


def test_a_failed_write_stores_nothing(session: Session, fresh: FreshDatabase) -> None:
    def work(connection: Connection, days: partitions.Days) -> None:
        database.load_batch(connection, make_rows(), LABELS.get, days)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.run_write_transaction(session, work, NOW)
    assert fresh.query("SELECT count(*) FROM sentinel.observations") == [(0,)]
    assert fresh.query("SELECT count(*) FROM sentinel.coins") == [(0,)]


# --- schema ---------------------------------------------------------------------------------


def test_parallel_first_writes_apply_the_schema_once(fresh: FreshDatabase) -> None:
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
    known = schema.latest_version()
    with pytest.raises(ConfigurationError, match=f"version 99, this code knows {known}"):
        load(make_rows())
