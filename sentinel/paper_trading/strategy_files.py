"""The users' own strategies that wallets trade, kept in the state directory by SHA-256.

A wallet runs the text that its owner opened it with. A row in the database, or a file that has
changed since, therefore cannot make the monitor run other code. A strategy without modules is kept
as `<SHA-256>.py`, one with modules beside it as `<SHA-256>.json`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sentinel.backtesting import strategies
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.strategy_source import (
    Parameters,
    StrategySource,
    decode_content,
    read_source,
)
from sentinel.errors import ConfigurationError
from sentinel.files import create_folder, replace_atomically

FOLDER = "strategies"  # in the state directory


def keep_source(state_dir: Path, strategy: Strategy) -> str | None:
    """Write a strategy's text into the state directory; return its SHA-256.

    None: the strategy is a built-in one. Raises ConfigurationError if it cannot be written.
    """
    if strategy.source is None:
        return None
    sha256 = strategy.source.sha256
    path = _locate(state_dir, sha256, has_modules=bool(strategy.source.modules))
    try:
        create_folder(path.parent)
        replace_atomically(path, strategy.source.content)
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

    The text is not run here: it may hang. `parameters` are those that the wallet was opened with,
    all of them. Raises ConfigurationError if no such text is kept, or if it has changed.
    """
    if not name.endswith(".py"):
        return strategies.load(name, parameters)
    if sha256 is None:
        raise ConfigurationError(
            f"no text of its strategy {name} is kept. Repeat the command that opened the wallet: "
            "sandbox.py step --wallet NAME --strategy FILE"
        )
    return Strategy(name, parameters, _read_source(state_dir, name, sha256))


def find_changes(state_dir: Path, source: StrategySource, sha256: str) -> list[str]:
    """Return the files of a source that differ from the text that is kept with this SHA-256.

    Raises ConfigurationError if that text cannot be read.
    """
    kept = _read_source(state_dir, source.name, sha256)
    main = [Path(source.name).name] if kept.text != source.text else []
    files = sorted({*kept.modules, *source.modules})
    return main + [file for file in files if kept.modules.get(file) != source.modules.get(file)]


def find_edited_files(state_dir: Path, name: str, sha256: str | None) -> list[str]:
    """Return the user's files that are no longer what their wallet was opened with.

    There is none if they cannot be compared, such as on another machine.
    """
    if sha256 is None:
        return []
    try:
        return find_changes(state_dir, read_source(Path(name)), sha256)
    except ConfigurationError:
        return []


def _read_source(state_dir: Path, name: str, sha256: str) -> StrategySource:
    path = _locate(state_dir, sha256, has_modules=True)
    if not (has_modules := path.exists()):
        path = _locate(state_dir, sha256, has_modules=False)
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
    return decode_content(name, content, has_modules=has_modules)


def _locate(state_dir: Path, sha256: str, *, has_modules: bool) -> Path:
    return state_dir / FOLDER / f"{sha256}.{'json' if has_modules else 'py'}"
