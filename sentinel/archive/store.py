"""The archive: past days as Parquet, one file a UTC day, in a folder or an object store.

A file's name holds its day, its rows and the SHA-256 of its bytes, so that a listing says what
there is, and every reader tells a damaged file from a sound one before it takes a number from it:
`observations-2026-09-21-48000-<64 hex digits>.parquet`. Rows are sorted by coin and time; columns:
`coin_id` text, `observed_at` timestamptz, `price`, `market_cap`, `volume_24h` (USD, double),
`source` text.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sentinel.errors import ArchiveDamaged, ArchiveUnavailable, ConfigurationError, SentinelError
from sentinel.files import replace_atomically
from sentinel.process import describe_error

T = TypeVar("T")
INSTALL = "python -m pip install -r requirements/archive.txt"
FETCHED_AT_ONCE = 8  # a store answers after a tenth of a second, however small the file
PATIENCE_SECONDS = 60.0  # for one file to come or go; the largest honest one has tens of MB
_NAME = re.compile(r"observations-(\d{4}-\d\d-\d\d)-(\d+)-([0-9a-f]{64})\.parquet")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?")  # one letter is a drive of Windows

# An object store that does not answer is to be found out in seconds: a run waits for it.
_STORES: dict[str, dict[str, Any]] = {
    "s3": {
        "use_listings_cache": False,
        "config_kwargs": {
            "connect_timeout": 5,
            "read_timeout": 20,
            "retries": {"max_attempts": 2},
        },
    },
    "gs": {"use_listings_cache": False, "requests_timeout": PATIENCE_SECONDS},
}


class DayFile(NamedTuple):
    """One day's file, by what its name says."""

    day: date
    rows: int
    sha256: str

    @property
    def name(self) -> str:
        """The name that says it."""
        return f"observations-{self.day.isoformat()}-{self.rows}-{self.sha256}.parquet"


@dataclass(frozen=True, slots=True)
class Archive:
    """A place where days are kept. `folder` is a local one, or None where `url` names an object
    store; what is fetched from there lies in `cache`, to be fetched once."""

    url: str
    folder: Path | None
    cache: Path

    @property
    def place(self) -> str:
        """The place for people, however it was written."""
        return str(self.folder) if self.folder else self.url.rstrip("/")

    def days(self) -> dict[date, DayFile]:
        """What is archived, by day; of a day with two files (a crash between writing the one and
        removing the other) the fuller. Raises ArchiveUnavailable."""
        return by_day(self.files())

    def files(self) -> list[DayFile]:
        """Every file there is of ours. Raises ArchiveUnavailable."""
        names = self._ask("be listed", self._list)
        return [file for name in names if (file := day_file(name))]

    def put(self, path: Path, day: date, rows: int) -> DayFile:
        """Store a day's file and read it back; returns what is stored now.

        Raises ArchiveUnavailable also where other bytes come back than went there.
        """
        content = path.read_bytes()
        file = DayFile(day, rows, hashlib.sha256(content).hexdigest())
        self._ask("be written", lambda: self._write(file.name, content))
        back = self._ask("be read", lambda: self._read(file.name))
        if hashlib.sha256(back).hexdigest() != file.sha256:
            self.remove(file)
            raise ArchiveUnavailable(
                f"The archive {self.place} gave back other bytes than it was given for {file.day}."
            )
        return file

    def remove(self, file: DayFile) -> None:
        """Forget a file, and a copy of it here. Raises ArchiveUnavailable."""
        self._ask("be cleared", lambda: self._remove(file.name))
        if not self.folder:
            (self.cache / file.name).unlink(missing_ok=True)

    def fetch(self, file: DayFile, *, anew: bool = False) -> Path:
        """A local path of a day whose bytes are those that its name speaks of; `anew` where what
        was fetched before does not count.

        Raises ArchiveDamaged where they are not, ArchiveUnavailable where it does not come.
        """
        if self.folder:
            path = self.folder / file.name
            self._ask("be read", lambda: _check(path, file, self.place))
            return path
        path = self.cache / file.name
        with contextlib.suppress(FileNotFoundError, ArchiveDamaged):
            if not anew:
                return _check(path, file, self.place)
        content = self._ask("be read", lambda: self._read(file.name))
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise _damaged(file, self.place)
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            replace_atomically(path, content)
        except OSError as error:
            raise ArchiveUnavailable(
                f"No room for a copy of {file.day} in {self.cache} ({error.strerror})."
            ) from error
        return path

    def fetch_all(self, files: Iterable[DayFile]) -> list[Path]:
        """The local paths of days, several fetched at once. Raises what `fetch` does."""
        with ThreadPoolExecutor(FETCHED_AT_ONCE, "archive") as pool:
            return list(pool.map(self.fetch, files))

    # --- the one place that touches disk or network ------------------------------------------

    def _list(self) -> list[str]:
        if self.folder:
            return [path.name for path in self.folder.iterdir()] if self.folder.exists() else []
        system, root = self._remote()
        with contextlib.suppress(FileNotFoundError):  # a bucket's folder that holds nothing yet
            return [str(path).rpartition("/")[2] for path in system.ls(root, detail=False)]
        return []

    def _write(self, name: str, content: bytes) -> None:
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_atomically(self.folder / name, content)
            return
        system, root = self._remote()
        system.pipe_file(f"{root}/{name}", content)

    def _read(self, name: str) -> bytes:
        if self.folder:
            return (self.folder / name).read_bytes()
        system, root = self._remote()
        return bytes(system.cat_file(f"{root}/{name}"))

    def _remove(self, name: str) -> None:
        if self.folder:
            (self.folder / name).unlink(missing_ok=True)
            return
        system, root = self._remote()
        system.rm_file(f"{root}/{name}")

    def _remote(self) -> tuple[Any, str]:
        """The object store's file system, and the folder in it."""
        import fsspec

        scheme = self.url.partition("://")[0]
        system, root = fsspec.url_to_fs(self.url, **_STORES[scheme])
        return system, str(root).rstrip("/")

    def _ask(self, what: str, work: Callable[[], T]) -> T:
        """Do `work`, which may hang, in PATIENCE_SECONDS. Raises ArchiveUnavailable."""
        outcome: list[T] = []
        trouble: list[BaseException] = []

        def attempt() -> None:
            try:
                outcome.append(work())
            except BaseException as error:  # noqa: BLE001 - handed on to who waits
                trouble.append(error)

        thread = threading.Thread(target=attempt, daemon=True)
        thread.start()
        thread.join(PATIENCE_SECONDS)
        if outcome:
            return outcome[0]
        if trouble and isinstance(trouble[0], SentinelError):
            raise trouble[0]
        cause = describe_error(trouble[0]) if trouble else f"no answer in {PATIENCE_SECONDS:.0f} s"
        raise ArchiveUnavailable(f"The archive {self.place} cannot {what} ({cause}).") from (
            trouble[0] if trouble else None
        )


