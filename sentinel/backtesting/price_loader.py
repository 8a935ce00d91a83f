"""Load the price series of a backtest from the database and the archive."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from safe_zone import RETENTION, Settings
from sentinel.archive import reader
from sentinel.archive.parquet import Points
from sentinel.archive.store import Archive, open_configured_archive
from sentinel.arguments import IGNORE_BUDGET
from sentinel.backtesting import engine, price_series
from sentinel.backtesting.archived_prices import ArchivedDays
from sentinel.backtesting.price_series import LoadedPrices, PriceSeries
from sentinel.backtesting.time_span import Span
from sentinel.errors import ConfigurationError
from sentinel.storage import egress, egress_budget, schema
from sentinel.storage.connection import Connection
from sentinel.storage.egress_budget import LargeRead

log = logging.getLogger("sentinel.prices")
DEFAULT_COINS = 10  # the best ranked coins, unless the user names some
# How far before the start of trading a strategy sees prices, so that its averages begin with data.
WARM_UP = timedelta(days=30)
REMEDY = f"Name fewer --coins or --days, or a file with --csv, or add {IGNORE_BUDGET}."

# Coins by id, symbol or name, in the order of the terms; of several matches the best ranked one.
FIND_COINS = """
SELECT DISTINCT ON (w.place) w.term, c.coin_id
FROM unnest(%(terms)s::text[]) WITH ORDINALITY AS w (term, place)
LEFT JOIN sentinel.coins c ON lower(w.term) IN (c.coin_id, lower(c.symbol), lower(c.name))
ORDER BY w.place, c.coin_id = lower(w.term) DESC, c.rank NULLS LAST, c.coin_id
"""
UNPRICED_COINS = """
SELECT coin_id FROM unnest(%(coin_ids)s::text[]) AS coin_id
WHERE coin_id NOT IN (SELECT coin_id FROM sentinel.coins WHERE observed_at IS NOT NULL)
"""
BEST_COINS = """
SELECT coin_id FROM sentinel.coins WHERE observed_at IS NOT NULL ORDER BY rank NULLS LAST, coin_id
LIMIT %(limit)s
"""


def load_from_database(
    settings: Settings,
    terms: Sequence[str],
    span: Span,
    now: datetime,
    *,
    ignore_budget: bool = False,
) -> LoadedPrices:
    """Return the series of a span from database and archive, with WARM_UP before it.

    `terms` are coin ids, symbols or names; without any, the best ranked coins. Raises
    ConfigurationError, StorageUnavailable, ArchiveUnavailable, ArchiveDamaged, and BudgetExhausted
    unless `ignore_budget` is set.
    """
    read = StoredRead("This backtest", REMEDY, span.start - WARM_UP, span.stop)
    database, coin_ids, points = read_stored(settings, terms, read, now, is_forced=ignore_budget)
    series, start = price_series.split_by_coin(points), span.start.timestamp()
    found = {c: series[c] for c in coin_ids if c in series and series[c].times[-1] >= start}
    missing = [coin_id for coin_id in coin_ids if coin_id not in found]
    if missing or not coin_ids:
        what = f"no prices of {', '.join(missing)}" if missing else "no prices"
        raise ConfigurationError(
            f"{database} holds {what} {span.text}: run ingest.py, or name a file with --csv"
        )
    _warn_of_short_history(found, now, span.start)
    return engine.require_points(found, start, database, span.text)


class StoredRead(NamedTuple):
    """A read of database and archive that the egress budget is asked about."""

    # Such as "This backtest".
    subject: str
    # What to do if the budget does not allow it.
    remedy: str
    start: datetime
    # Excluded.
    stop: datetime


class StoredPoints(NamedTuple):
    """What a StoredRead found."""

    # For messages.
    database: str
    # What the terms meant; some of them may have no points.
    coin_ids: list[str]
    points: Points


def read_stored(
    settings: Settings, terms: Sequence[str], read: StoredRead, now: datetime, *, is_forced: bool
) -> StoredPoints:
    """Return the points of coins, each once. Raises like `load_from_database`."""
    with schema.open_session(settings) as session:
        coin_ids = session.use(lambda connection: resolve_coin_ids(connection, terms))
        archive = open_configured_archive(settings)
        session.use(lambda c: _ask_budget(c, settings, coin_ids, read, now, is_forced=is_forced))
        points = session.use(
            lambda c: reader.read_points(c, archive, coin_ids, read.start, read.stop)
        )
        return StoredPoints(session.address.display_name, coin_ids, points)


def _ask_budget(
    connection: Connection,
    settings: Settings,
    coin_ids: Sequence[str],
    read: StoredRead,
    now: datetime,
    *,
    is_forced: bool,
) -> None:
    if egress.find_compute(connection):  # otherwise counting would be in vain
        points = reader.count_points(connection, coin_ids, read.start, read.stop)
        size = points * egress_budget.BYTES_PER_OBSERVATION
        large = LargeRead(read.subject, size, read.remedy, 30, "one a day")
        egress_budget.request_read(connection, settings, large, now, is_forced=is_forced)


def _warn_of_short_history(
    found: Mapping[str, PriceSeries], now: datetime, start: datetime
) -> None:
    # One day of tolerance: the oldest partition is dropped as a whole.
    first = datetime.fromtimestamp(min(series.times[0] for series in found.values()), UTC)
    if start < now - RETENTION and first - start > timedelta(days=1):
        log.warning(
            "the prices begin on %s, %d days later than requested: without an archive the database "
            "keeps %d days",
            first.date(),
            (first - start).days,
            RETENTION.days,
        )


def find_archived_days(
    settings: Settings, prices: LoadedPrices, now: datetime
) -> ArchivedDays | None:
    """Return the days of these prices that workers of a cluster can read from an object store.

    They are whole days between the first and the last price which the database keeps no longer.
    Returns None if there are none, or if the archive is a folder. Raises ArchiveUnavailable.
    """
    archive = open_configured_archive(settings)
    if archive is None or archive.folder:
        return None
    first = min(float(series.times[0]) for series in prices.series.values())
    last = max(float(series.times[-1]) for series in prices.series.values())
    stop = min(datetime.fromtimestamp(last, UTC), now - RETENTION).date()
    start = datetime.fromtimestamp(first, UTC).date()
    files = [file for day, file in archive.days().items() if start < day < stop]
    return ArchivedDays(archive.url, files) if files else None


def read_series(
    connection: Connection,
    archive: Archive | None,
    coin_ids: Sequence[str],
    start: datetime,
    stop: datetime,
) -> Mapping[str, PriceSeries]:
    """Return the series of coins from `start` to before `stop`.

    Coins without prices are left out.
    """
    points = reader.read_points(connection, archive, coin_ids, start, stop)
    found = price_series.split_by_coin(points)
    return {coin_id: found[coin_id] for coin_id in coin_ids if coin_id in found}


def resolve_coin_ids(connection: Connection, terms: Sequence[str]) -> list[str]:
    """Return the coin ids of ids, symbols or names; without terms those of the best ranked coins.

    An unknown term is returned unchanged: it may be the id of a coin that only the archive holds.
    """
    if not terms:
        rows = connection.execute(BEST_COINS, {"limit": DEFAULT_COINS})
        return [coin_id for (coin_id,) in rows]
    rows = connection.execute(FIND_COINS, {"terms": list(terms)})
    return list(dict.fromkeys(coin_id or term for term, coin_id in rows))


def find_unpriced(connection: Connection, coin_ids: Sequence[str]) -> list[str]:
    """Return those of these coins that have no price in the database."""
    rows = connection.execute(UNPRICED_COINS, {"coin_ids": list(coin_ids)})
    return [coin_id for (coin_id,) in rows]
