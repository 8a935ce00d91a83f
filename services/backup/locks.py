"""Locks of backups: one backup or restore at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from sentinel import files
from sentinel.errors import ConfigurationError
from services.backup.manifest import BackupFailed


def lock_backups(state_dir: Path) -> AbstractContextManager[None]:
    """Raises ConfigurationError if another backup or restore uses the same state directory."""
    refusal = ConfigurationError(
        f"Another backup or restore is running in {state_dir}: wait until it is done."
    )
    return files.lock_or_refuse(state_dir / "backup", refusal)


def lock_backup_folder(folder: Path) -> AbstractContextManager[None]:
    """Create the folder and lock it: several machines may back up into it.

    Raises BackupFailed, ConfigurationError if its lock file cannot be opened.
    """
    try:
        files.create_folder(folder)
    except FileExistsError as error:
        raise BackupFailed(f"{folder} is not a folder: name another one.") from error
    except OSError as error:
        raise BackupFailed(
            f"The folder {folder} cannot be created ({error.strerror}): name another one."
        ) from error
    refusal = BackupFailed(
        f"{folder} cannot be used: another backup is running there. Wait until it is done, or name "
        "another folder."
    )
    return files.lock_or_refuse(folder / "backup", refusal)


def lock_monitor(state_dir: Path) -> AbstractContextManager[None]:
    """Keep the monitor from starting. Raises ConfigurationError if it is running."""
    refusal = ConfigurationError(
        f"A monitor is running in {state_dir}: stop it first (make down). The restore would "
        "replace the prices that it writes."
    )
    return files.lock_or_refuse(state_dir / "monitor", refusal)