def open_archive(url: str, cache: Path) -> Archive:
    """The archive at a folder or an address such as s3://bucket/folder; nothing is asked yet.

    Raises ConfigurationError where the address cannot be understood or a package is missing.
    """
    try:
        import duckdb  # noqa: F401
        import fsspec
    except ImportError as error:
        raise ConfigurationError(
            f"ARCHIVE_URL is set, and {error.name} is not installed: {INSTALL}"
        ) from error
    scheme = _SCHEME.match(url)
    if scheme is None or scheme[0] == "file://":
        return Archive(url, Path(url.removeprefix("file://")).expanduser().absolute(), cache)
    if scheme[1] not in _STORES or not scheme[2]:
        raise ConfigurationError(
            f"ARCHIVE_URL begins with '{scheme[0][:20]}': it must be a folder, s3://bucket/folder "
            "or gs://bucket/folder"
        )
    if "@" in url:
        raise ConfigurationError(
            "ARCHIVE_URL holds a user or a password: give them to the store's own variables, such "
            "as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    # Else gcsfs asks Google's control plane what kind of bucket this is, each time anew where that
    # may not be known. What it logs, with a traceback, is what it raises.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL + 1)
    try:
        fsspec.get_filesystem_class(scheme[1])
    except ImportError as error:
        raise ConfigurationError(
            f"ARCHIVE_URL begins with {scheme[1]}://, and what speaks to it is not installed: "
            "python -m pip install -r requirements/object-stores.txt"
        ) from error
    own = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    return Archive(url, None, cache / own)


def by_day(files: Iterable[DayFile]) -> dict[date, DayFile]:
    """Files by their day; of a day with two the fuller."""
    return {file.day: file for file in sorted(files)}


def day_file(name: str) -> DayFile | None:
    """What a file's name says; None where it is none of ours."""
    found = _NAME.fullmatch(name)
    if not found:
        return None
    try:
        return DayFile(date.fromisoformat(found[1]), int(found[2]), found[3])
    except ValueError:
        return None


# --- what went wrong -------------------------------------------------------------------------


def _check(path: Path, file: DayFile, place: str) -> Path:
    with path.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != file.sha256:
            raise _damaged(file, place)
    return path


def _damaged(file: DayFile, place: str) -> ArchiveDamaged:
    return ArchiveDamaged(
        f"{file.name} in the archive {place} is damaged: its bytes are not those that were "
        "written. Bring it back from a copy; or delete it, and go on without that day with python "
        "archive.py forget."
    )
