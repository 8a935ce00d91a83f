"""The archive: a folder or an object store with one Parquet file for each UTC day."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel.archive.cache import limit_cache, mark_as_used
from sentinel.archive.day_file import FOLDER, DayFile, index_by_day, parse_path
from sentinel.errors import (
    ArchiveDamaged,
    ArchiveUnavailable,
    ConfigurationError,
)
from sentinel.file_store import FileStore, find_folder
from sentinel.files import replace_atomically

if TYPE_CHECKING:  # workers of a cluster have no settings
    from safe_zone import Settings

INSTALL = "python -m pip install -r requirements/archive.txt"
PARALLEL_DOWNLOADS = 8  # a store takes a tenth of a second per file, however small it is


@dataclass(frozen=True, slots=True)
class Archive(FileStore):
    """A folder or an object store that holds day files."""

    subject = "The archive"
    error = ArchiveUnavailable

    # Where downloaded files stay, so that each is downloaded once.
    cache: Path

    def days(self) -> dict[date, DayFile]:
        """Return the archived days. Raises ArchiveUnavailable.

        A day has two files if a process ended after it wrote the new one and before it removed the
        old one. The file with more rows counts.
        """
        return index_by_day(self.files())

    def files(self) -> list[DayFile]:
        """Return all day files; other files are ignored. Raises ArchiveUnavailable."""

        def list_both() -> list[str]:
            return [*self._list(), *self._list_below(FOLDER)]

        paths = self._run_with_timeout("be listed", list_both)
        return [file for path in paths if (file := parse_path(path))]

    def put(self, path: Path, day: date, rows: int) -> DayFile:
        """Store the file of a day, read it back and return it.

        Raises ArchiveUnavailable, also if the bytes that come back are not those that were stored.
        """
        content = path.read_bytes()
        file = DayFile(day, rows, hashlib.sha256(content).hexdigest())
        self._run_with_timeout("be written", lambda: self._write(file.path, content))
        stored = self._run_with_timeout("be read", lambda: self._read(file.path))
        if not _is_intact(stored, file):
            self.remove(file)
            raise ArchiveUnavailable(
                f"The archive {self.location} returned other bytes than were stored for {file.day}."
            )
        return file

    def remove(self, file: DayFile) -> None:
        """Remove a file and its cached copy. Raises ArchiveUnavailable."""
        self._run_with_timeout("be cleared", lambda: self._remove(file.path))
        if not self.folder:
            (self.cache / file.name).unlink(missing_ok=True)

    def fetch(self, file: DayFile, *, refresh: bool = False) -> Path:
        """Return a local path to a day's file after verifying its SHA-256.

        With `refresh`, the cached copy is ignored. Raises ArchiveDamaged if the bytes do not match,
        ArchiveUnavailable if the file cannot be read.
        """
        path = self.folder / file.path if self.folder else self.cache / file.name
        if not (self.folder or refresh):
            with contextlib.suppress(FileNotFoundError):
                if _is_intact(path.read_bytes(), file):
                    mark_as_used(path)
                    return path
        content = self._run_with_timeout("be read", lambda: self._read(file.path))
        if not _is_intact(content, file):
            raise ArchiveDamaged(
                f"{file.path} in the archive {self.location} is damaged: its bytes are not those "
                "that were written. Restore it from a copy; or delete it, and continue without "
                "that day with python archive.py forget."
            )
        if self.folder:
            return path
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            replace_atomically(path, content)
            limit_cache(self.cache.parent)
        except OSError as error:
            raise ArchiveUnavailable(
                f"A copy of {file.day} cannot be written to {self.cache} ({error.strerror})."
            ) from error
        return path

    def fetch_all(self, files: Iterable[DayFile]) -> list[Path]:
        """Return local paths of several files, downloaded in parallel. Raises what `fetch` does."""
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS, "archive") as pool:
            return list(pool.map(self.fetch, files))


def open_configured_archive(settings: Settings) -> Archive | None:
    """Return the archive of ARCHIVE_URL, or None if it is not set. Raises ConfigurationError."""
    if not settings.archive_url:
        return None
    return open_archive(settings.archive_url, settings.state_dir / "archive")


def open_archive(url: str, cache: Path) -> Archive:
    """Return the archive at a folder or an address such as s3://bucket/folder.

    Sends no request yet. Raises ConfigurationError if the address is invalid or a package is
    missing.
    """
    _require_packages()
    folder = find_folder("ARCHIVE_URL", url)
    if folder:
        return Archive(url, folder, cache)
    # A cache for each address: the same day may have other bytes in another archive.
    subfolder = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    return Archive(url, None, cache / subfolder)


def _require_packages() -> None:
    try:
        import duckdb  # noqa: F401
        import fsspec  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            f"ARCHIVE_URL is set, but {error.name} is not installed: {INSTALL}"
        ) from error


def _is_intact(content: bytes, file: DayFile) -> bool:
    return hashlib.sha256(content).hexdigest() == file.sha256
