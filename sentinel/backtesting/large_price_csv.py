"""Read price files of millions of lines with DuckDB."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sentinel.backtesting.price_csv_format import (
    FIRST_SECOND,
    LAST_SECOND,
    MAX_PRICE_USD,
    MIN_PRICE_USD,
    UNITS,
    Layout,
    Rows,
)

if TYPE_CHECKING:
    import duckdb

# The values in braces are expressions of this module, never text of the file or of the user.
# error() ends the statement: the caller finds the bad line.
LOAD = """
CREATE TEMP TABLE loaded AS
SELECT {coin} AS coin_id, {seconds} AS seconds,
       CASE WHEN price BETWEEN {least} AND {most} THEN price ELSE error('price') END AS price
       {amounts}
FROM read_csv($path, header = true, auto_detect = false, delim = ',', quote = '"', escape = '"',
              columns = {columns})
WHERE {is_wanted}
"""
COIN = "coalesce(nullif(trim(coin), ''), error('coin'))"
IS_WANTED = "lower({coin}) IN (SELECT unnest($wanted::varchar[]))"
# DuckDB alone would also read 2021/01/01, 24:00 and names of zones, which small files may not have.
# The years are those of FIRST_SECOND and LAST_SECOND.
ISO_TIME = (
    r"2[01]\d\d-\d\d-\d\d([ T]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?"
    r"(Z| UTC|[+-]\d\d(:\d\d)?)?)?"
)
ISO_SECONDS = """
CASE WHEN regexp_full_match(time, '{pattern}') THEN epoch_us(time::timestamptz) / 1e6
     ELSE error('time') END
"""
EPOCH_SECONDS = "CASE {units} ELSE error('time') END"
AMOUNT = """, CASE WHEN {name} IS NULL OR isnan({name}) THEN 'nan'::double
            WHEN {name} >= 0 AND {name} < 'inf'::double THEN {name} ELSE error('{name}') END
       AS {name}"""
COIN_IDS = "SELECT DISTINCT coin_id FROM loaded ORDER BY coin_id"
# Numbers instead of names: NumPy would make a string of each row. No join: it could change the
# order of the rows.
MAKE_CODES = "CREATE TYPE coin AS ENUM (SELECT DISTINCT coin_id FROM loaded ORDER BY coin_id)"
READ = """
SELECT enum_code(coin_id::coin)::uinteger AS coin, * EXCLUDE (coin_id) FROM loaded
"""


def read(path: Path, layout: Layout, first: Sequence[str], wanted: Collection[str]) -> Rows | None:
    """Return the rows of all coins, or of the `wanted` ones (lower case).

    `first` is the first row: it tells whether times are numbers. Returns None if DuckDB is not
    installed, or refuses a line.
    """
    try:
        import duckdb
    except ModuleNotFoundError:
        return None
    try:
        with duckdb.connect() as engine:
            engine.execute("SET TimeZone = 'UTC'")
            return _read(engine, path, layout, first, wanted)
    except duckdb.Error:
        return None


def _read(
    engine: duckdb.DuckDBPyConnection,
    path: Path,
    layout: Layout,
    first: Sequence[str],
    wanted: Collection[str],
) -> Rows | None:
    parameters: dict[str, object] = {"path": str(path)}
    if wanted:
        parameters["wanted"] = list(wanted)
    if layout.coin is None:
        parameters["coin"] = layout.coin_of_file
    engine.execute(_build_load(layout, first, is_all=not wanted), parameters)
    coin_ids = [coin_id for (coin_id,) in engine.execute(COIN_IDS).fetchall()]
    if any(coin_id != coin_id.strip() for coin_id in coin_ids):
        return None  # DuckDB keeps a tab beside a name
    engine.execute(MAKE_CODES)
    found = engine.execute(READ).fetchnumpy()
    unknown = np.broadcast_to(np.nan, len(found["coin"]))
    names = ("coin", "seconds", "price", "volume", "market_cap")
    return Rows(coin_ids, *(np.asarray(found.get(name, unknown)) for name in names))


def _build_load(layout: Layout, first: Sequence[str], *, is_all: bool) -> str:
    is_epoch = _is_number(first[layout.time] if layout.time < len(first) else "")
    units = " ".join(
        f"WHEN time / {unit} BETWEEN {FIRST_SECOND} AND {LAST_SECOND} THEN time / {unit}"
        for unit in UNITS
    )
    kinds = ["VARCHAR"] * layout.width
    names = [f"unused{place}" for place in range(layout.width)]
    for place, name, kind in (
        (layout.time, "time", "DOUBLE" if is_epoch else "VARCHAR"),
        (layout.price, "price", "DOUBLE"),
        (layout.coin, "coin", "VARCHAR"),
        (layout.volume, "volume", "DOUBLE"),
        (layout.market_cap, "market_cap", "DOUBLE"),
    ):
        if place is not None:
            names[place], kinds[place] = name, kind
    coin = "$coin" if layout.coin is None else COIN
    return LOAD.format(
        coin=coin,
        seconds=EPOCH_SECONDS.format(units=units)
        if is_epoch
        else ISO_SECONDS.format(pattern=ISO_TIME),
        least=MIN_PRICE_USD,
        most=MAX_PRICE_USD,
        amounts="".join(
            AMOUNT.format(name=name) for name in ("volume", "market_cap") if name in names
        ),
        columns=dict(zip(names, kinds, strict=True)),
        is_wanted="true" if is_all else IS_WANTED.format(coin=coin),
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
