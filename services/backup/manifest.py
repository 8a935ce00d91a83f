"""A backup on disk: a dump, and a manifest of what a database restored from it must hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from sentinel.errors import EXIT_UNHEALTHY, SentinelError
from sentinel.files import replace_atomically
from sentinel.process import describe_error
from services.backup import rotation
from services.backup.checksums import DatabaseContents

PARTIAL_SUFFIX = ".partial"
DAMAGED_SUFFIX = ".damaged"


class BackupFailed(SentinelError):
    """The backup failed. No older backup was deleted."""

    exit_code = EXIT_UNHEALTHY


class BackupUnreadable(BackupFailed):
    """The backup file cannot be opened, so it cannot be checked."""


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """What is known of a dump."""

    # When the backup was started.
    made_at: datetime
    # The database that was dumped, without user and password.
    database: str
    # Of the dump file.
    sha256: str
    size_bytes: int
    # Of the database at that time.
    contents: DatabaseContents
    # The random identity of the database; None if its schema was older than identities.
    identity: UUID | None = None
    # Pruning keeps the backup until then, whatever its rules say; None: only its rules count.
    kept_until: datetime | None = None

    def is_of_same_database(self, other: BackupManifest) -> bool:
        """Whether both backups are of one database.

        The address alone does not tell: a database may be made anew there, and two machines may
        use the same one. Nor does the identity alone: a restored copy has that of the original.
        """
        return self.identity is not None and (self.identity, self.database) == (
            other.identity,
            other.database,
        )


_MANIFEST = TypeAdapter(BackupManifest)


@dataclass(frozen=True, slots=True)
class BackupFile:
    """A dump with its manifest."""

    path: Path
    manifest: BackupManifest


def manifest_path(dump: Path) -> Path:
    """Return the path of a dump's manifest."""
    return dump.with_name(f"{dump.name}.json")


def compute_sha256(path: Path) -> str:
    """Return the SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(backup: BackupFile) -> None:
    """Write a dump's manifest. Only then does the dump count as a backup. Raises OSError."""
    replace_atomically(manifest_path(backup.path), _MANIFEST.dump_json(backup.manifest, indent=1))


def read_manifest(dump: Path) -> BackupManifest:
    """Return a dump's manifest. Raises BackupFailed if it is missing or unreadable."""
    path = manifest_path(dump)
    try:
        return _MANIFEST.validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise BackupFailed(
            f"{dump} has no manifest ({path.name}) beside it, so it was never verified: restore "
            "another backup, or copy the manifest back beside it."
        ) from error
    except OSError as error:
        raise BackupUnreadable(
            f"The manifest {path} cannot be opened ({error.strerror})."
        ) from error
    except ValidationError as error:
        raise BackupFailed(
            f"The manifest {path} is damaged ({describe_error(error)}): restore another backup."
        ) from error


def check_backup(dump: Path) -> BackupFile:
    """Return a backup whose bytes are those that were verified. Raises BackupFailed."""
    manifest = read_manifest(dump)
    try:
        has_right_size = dump.stat().st_size == manifest.size_bytes
        is_unchanged = has_right_size and compute_sha256(dump) == manifest.sha256
    except OSError as error:
        raise BackupUnreadable(f"{dump} cannot be read ({error.strerror}).") from error
    if not is_unchanged:
        raise BackupFailed(
            f"{dump} differs from what was written ({manifest.size_bytes:,} bytes, another digest):"
            " the file is damaged or truncated. Restore an older backup."
        )
    return BackupFile(dump, manifest)


def list_dumps(folder: Path) -> Iterator[Path]:
    """Yield the dumps of a folder that have a name of ours, the oldest first."""
    yield from sorted(path for path in folder.iterdir() if rotation.parse_file_name(path.name))


def set_aside(dump: Path) -> Path:
    """Rename a damaged dump and its manifest, so that it no longer counts; return the new path."""
    for path in (dump, manifest_path(dump)):
        if path.exists():
            path.replace(path.with_name(path.name + DAMAGED_SUFFIX))
    return dump.with_name(dump.name + DAMAGED_SUFFIX)


def delete_backup(dump: Path) -> None:
    """Delete a backup, its manifest first: after a crash in between the dump does not count."""
    manifest_path(dump).unlink(missing_ok=True)
    dump.unlink(missing_ok=True)


def delete_damaged(dump: Path) -> None:
    """Delete a damaged backup that was set aside, and its manifest."""
    original = dump.with_name(dump.name.removesuffix(DAMAGED_SUFFIX))
    aside = manifest_path(original)
    aside.with_name(aside.name + DAMAGED_SUFFIX).unlink(missing_ok=True)
    dump.unlink(missing_ok=True)
