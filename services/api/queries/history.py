"""A coin's price history, from the database and the archive, in steps of equal length."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import numpy as np

from sentinel.archive import records
from sentinel.archive.reader import read_points
from sentinel.archive.store import Archive
from sentinel.storage.connection import Connection
from services.api.queries.rows import Row

# Length of a step by the name of the resolution; `raw` returns every observation.
STEPS = {
    "raw": timedelta(),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "2h": timedelta(hours=2),
    "4h": timedelta(hours=4),
    "6h": timedelta(hours=6),
    "12h": timedelta(hours=12),
    "1d": timedelta(days=1),
    "1w": timedelta(weeks=1),
}
MICROSECOND = timedelta(microseconds=1)
# Steps are counted from a fixed time, so that requests at different times get the same steps: from
# the first Monday of 2000.
FIRST_STEP = datetime(2000, 1, 3, tzinfo=UTC)
# PostgreSQL counts microseconds from here: timestamptz_send returns them.
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

# All observations of a span as one value: a record of POINT for each. To group them here takes a
# third of the time that PostgreSQL takes, and a value costs psycopg less than a row.
PACKED_POINTS = """
SELECT string_agg(timestamptz_send(observed_at) || float8send(price_usd)
                  || float8send(coalesce(volume_24h_usd, 'NaN'))
                  || CASE source WHEN 'backfilled' THEN '\\x01'::bytea ELSE '\\x00' END,
                  '' ORDER BY observed_at)
FROM sentinel.observations
WHERE coin_key = (SELECT coin_key FROM sentinel.coins WHERE coin_id = %(coin_id)s)
  AND observed_at >= %(start)s AND observed_at < %(end)s
"""
POINT = np.dtype(
    [("time", ">i8"), ("price_usd", ">f8"), ("volume_24h_usd", ">f8"), ("is_backfilled", "u1")]
)

FIRST_OBSERVATION = """
SELECT min(observed_at) FROM sentinel.observations
WHERE coin_key = (SELECT coin_key FROM sentinel.coins WHERE coin_id = %(coin_id)s)
"""


class _Points(NamedTuple):
    """NumPy columns of equal length, by time."""

    # Microseconds since FIRST_STEP.
    time: Any
    price_usd: Any
    # NaN where it is unknown.
    volume_24h_usd: Any
    is_backfilled: Any


def read_history(
    connection: Connection, coin_id: str, start: datetime, end: datetime, resolution: str
) -> list[Row]:
    """Return a coin's history in one of the STEPS, as the database holds it."""
    # In binary, because the text of a bytea is twice as long.
    with connection.cursor(binary=True) as cursor:
        parameters = {"coin_id": coin_id, "start": start, "end": end}
        [(packed,)] = cursor.execute(PACKED_POINTS, parameters).fetchall()
    stored = np.frombuffer(packed or b"", POINT)
    time = stored["time"].astype(np.int64) - (FIRST_STEP - POSTGRES_EPOCH) // MICROSECOND
    points = _Points(time, stored["price_usd"], stored["volume_24h_usd"], stored["is_backfilled"])
    return _group(points, STEPS[resolution])


def read_archived_history(
    connection: Connection,
    archive: Archive,
    coin_id: str,
    start: datetime,
    end: datetime,
    resolution: str,
) -> list[Row]:
    """Return a coin's history from database and archive in one of the STEPS.

    Needs a connection outside pipeline mode, because it uses COPY. Raises ArchiveUnavailable and
    ArchiveDamaged.
    """
    found = read_points(connection, archive, [coin_id], start, end)
    time = np.rint((found.seconds - FIRST_STEP.timestamp()) * 1e6).astype(np.int64)
    points = _Points(time, found.price_usd, found.volume_24h_usd, ~found.is_observed)
    return _group(points, STEPS[resolution])


def find_first_time(
    connection: Connection, archive: Archive | None, coin_id: str
) -> datetime | None:
    """Return when a coin's history begins, at the earliest: the archive is asked for its first day.

    None: nothing is stored.
    """
    first: datetime | None
    [(first,)] = connection.execute(FIRST_OBSERVATION, {"coin_id": coin_id}).fetchall()
    days = [file.day for file in records.list_archived(connection, archive)[0]] if archive else []
    if days:
        return datetime.combine(min(days), datetime.min.time(), UTC)
    return first


def _group(points: _Points, step: timedelta) -> list[Row]:
    """Return a row for each step that has points, with its start as text."""
    if not len(points.time):
        return []
    length = step // MICROSECOND
    starts = points.time // length * length if length else points.time
    # Positions of the first and the last observation of each step.
    firsts = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    lasts = np.append(firsts[1:], len(starts)) - 1
    columns = (
        _format(starts[firsts]),
        points.price_usd[firsts].tolist(),
        points.price_usd[lasts].tolist(),
        np.minimum.reduceat(points.price_usd, firsts).tolist(),
        np.maximum.reduceat(points.price_usd, firsts).tolist(),
        points.volume_24h_usd[lasts].tolist(),
        (lasts - firsts + 1).tolist(),
        np.add.reduceat(points.is_backfilled, firsts, dtype=int).tolist(),
    )
    return [
        {
            "observed_at": at,
            "open_usd": first,
            "price_usd": last,
            "low_usd": low,
            "high_usd": high,
            "volume_24h_usd": None if math.isnan(volume) else volume,
            "observations": observations,
            "backfilled": backfilled,
        }
        for at, first, last, low, high, volume, observations, backfilled in zip(
            *columns, strict=True
        )
    ]


def _format(times: Any) -> list[str]:
    """Return microseconds since FIRST_STEP in ISO 8601: as text they take half the time to send."""
    first = np.datetime64(FIRST_STEP.replace(tzinfo=None), "us")
    unit: Literal["s", "us"] = "us" if (times % 1_000_000).any() else "s"
    texts: list[str] = np.datetime_as_string(first + times, unit=unit, timezone="UTC").tolist()
    return texts
