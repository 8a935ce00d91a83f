"""Where the sandbox has its prices from: a file, or the database with the archive behind it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from safe_zone import RETENTION, Settings
from sentinel.archive import export, reader
from sentinel.archive.store import Archive
from sentinel.backtesting import price_csv, price_series
from sentinel.backtesting.price_series import Series
from sentinel.errors import ConfigurationError
from sentinel.storage import schema
from sentinel.storage.connection import Connection

log = logging.getLogger("sentinel.prices")
FEWEST_POINTS = 2
TOP_COINS = 10  # the best ranked ones, where nobody names any
MOST_DAYS = 3_650

# Coins by id, symbol or name, in the order they were asked for; of several alike the best ranked.
FIND_COINS = """
SELECT DISTINCT ON (w.place) w.term, c.coin_id
FROM unnest(%(terms)s::text[]) WITH ORDINALITY AS w (term, place)
LEFT JOIN coins c ON lower(w.term) IN (c.coin_id, lower(c.symbol), lower(c.name))
ORDER BY w.place, c.coin_id = lower(w.term) DESC, c.rank NULLS LAST, c.coin_id
"""
PRICED = """
SELECT coin_id FROM coins WHERE coin_id = ANY (%(coin_ids)s) AND observed_at IS NOT NULL
"""
BEST_COINS = """
SELECT coin_id FROM coins WHERE observed_at IS NOT NULL ORDER BY rank NULLS LAST, coin_id
LIMIT %(limit)s
"""


def from_file(path: Path, terms: Sequence[str]) -> Mapping[str, Series]:
    """The series of a price file, of all its coins or of those named. Raises ConfigurationError."""
    found = {
        coin: price_series.from_points(points) for coin, points in price_csv.read(path).items()
    }
    by_folded = {coin.lower(): coin for coin in found}
    unknown = [term for term in terms if term.lower() not in by_folded]
    if unknown:
        known = ", ".join(list(found)[:10])
        raise ConfigurationError(
            f"{path} holds no prices of {', '.join(unknown)}: a file is asked by its own "
            f"ids, such as {known}"
        )
    chosen = [by_folded[term.lower()] for term in terms] or list(found)
    return _checked({coin: found[coin] for coin in dict.fromkeys(chosen)}, str(path))


def from_database(
    settings: Settings, terms: Sequence[str], days: float, now: datetime
) -> Mapping[str, Series]:
    """The series of the last days out of database and archive, of the coins named or of the best
    ranked ones.

    Raises ConfigurationError, StorageUnavailable, ArchiveUnavailable, ArchiveDamaged.
    """
    with schema.open_session(settings) as session:
        place = session.address.place
        coin_ids = session.use(lambda connection: resolve(connection, terms))
        start = now - timedelta(days=days)
        archive = export.archive_of(settings)
        found = session.use(lambda c: read(c, archive, coin_ids, start, now))
        missing = [coin_id for coin_id in coin_ids if coin_id not in found]
        if missing or not coin_ids:
            what = f"no prices of {', '.join(missing)}" if missing else "no prices"
            raise ConfigurationError(
                f"{place} holds {what} in the last {days:g} days: let ingest.py run, or "
                "name a file with --csv"
            )
        first = datetime.fromtimestamp(min(own.times[0] for own in found.values()), UTC)
        if days > RETENTION.days and first - start > timedelta(days=1):
            log.warning(
                "prices begin on %s, %d days later than was asked for: without an archive there "
                "are sixty days",
                first.date(),
                (first - start).days,
            )
        return _checked(found, place)


def read(
    connection: Connection,
    archive: Archive | None,
    coin_ids: Sequence[str],
    start: datetime,
    stop: datetime,
) -> Mapping[str, Series]:
    """The series of coins from `start` to before `stop`, as far as there are any."""
    points = reader.read_points(connection, archive, coin_ids, start, stop)
    found = price_series.by_coin(points.coin_id, points.seconds, points.price, points.is_observed)
    return {coin_id: found[coin_id] for coin_id in coin_ids if coin_id in found}


def resolve(connection: Connection, terms: Sequence[str]) -> list[str]:
    """Coin ids of what was named; a term that nobody knows is taken for the id of a coin that is in
    the archive alone. Without terms the best ranked coins."""
    if not terms:
        return [coin_id for (coin_id,) in connection.execute(BEST_COINS, {"limit": TOP_COINS})]
    rows = connection.execute(FIND_COINS, {"terms": list(terms)})
    return list(dict.fromkeys(coin_id or term for term, coin_id in rows))


def without_prices(connection: Connection, coin_ids: Sequence[str]) -> list[str]:
    """Those of these coins that have no price in the database."""
    rows = connection.execute(PRICED, {"coin_ids": list(coin_ids)}).fetchall()
    priced = {coin_id for (coin_id,) in rows}
    return [coin_id for coin_id in coin_ids if coin_id not in priced]


def _checked(found: Mapping[str, Series], place: str) -> Mapping[str, Series]:
    short = [coin for coin, own in found.items() if len(own) < FEWEST_POINTS]
    if short:
        raise ConfigurationError(
            f"{place} holds a single price of {', '.join(short)}: nothing can be traded on it"
        )
    return found
