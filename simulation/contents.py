"""Reads what database, spool, archive and usage log hold, without the product's code."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import psycopg

from simulation.market import Key

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Status and strikes of coins by id.
Health = dict[str, tuple[str, int]]
MILLISECOND = timedelta(milliseconds=1)

ROWS = """
SELECT c.coin_id, (extract(epoch FROM o.observed_at) * 1000)::bigint, o.price_usd
FROM sentinel.observations o JOIN sentinel.coins c USING (coin_key)
WHERE o.observed_at >= %s
"""
ROWS_BY_DAY = """
SELECT to_date(right(tableoid::regclass::text, 8), 'YYYYMMDD'), count(*)
FROM sentinel.observations
GROUP BY tableoid
"""
DAYS = """
SELECT to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD')
FROM pg_inherits WHERE inhparent = 'sentinel.observations'::regclass
"""
ARCHIVED = """
SELECT coin_id, epoch_ms(observed_at), price_usd FROM read_parquet(?, hive_partitioning = false)
"""


def to_key(coin_id: str, at: datetime) -> Key:
    """Return the key of an observation."""
    return coin_id, (at - EPOCH) // MILLISECOND


def day_of(key: Key) -> date:
    """Return the UTC day of an observation."""
    return (EPOCH + key[1] * MILLISECOND).date()


def read_rows(connection: psycopg.Connection, first_day: date | None) -> dict[Key, float]:
    """Return the prices that the database holds since a UTC day; None: all."""
    rows = connection.execute(ROWS, [first_day or date(2020, 1, 1)]).fetchall()
    return {(coin_id, at): price for coin_id, at, price in rows}


def count_rows(connection: psycopg.Connection) -> Counter[date]:
    """Return the number of observations of each day that has any."""
    return Counter(dict(connection.execute(ROWS_BY_DAY).fetchall()))


def read_days(connection: psycopg.Connection) -> set[date]:
    """Return the days that have a partition."""
    return {day for (day,) in connection.execute(DAYS).fetchall()}


def read_spool(state_dir: Path) -> tuple[dict[Key, float], list[str]]:
    """Return the prices that wait on disk, and the names of the files that a run would drain."""
    waiting: dict[Key, float] = {}
    names: list[str] = []
    for path in (state_dir / "spool").glob("[!.]*"):
        names += [path.name] if path.suffix == ".jsonl" else []
        for kind, *fields in map(json.loads, path.read_text().splitlines()):
            if kind == "row":
                waiting[to_key(fields[0], datetime.fromisoformat(fields[1]))] = fields[2]
    return waiting, names


def read_archived_day(folder: Path, day: date) -> dict[Key, float]:
    """Return the prices that the archive holds of a day."""
    paths = [str(path) for path in folder.rglob("*.parquet") if f"{day}" in str(path)]
    with duckdb.connect() as engine:
        rows = engine.execute(ARCHIVED, [paths]).fetchall() if paths else []
    return {(coin_id, at): price for coin_id, at, price in rows}


def read_usage_log(state_dir: Path) -> list[dict[str, float | str]]:
    """Return the entries of the usage log."""
    path = state_dir / "usage_log.json"
    entries: list[dict[str, float | str]] = json.loads(path.read_text()) if path.exists() else []
    return entries


def read_health(registry_path: Path) -> Health:
    """Return each coin's status and strikes. Raises ValueError if the registry is damaged."""
    if not registry_path.exists():
        return {}
    coins = json.loads(registry_path.read_text())["coins"]
    return {c["id"]: (c.get("status", "active"), c.get("strikes", 0)) for c in coins}
