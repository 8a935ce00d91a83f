"""The users' own strategies that wallets trade, kept in the state directory by SHA-256.

A wallet runs the text that its owner opened it with. A row in the database, or a file that has
changed since, therefore cannot make the monitor run other code.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sentinel.errors import ConfigurationError
from sentinel.files import create_folder, replace_atomically

FOLDER = "strategies"  # in the state directory


def keep_source(state_dir: Path, source: str) -> str:
    """Write a strategy's text into the state directory; return its SHA-256.

    Raises ConfigurationError if it cannot be written.
    """
    content = source.encode()
    sha256 = hashlib.sha256(content).hexdigest()
    path = _locate(state_dir, sha256)
    try:
        create_folder(path.parent)
        replace_atomically(path, content)
    except OSError as error:
        raise ConfigurationError(
            f"The strategy cannot be kept as {path} ({error.strerror}): free disk space, or make "
            "the folder writable"
        ) from error
    return sha256


def read_source(state_dir: Path, sha256: str) -> str:
    """Return the text of a strategy. Raises ConfigurationError if it is missing or has changed."""
    path = _locate(state_dir, sha256)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{path}, the text of its strategy, cannot be read ({error.strerror}): copy it from "
            "the machine that opened the wallet"
        ) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ConfigurationError(
            f"{path} has changed: it is not the strategy that opened the wallet. Restore the file"
        )
    return content.decode()


def _locate(state_dir: Path, sha256: str) -> Path:
    return state_dir / FOLDER / f"{sha256}.py"
