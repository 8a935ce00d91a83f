"""A backup on disk: a dump, and beside it a manifest of what a restored database must hold."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from sentinel.errors import EXIT_UNHEALTHY, SentinelError
from sentinel.files import replace_atomically
from services.backup import rotation
from services.backup.checksums import Contents

BLOCK_BYTES = 1 << 20
PARTIAL = ".partial"
DAMAGED = ".damaged"


class BackupFailed(SentinelError):
    """The backup is none. Nothing was pruned."""

    exit_code = EXIT_UNHEALTHY


class Unreadable(BackupFailed):
    """A file cannot be opened: what is in it nobody knows."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a dump is to be: when it was begun and of which database, its digest and size, what it
    holds."""

    made_at: datetime
    database: str
    sha256: str
    size: int
    contents: Contents


@dataclass(frozen=True, slots=True)
class BackupFile:
    """A dump with its manifest."""

    path: Path
    manifest: Manifest


def manifest_path(dump: Path) -> Path:
    """Where a dump's manifest is."""
    return dump.with_name(f"{dump.name}.json")


def write_dump(source: IO[bytes], path: Path) -> tuple[str, int]:
    """Write a stream to disk for good; returns its digest and size. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    private = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it holds a portfolio
    with os.fdopen(private, "wb") as file:
        while block := source.read(BLOCK_BYTES):
            file.write(block)
            digest.update(block)
            size += len(block)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def digest_of(path: Path) -> str:
    """The digest of what lies on disk. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(backup: BackupFile) -> None:
    """With its manifest in place a dump is a backup. Raises OSError."""
    manifest = backup.manifest
    content = {
        "made_at": manifest.made_at.isoformat(),
        "database": manifest.database,
        "sha256": manifest.sha256,
        "size": manifest.size,
        "contents": manifest.contents.as_json(),
    }
    text = json.dumps(content, indent=1)
    replace_atomically(manifest_path(backup.path), text.encode())


def read_manifest(dump: Path) -> Manifest:
    """A dump's manifest. Raises BackupFailed where there is none, or none that can be read."""
    path = manifest_path(dump)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Manifest(
            datetime.fromisoformat(content["made_at"]),
            str(content["database"]),
            str(content["sha256"]),
            int(content["size"]),
            Contents.from_json(content["contents"]),
        )
    except FileNotFoundError as error:
        raise BackupFailed(
            f"{dump} has no manifest ({path.name}) beside it: nobody has proven it. A dump without "
            "one is no backup of ours; pg_restore can still read it by hand."
        ) from error
    except OSError as error:
        raise Unreadable(f"The manifest {path} cannot be opened ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackupFailed(f"The manifest {path} makes no sense ({error}).") from error


def check(dump: Path) -> BackupFile:
    """A dump that is, byte for byte, what was proven. Raises BackupFailed."""
    manifest = read_manifest(dump)
    try:
        is_whole = dump.stat().st_size == manifest.size and digest_of(dump) == manifest.sha256
    except OSError as error:
        raise Unreadable(f"{dump} cannot be read ({error.strerror}).") from error
    if not is_whole:
        raise BackupFailed(
            f"{dump} is not what was written ({manifest.size:,} bytes, another digest): the file "
            "was damaged or cut off. Take an older one."
        )
    return BackupFile(dump, manifest)


def dumps_in(folder: Path) -> Iterator[Path]:
    """The dumps of a folder that bear a name of ours, the oldest first."""
    found = [path for path in folder.iterdir() if rotation.moment_of(path.name)]
    yield from sorted(found)


def set_aside(dump: Path) -> Path:
    """Give a damaged dump a name under which nobody counts it; its manifest goes with it."""
    for path in (dump, manifest_path(dump)):
        if path.exists():
            path.replace(path.with_name(path.name + DAMAGED))
    return dump.with_name(dump.name + DAMAGED)


def remove(dump: Path) -> None:
    """Delete a backup, its manifest first: what remains after a crash in between is no backup."""
    manifest_path(dump).unlink(missing_ok=True)
    dump.unlink(missing_ok=True)
