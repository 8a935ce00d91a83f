"""Files in a folder or in an object store (`s3://`, `gs://`), by the same address in all settings.

The packages of object stores are only imported for an address that needs them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from sentinel.errors import ConfigurationError, SentinelError
from sentinel.files import create_folder, replace_atomically
from sentinel.process import describe_error

T = TypeVar("T")
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


class StoreUnavailable(SentinelError):
    """A folder or an object store cannot be used."""


@dataclass(frozen=True, slots=True)
class FileStore:
    """A folder or an object store that holds files.

    A subclass names itself in messages by `subject`, and raises its own `error`.
    """

    subject: ClassVar[str] = "The place"
    error: ClassVar[type[SentinelError]] = StoreUnavailable

    # The address as the user set it.
    url: str
    # The local folder; None for an object store.
    folder: Path | None

    @property
    def location(self) -> str:
        """The folder or the address, always written in the same way."""
        return str(self.folder) if self.folder else self.url.rstrip("/")

    def read_file(self, name: str, max_bytes: int) -> bytes | None:
        """Return a file, or its first `max_bytes`; None if it is missing. Raises `error`."""

        def read() -> bytes | None:
            with contextlib.suppress(FileNotFoundError):
                return self._read(name, max_bytes)
            return None

        return self._run_with_timeout("be read", read)

    def write_file(self, name: str, content: bytes) -> None:
        """Replace a file. Raises `error`."""
        self._run_with_timeout("be written", lambda: self._write(name, content))

    # --- the only methods that touch disk or network -----------------------------------------

    def _list(self) -> list[str]:
        if self.folder:
            return [path.name for path in self.folder.iterdir()] if self.folder.exists() else []
        system, root = self._open_file_system()
        with contextlib.suppress(FileNotFoundError):  # an empty folder of a bucket does not exist
            return [str(path).rpartition("/")[2] for path in system.ls(root, detail=False)]
        return []

    def _list_below(self, folder: str) -> list[str]:
        """Return the paths of all files in a folder and its folders, as `folder/…/name`."""
        if self.folder:
            return [
                p.relative_to(self.folder).as_posix() for p in (self.folder / folder).rglob("*")
            ]
        system, root = self._open_file_system()
        return [str(path)[len(root) + 1 :] for path in system.find(f"{root}/{folder}")]

    def _write(self, name: str, content: bytes) -> None:
        if self.folder:
            path = self.folder / name
            # No file is a secret, and a web server or workers of a cluster may run as another user.
            create_folder(path.parent, 0o755)
            replace_atomically(path, content, new_mode=0o644)
            return
        system, root = self._open_file_system()
        system.pipe_file(f"{root}/{name}", content)

    def _read(self, name: str, max_bytes: int | None = None) -> bytes:
        if self.folder:
            with (self.folder / name).open("rb") as file:
                return file.read(max_bytes)
        system, root = self._open_file_system()
        start = 0 if max_bytes else None
        return bytes(system.cat_file(f"{root}/{name}", start=start, end=max_bytes))

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
        """Return the result of `work`. Raises `error`, also after TIMEOUT_SECONDS.

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
            raise self.error(f"{self.subject} {self.location} cannot {what} ({cause}).") from error


def find_folder(variable: str, url: str) -> Path | None:
    """Return the folder that an address names, None for an object store.

    Sends no request. Raises ConfigurationError, which names the `variable`, if the address is
    invalid or a package is missing.
    """
    scheme = _SCHEME.match(url)
    if scheme is None or scheme[0] == "file://":
        # Here, because workers of a cluster read object stores, and may lack pydantic.
        from sentinel.fields import complete_path

        try:
            return complete_path(Path(url.removeprefix("file://")))
        except ValueError as error:
            raise ConfigurationError(f"{variable} {error}") from error
    if scheme[1] not in _STORE_OPTIONS or not scheme[2]:
        raise ConfigurationError(
            f"{variable} begins with '{scheme[0][:20]}': it must be a folder, s3://bucket/folder "
            "or gs://bucket/folder"
        )
    if "@" in url:
        raise ConfigurationError(
            f"{variable} holds a user or a password: set the store's own variables instead, such "
            "as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    _prepare_object_store(variable, scheme[1])
    return None


def _prepare_object_store(variable: str, scheme: str) -> None:
    """Load the file system of an object store. Raises ConfigurationError if it is not installed."""
    # Without this, gcsfs asks Google's control plane for the type of the bucket each time, which
    # may be forbidden. It also logs, with a traceback, every error that it raises.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL + 1)
    try:
        import fsspec

        fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise ConfigurationError(
            f"{variable} begins with {scheme}://, but the package for it is not installed: "
            "python -m pip install -r requirements/object-stores.txt"
        ) from error
