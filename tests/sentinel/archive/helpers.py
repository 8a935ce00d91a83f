"""What the tests of the archive share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb

import database
from safe_zone import Settings
from sentinel.archive import export, reader
from sentinel.archive.store import Archive, open_configured_archive
from sentinel.models import LoadCounts, MarketRow, Source
from sentinel.storage.connection import Session
from sentinel.storage.partitions import Fingerprint
from sentinel.storage.retention import ArchiveBeforeDrop
from tests.conftest import NOW, FreshDatabase
from tests.support.commands import Script

OLD = datetime(2026, 9, 15, 8, 0, 0, 250001, tzinfo=UTC)  # older than the retention at NOW
DAY = OLD.date()
KEPT = datetime(2026, 11, 18, 8, tzinfo=UTC)
SPECIAL_IDS = (
    "plain", "a,comma", 'a "quote"', '"', "two\nlines", "\r", "a\r\nb", "Ünïcode-币-🪙", " spaces ",
    "NULL", "\\N", "\\.", "it's", "tab\there", "C:\\x", "{}", "#",
)  # fmt: skip


def make_rows(
    at: datetime = OLD,
    *,
    coins: Iterable[str] = ("b", "a", "c"),
    times: int = 4,
    price: float = 1.0,
    source: Source = "observed",
) -> list[MarketRow]:
    return [
        MarketRow(
            coin_id, at + timedelta(minutes=15 * n), price + i / 3, 1e9 / 7 if i % 2 else None,
            None if n % 2 else 0.1 + 0.2, source,
        )
        for n in range(times)
        for i, coin_id in enumerate(coins)
    ]  # fmt: skip


def load_rows(
    session: Session,
    rows: Iterable[MarketRow],
    now: datetime,
    archive_hook: ArchiveBeforeDrop | None = None,
) -> LoadCounts:
    return database.run_write_transaction(
        session,
        lambda connection, days: database.load_batch(connection, rows, lambda _id: None, days),
        now,
        archive_hook=archive_hook,
    )


def purge(session: Session, settings: Settings, now: datetime = NOW) -> LoadCounts:
    """Load one row at `now` and purge the days that are older than the retention."""
    row = MarketRow("today", now, 1.0, None, None)
    return load_rows(session, [row], now, export.archive_hook(settings))


def open_archive(settings: Settings) -> Archive:
    found = open_configured_archive(settings)
    assert found
    return found


def export_days(session: Session, settings: Settings, *days: date) -> Mapping[date, Fingerprint]:
    return session.use(lambda c: dict(export.export_days(c, open_archive(settings), days, NOW)))


def read_points(
    session: Session,
    settings: Settings,
    start: datetime,
    stop: datetime,
    coins: Sequence[str] = ("a", "b", "c"),
) -> list[tuple[str, float, float]]:
    """Return (coin id, UNIX seconds, price) from database and archive."""
    found = session.use(
        lambda c: reader.read_points(c, open_archive(settings), list(coins), start, stop)
    )
    return list(zip(*(column.tolist() for column in found[:3]), strict=True))


def to_points(rows: Iterable[MarketRow]) -> list[tuple[str, float, float]]:
    return sorted((row.coin_id, row.observed_at.timestamp(), row.price_usd) for row in rows)


def list_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("observations/*/*.parquet"))


def read_content(path: Path) -> set[tuple[object, ...]]:
    """Return the rows of a file, read with DuckDB and none of the product's code."""
    with duckdb.default_connection().cursor() as engine:
        found = engine.execute(
            "SELECT coin_id, epoch_us(observed_at), price_usd, market_cap_usd, volume_24h_usd, "
            "source FROM read_parquet(?)",
            [str(path)],
        ).fetchall()
    assert len(found) == len(set(found))
    return set(found)


def to_content(rows: Iterable[MarketRow]) -> set[tuple[object, ...]]:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return {
        (row[0], (row.observed_at - epoch) // timedelta(microseconds=1), *row[2:]) for row in rows
    }


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def count_rows(fresh: FreshDatabase, day: date = DAY) -> int:
    """Return the number of rows of a day in the database."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    [(rows,)] = fresh.query(
        "SELECT count(*) FROM sentinel.observations WHERE observed_at >= %s AND observed_at < %s",
        start,
        start + timedelta(days=1),
    )
    return int(rows)


@dataclass(frozen=True)
class ArchiveCommand:
    """Runs archive.py with a database and a folder."""

    script: Script
    url: str
    folder: Path

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {"DATABASE_URL": self.url, "ARCHIVE_URL": str(self.folder)} | environment
        done = self.script("archive.py", *arguments, **variables)
        assert "hunter2" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done


def today_midnight() -> datetime:
    """Return today's midnight by the real clock, which the command reads."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
