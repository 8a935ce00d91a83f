"""The archive: a folder or an object store with one Parquet file for each UTC day."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from safe_zone import Settings
from sentinel.archive.cache import limit_cache, mark_as_used
from sentinel.archive.day_file import DayFile, index_by_day, parse_name
from sentinel.errors import (
    ArchiveDamaged,
    ArchiveUnavailable,
    ConfigurationError,
    SentinelError,
)
from sentinel.fields import complete_path
from sentinel.files import replace_atomically
from sentinel.process import describe_error

T = TypeVar("T")
INSTALL = "python -m pip install -r requirements/archive.txt"
PARALLEL_DOWNLOADS = 8  # a store takes a tenth of a second per file, however small it is
TIMEOUT_SECONDS = 60.0  # to read or write one file; the largest real one has tens of MB
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?")  # one letter is a Windows drive

# Short timeouts: a run waits for the archive, so it must notice a dead store within seconds.
_STORE_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {
            "connect_timeout": 5,
            "read_timeout": 20,
            "retries": {"max_attempts": 2},
        },
    },
    "gs": {"use_listings_cache": False, "requests_timeout": TIMEOUT_SECONDS},
}


@dataclass(frozen=True, slots=True)
class Archive:
    """A folder or an object store that holds day files."""

    # The address as the user set it.
    url: str
    # The local folder; None for an object store.
    folder: Path | None
    # Where downloaded files stay, so that each is downloaded once.
    cache: Path

    @property
    def location(self) -> str:
        """The folder or the address, always written in the same way."""
        return str(self.folder) if self.folder else self.url.rstrip("/")

    def days(self) -> dict[date, DayFile]:
        """Return the archived days. Raises ArchiveUnavailable.

        A day has two files if a process ended after it wrote the new one and before it removed the
        old one. The file with more rows counts.
        """
        return index_by_day(self.files())

    def files(self) -> list[DayFile]:
        """Return all day files; other files are ignored. Raises ArchiveUnavailable."""
        names = self._run_with_timeout("be listed", self._list)
        return [file for name in names if (file := parse_name(name))]

    def put(self, path: Path, day: date, rows: int) -> DayFile:
        """Store the file of a day, read it back and return it.

        Raises ArchiveUnavailable, also if the bytes that come back are not those that were stored.
        """
        content = path.read_bytes()
        file = DayFile(day, rows, hashlib.sha256(content).hexdigest())
        self._run_with_timeout("be written", lambda: self._write(file.name, content))
        stored = self._run_with_timeout("be read", lambda: self._read(file.name))
        if not _is_intact(stored, file):
            self.remove(file)
            raise ArchiveUnavailable(
                f"The archive {self.location} returned other bytes than were stored for {file.day}."
            )
        return file

    def remove(self, file: DayFile) -> None:
        """Remove a file and its cached copy. Raises ArchiveUnavailable."""
        self._run_with_timeout("be cleared", lambda: self._remove(file.name))
        if not self.folder:
            (self.cache / file.name).unlink(missing_ok=True)

    def fetch(self, file: DayFile, *, refresh: bool = False) -> Path:
        """Return a local path to a day's file after verifying its SHA-256.

        With `refresh`, the cached copy is ignored. Raises ArchiveDamaged if the bytes do not match,
        ArchiveUnavailable if the file cannot be read.
        """
        path = (self.folder or self.cache) / file.name
        if not (self.folder or refresh):
            with contextlib.suppress(FileNotFoundError):
                if _is_intact(path.read_bytes(), file):
                    mark_as_used(path)
                    return path
        content = self._run_with_timeout("be read", lambda: self._read(file.name))
        if not _is_intact(content, file):
            raise ArchiveDamaged(
                f"{file.name} in the archive {self.location} is damaged: its bytes are not those "
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

    # --- the only methods that touch disk or network -----------------------------------------

    def _list(self) -> list[str]:
        if self.folder:
            return [path.name for path in self.folder.iterdir()] if self.folder.exists() else []
        system, root = self._open_file_system()
        with contextlib.suppress(FileNotFoundError):  # an empty folder of a bucket does not exist
            return [str(path).rpartition("/")[2] for path in system.ls(root, detail=False)]
        return []

    def _write(self, name: str, content: bytes) -> None:
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Prices are no secret, and workers of a cluster may run as another user.
            replace_atomically(self.folder / name, content, new_mode=0o644)
            return
        system, root = self._open_file_system()
        system.pipe_file(f"{root}/{name}", content)

    def _read(self, name: str) -> bytes:
        if self.folder:
            return (self.folder / name).read_bytes()
        system, root = self._open_file_system()
        return bytes(system.cat_file(f"{root}/{name}"))

    def _remove(self, name: str) -> None:
        if self.folder:
            (self.folder / name).unlink(missing_ok=True)
            return
        system, root = self._open_file_system()
        system.rm_file(f"{root}/{name}")

    def _open_file_system(self) -> tuple[Any, str]:
        """Return the fsspec file system of the object store, and the folder in it."""
        import fsspec

        scheme = self.url.partition("://")[0]
        system, root = fsspec.url_to_fs(self.url, **_STORE_OPTIONS[scheme])
        return system, str(root).rstrip("/")

    def _run_with_timeout(self, what: str, work: Callable[[], T]) -> T:
        """Return the result of `work`. Raises ArchiveUnavailable after TIMEOUT_SECONDS.

        `work` runs in a thread, because a network disk can block a read for minutes.
        """
        future: Future[T] = Future()

        def attempt() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised again by the caller's thread
                future.set_exception(error)

        threading.Thread(target=attempt, daemon=True).start()
        try:
            return future.result(TIMEOUT_SECONDS)
        except SentinelError:
            raise
        except Exception as error:
            late = f"no response in {TIMEOUT_SECONDS:.0f} s"
            cause = describe_error(error) if future.done() else late
            raise ArchiveUnavailable(
                f"The archive {self.location} cannot {what} ({cause})."
            ) from error


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
    scheme = _SCHEME.match(url)
    if scheme is None or scheme[0] == "file://":
        try:
            folder = complete_path(Path(url.removeprefix("file://")))
        except ValueError as error:
            raise ConfigurationError(f"ARCHIVE_URL {error}") from error
        return Archive(url, folder, cache)
    if scheme[1] not in _STORE_OPTIONS or not scheme[2]:
        raise ConfigurationError(
            f"ARCHIVE_URL begins with '{scheme[0][:20]}': it must be a folder, s3://bucket/folder "
            "or gs://bucket/folder"
        )
    if "@" in url:
        raise ConfigurationError(
            "ARCHIVE_URL holds a user or a password: set the store's own variables instead, such "
            "as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    _prepare_object_store(scheme[1])
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


def _prepare_object_store(scheme: str) -> None:
    """Load the file system of an object store. Raises ConfigurationError if it is not installed."""
    import fsspec

    # Without this, gcsfs asks Google's control plane for the type of the bucket each time, which
    # may be forbidden. It also logs, with a traceback, every error that it raises.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL + 1)
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise ConfigurationError(
            f"ARCHIVE_URL begins with {scheme}://, but the package for it is not installed: "
            "python -m pip install -r requirements/object-stores.txt"
        ) from error


def _is_intact(content: bytes, file: DayFile) -> bool:
    return hashlib.sha256(content).hexdigest() == file.sha256
