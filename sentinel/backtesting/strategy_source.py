"""The text of a user's strategy and of the modules beside it.

A source is read once. Everything after that (workers, wallets, the sandbox's checks) works on the
texts, so that a file that changes during a run cannot change the run.

An import finds a module beside the strategy before an installed one of the same name, as Python
does for a script. Only `sentinel` is always the project's own package.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sentinel.errors import ConfigurationError

# Numbers, or texts for a user's strategy.
Parameters = Mapping[str, float | str]

OWN_PACKAGE = "sentinel"
PACKAGE_FILE = "__init__.py"


@dataclass(frozen=True, slots=True)
class StrategySource:
    """The main file of a strategy and the modules beside it that it imports."""

    # The path of the main file, as the user typed it.
    name: str
    text: str
    # Texts by the path from the main file's folder, such as `rsi.py` or `lib/__init__.py`.
    modules: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The texts as one file: the main file itself, or JSON where there are modules."""
        if not self.modules:
            return self.text.encode()
        return json.dumps([self.text, dict(self.modules)], sort_keys=True, indent=0).encode()

    @property
    def sha256(self) -> str:
        """The SHA-256 of the content. It does not depend on the name of the main file."""
        return hashlib.sha256(self.content).hexdigest()


def decode_content(name: str, content: bytes, *, has_modules: bool) -> StrategySource:
    """Return the source of a content that StrategySource wrote."""
    if not has_modules:
        return StrategySource(name, content.decode())
    text, modules = json.loads(content)
    return StrategySource(name, text, modules)


def read_source(path: Path) -> StrategySource:
    """Read a strategy's file and, recursively, the modules beside it that it imports.

    Raises ConfigurationError if a file cannot be read, or lies outside the strategy's folder.
    """
    text, modules = _read_text(path), dict[str, str]()
    waiting = [(PurePosixPath(path.name), text)]
    while waiting:
        for file in _find_imported(path.parent, *waiting.pop()):
            if file != PurePosixPath(path.name) and str(file) not in modules:
                modules[str(file)] = _read_text(path.parent / file)
                waiting.append((file, modules[str(file)]))
    return StrategySource(str(path), text, modules)


def _find_imported(folder: Path, file: PurePosixPath, text: str) -> Iterator[PurePosixPath]:
    """Yield the files in the folder that an import of this file's text loads."""
    for name in _list_imports(file, text):
        parts = name.split(".")
        if parts[0] == OWN_PACKAGE:
            continue
        for length in range(1, len(parts) + 1):  # a package is loaded before its modules
            if found := _locate(folder, PurePosixPath(*parts[:length])):
                yield found


def _list_imports(file: PurePosixPath, text: str) -> Iterator[str]:
    """Yield the dotted names of what may be modules, seen from the strategy's folder."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return  # reported with its line when the file is loaded
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level <= len(file.parts):
            package = file.parts[: len(file.parts) - node.level] if node.level else ()
            base = [*package, *(node.module.split(".") if node.module else ())]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def _locate(folder: Path, module: PurePosixPath) -> PurePosixPath | None:
    """Return the file of a module, as a path from the folder; None if it is not there."""
    for file in (module / PACKAGE_FILE, module.with_name(f"{module.name}.py")):
        path = folder / file
        if not path.is_file():
            continue
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ConfigurationError(
                f"The strategy's module {path} lies outside its folder: copy it there"
            )
        return file
    return None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigurationError(f"The strategy {path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The strategy {path} cannot be read ({type(error).__name__})"
        ) from error
