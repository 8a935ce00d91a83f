"""A coin's price history, from the database and the archive, in steps of equal length."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np

from sentinel.archive.reader import read_points
from sentinel.archive.store import Archive
from sentinel.storage.connection import Connection
from services.api.queries.rows import Row, fetch_rows

# Length of a step by the name of the resolution; `raw` returns every observation.
STEPS = {
    "raw": timedelta(),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
}

RAW_HISTORY = """
SELECT observed_at, price_usd, price_usd AS low_usd, price_usd AS high_usd, volume_24h_usd,
       1 AS observations, (source = 'backfilled')::int AS backfilled
FROM sentinel.observations
WHERE coin_key = (SELECT coin_key FROM sentinel.coins WHERE coin_id = %(coin_id)s)
  AND observed_at >= %(start)s AND observed_at < %(end)s
ORDER BY observed_at
"""

# Steps are counted from 1970, so that requests at different times get the same steps.
#
# max() over pairs compares their first element, the time, and so finds the last price of a step
# without a sort.
HISTORY_IN_STEPS = """
SELECT date_bin(%(step)s, observed_at, 'epoch') AS observed_at,
       (max(ARRAY[extract(epoch FROM observed_at)::float8, price_usd]))[2] AS price_usd,
       min(price_usd) AS low_usd, max(price_usd) AS high_usd,
       (max(ARRAY[extract(epoch FROM observed_at)::float8, volume_24h_usd]))[2] AS volume_24h_usd,
       count(*) AS observations, count(*) FILTER (WHERE source = 'backfilled') AS backfilled
FROM sentinel.observations
WHERE coin_key = (SELECT coin_key FROM sentinel.coins WHERE coin_id = %(coin_id)s)
  AND observed_at >= %(start)s AND observed_at < %(end)s
GROUP BY 1
ORDER BY 1
"""


def read_history(
    connection: Connection, coin_id: str, start: datetime, end: datetime, resolution: str
) -> list[Row]:
    """Return a coin's history in one of the STEPS, downsampled by the database."""
    step = STEPS[resolution]
    parameters = {"coin_id": coin_id, "start": start, "end": end, "step": step}
    return fetch_rows(connection, HISTORY_IN_STEPS if step else RAW_HISTORY, parameters)


def read_archived_history(
    connection: Connection,
    archive: Archive,
    coin_id: str,
    start: datetime,
    end: datetime,
    resolution: str,
) -> list[Row]:
    """Return a coin's history from database and archive, downsampled in this process.

    Needs a connection outside pipeline mode, because it uses COPY. Raises ArchiveUnavailable and
    ArchiveDamaged.
    """
    points = read_points(connection, archive, [coin_id], start, end)
    if not len(points.seconds):
        return []
    step_seconds = STEPS[resolution].total_seconds()
    seconds = points.seconds
    starts = np.floor(seconds / step_seconds) * step_seconds if step_seconds else seconds
    # Positions of the first and the last observation of each step.
    firsts = np.flatnonzero(np.diff(starts, prepend=-1.0))
    lasts = np.append(firsts[1:], len(starts)) - 1
    columns = {
        "observed_at": [datetime.fromtimestamp(at, UTC) for at in starts[firsts].tolist()],
        "price_usd": points.price_usd[lasts].tolist(),
        "low_usd": np.minimum.reduceat(points.price_usd, firsts).tolist(),
        "high_usd": np.maximum.reduceat(points.price_usd, firsts).tolist(),
        "volume_24h_usd": [
            None if math.isnan(volume) else volume
            for volume in points.volume_24h_usd[lasts].tolist()
        ],
        "observations": (lasts - firsts + 1).tolist(),
        "backfilled": np.add.reduceat((~points.is_observed).astype(int), firsts).tolist(),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
