"""Which incidents were announced, in a file of the state directory.

A restart must not repeat a message, and the database may be a part of the incident.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from sentinel.files import give_to_folders_owner

FILE_BYTES = 4096  # a file of one block is overwritten in place, which works on a full disk


class AnnouncedIncidents:
    """The incidents that were announced and have not ended."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # When each began, by its name. None: not read yet.
        self._since: dict[str, datetime] | None = None

    @property
    def begins(self) -> Mapping[str, datetime]:
        """When each incident began, by its name."""
        if self._since is None:
            self._since = _read(self._path)
            _write(self._path, self._since)  # so that the file exists before the disk is full
        return self._since

    def since(self, incident: str) -> datetime | None:
        """Return when an incident began; None if it is not announced."""
        return self.begins.get(incident)

    def note(self, incident: str, since: datetime | None) -> None:
        """Remember that an incident's begin was announced, or its end (None)."""
        changed = {**self.begins, incident: since}
        self._since = {name: begin for name, begin in changed.items() if begin}
        _write(self._path, self._since)


def _read(path: Path) -> dict[str, datetime]:
    """Return the content of the file; nothing if it is missing or damaged."""
    try:
        content = json.loads(path.read_bytes())
        return {str(name): datetime.fromisoformat(since) for name, since in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(path: Path, incidents: dict[str, datetime]) -> None:
    """Overwrite the file. The worst that an error causes is a message that a restart repeats."""
    texts = {name: since.isoformat() for name, since in incidents.items()}
    content = json.dumps(texts).encode().ljust(FILE_BYTES)
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.write(handle, content)
            os.ftruncate(handle, len(content))
            give_to_folders_owner(path)
        finally:
            os.close(handle)
