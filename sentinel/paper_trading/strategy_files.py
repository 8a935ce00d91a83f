"""The users' own strategies that wallets trade, kept in the state directory by SHA-256.

A wallet runs the text that its owner opened it with. A row in the database, or a file that has
changed since, therefore cannot make the monitor run other code.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sentinel.backtesting import strategies
from sentinel.backtesting.builtin_strategies import Parameters
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import ConfigurationError
from sentinel.files import create_folder, replace_atomically

FOLDER = "strategies"  # in the state directory


def keep_source(state_dir: Path, strategy: Strategy) -> str | None:
    """Write a strategy's text into the state directory; return its SHA-256.

    None: the strategy is a built-in one. Raises ConfigurationError if it cannot be written.
    """
    if strategy.source is None:
        return None
    content = strategy.source.encode()
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


def load_strategy(
    state_dir: Path, name: str, parameters: Parameters, sha256: str | None
) -> Strategy:
    """Return a built-in strategy, or the user's own from the text with this SHA-256.

    Raises ConfigurationError if no such text is kept, or if it has changed.
    """
    if not name.endswith(".py"):
        return strategies.load(name, parameters)
    if sha256 is None:
        raise ConfigurationError(
            f"no text of its strategy {name} is kept. Repeat the command that opened the wallet: "
            "sandbox.py step --wallet NAME --strategy FILE"
        )
    return strategies.load_source(name, _read_source(state_dir, sha256), parameters)


def _read_source(state_dir: Path, sha256: str) -> str:
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
