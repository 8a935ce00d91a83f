"""Delete the backups that no rule keeps, and set damaged ones aside."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from services.backup import manifest, rotation
from services.backup.manifest import BackupFailed, BackupFile, BackupUnreadable

log = logging.getLogger("sentinel.backup")


class PruneResult(NamedTuple):
    """What pruning did."""

    deleted: list[Path]
    # Set aside under another name.
    damaged: list[Path]


def prune_backups(folder: Path, newest: BackupFile) -> PruneResult:
    """Delete the older backups of the same database that no rule keeps, but never `newest`.

    Backups that are kept until a later time do not count, and damaged ones are set
    aside first. Raises OSError.
    """
    valid: dict[datetime, Path] = {}
    damaged: list[Path] = []
    for dump in manifest.list_dumps(folder):
        if dump == newest.path:  # verified a moment ago
            valid[newest.manifest.made_at] = dump
            continue
        try:
            found = manifest.check_backup(dump).manifest
        except BackupUnreadable as error:  # perhaps it belongs to another user
            log.warning("%s", error)
            continue
        except BackupFailed as error:
            log.warning("%s", error)
            damaged.append(manifest.set_aside(dump))
            continue
        moment = rotation.parse_file_name(dump.name)
        if moment is None or not found.is_of_same_database(newest.manifest):
            continue
        if found.kept_until is None or found.kept_until <= newest.manifest.made_at:
            valid[moment] = dump
    kept = rotation.choose_kept(valid) | {newest.manifest.made_at}
    deleted = [path for moment, path in valid.items() if moment not in kept]
    for path in deleted:
        manifest.delete_backup(path)
    _prune_damaged(folder)
    return PruneResult(deleted, damaged)


def _prune_damaged(folder: Path) -> None:
    """Delete damaged backups by the rules of the others, so that a bad disk does not fill up."""
    damaged: dict[datetime, Path] = {}
    for path in folder.glob(f"*{manifest.DAMAGED_SUFFIX}"):
        dump = path.name.removesuffix(manifest.DAMAGED_SUFFIX)
        if moment := rotation.parse_file_name(dump):
            damaged[moment] = path
    for moment in damaged.keys() - rotation.choose_kept(damaged):
        manifest.delete_damaged(damaged[moment])
