"""Execute a user's strategy and the modules beside it, isolated from all other runs.

Each run gets new modules: globals that another run filled could hold this run's future. They never
meet the modules of another strategy, because their imports look into their own source first.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import importlib.util
import sys
import traceback
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sentinel.backtesting.strategy_source import PACKAGE_FILE, StrategySource
from sentinel.errors import ConfigurationError, SentinelError

ROOT = "user_strategy"  # the package that the modules of every strategy are in
MAX_CAUSE = 200  # characters of an error's text


class StrategyFailed(ConfigurationError):
    """The user's strategy raised an error or returned an invalid value."""


def load_module(source: StrategySource) -> types.ModuleType:
    """Return the freshly executed module of the main file. Raises StrategyFailed."""
    with wrap_errors(f"The strategy {source.name} does not load", source):
        return _Modules(source).main


@contextlib.contextmanager
def wrap_errors(what: str, source: StrategySource) -> Iterator[None]:
    """Run the user's code: any exception becomes a StrategyFailed of one line.

    What the code prints goes to stderr, because stdout may hold JSON.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except SentinelError:
        raise
    except BaseException as error:  # a real Ctrl-C arrives as a SentinelError or not at all
        raise StrategyFailed(f"{what}: {describe_cause(error, source)}") from error


def describe_cause(error: BaseException, source: StrategySource) -> str:
    """Return the error in one line, with the line of the user's file that raised it."""
    lines = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if _find_file(frame.filename, source) is not None
    ]
    if isinstance(error, SyntaxError) and error.filename:
        lines = [(error.filename, error.lineno)]
    cause = error.msg if isinstance(error, SyntaxError) else str(error)
    text = " ".join(cause.split())[:MAX_CAUSE]
    where = ""
    if lines and lines[-1][1]:
        file = _find_file(lines[-1][0], source)
        where = f", line {lines[-1][1]}" + (f" of {file}" if file else "")
    if isinstance(error, ModuleNotFoundError):
        where += ". Install it where the strategy runs, also on the workers of a cluster"
    return f"{type(error).__name__}: {text}{where}"


def _find_file(path: str, source: StrategySource) -> str | None:
    """Return a module's file, an empty text for the main file, or None for foreign code."""
    if path == source.name:
        return ""
    return next((file for file in source.modules if _path_of(source, file) == path), None)


def _path_of(source: StrategySource, file: str) -> str:
    return str(Path(source.name).parent / file)


@functools.lru_cache(maxsize=64)
def _compile(path: str, text: str) -> Any:
    return compile(text, path, "exec")


class _Modules:
    """The modules of one run."""

    def __init__(self, source: StrategySource) -> None:
        self._source = source
        self._files = {_dotted_name(file): file for file in source.modules}
        # A folder without __init__.py is a package too.
        self._names = {name for one in self._files for name in _with_parents(one)}
        self._loaded: dict[str, types.ModuleType] = {}
        # The code imports through this function only, so that it needs no entry in sys.meta_path.
        self._builtins = {**vars(builtins), "__import__": self._import}
        stem = Path(source.name).stem
        self._names.add(stem)
        self.main = self._execute(stem, source.name, source.text, is_package=False)

    def _import(
        self,
        name: str,
        caller: Mapping[str, Any] | None = None,
        _locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """Replace `__import__`: the same arguments and result."""
        if not level and name.partition(".")[0] not in self._names:
            return builtins.__import__(name, caller, _locals, fromlist or ())
        own = name
        if level:
            package = (caller or {})["__package__"]
            full = importlib.util.resolve_name("." * level + name, package)
            own = full.removeprefix(ROOT).removeprefix(".")
        loaded = [self._load(parent) for parent in _with_parents(own)]
        if not fromlist:
            return loaded[0]
        for attribute in fromlist:
            submodule = f"{own}.{attribute}".removeprefix(".")
            if not hasattr(loaded[-1], attribute) and submodule in self._names:
                self._load(submodule)
        return loaded[-1]

    def _load(self, name: str) -> types.ModuleType:
        """Return a module by its dotted name, executing it the first time."""
        if name in self._loaded:
            return self._loaded[name]
        if name and name not in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        file = self._files.get(name)
        path = _path_of(self._source, file or name.replace(".", "/"))
        is_package = file is None or file.endswith(PACKAGE_FILE)
        text = self._source.modules[file] if file else ""
        module = self._execute(name, path, text, is_package=is_package)
        parent, _, own = name.rpartition(".")
        if parent in self._loaded:
            setattr(self._loaded[parent], own, module)
        return module

    def _execute(self, name: str, path: str, text: str, *, is_package: bool) -> types.ModuleType:
        full = f"{ROOT}.{name}".rstrip(".")
        module = types.ModuleType(full)
        module.__file__ = path
        module.__package__ = full if is_package else full.rpartition(".")[0]
        vars(module)["__builtins__"] = self._builtins
        self._loaded[name] = module
        sys.modules[full] = module  # dataclasses look their module up there
        try:
            exec(_compile(path, text), vars(module))  # noqa: S102  # nosec B102 - the user's file
        except BaseException:
            del self._loaded[name]  # another import of it shall fail too
            raise
        return module


def _dotted_name(file: str) -> str:
    path = PurePosixPath(file)
    parts = path.parent.parts if path.name == PACKAGE_FILE else path.with_suffix("").parts
    return ".".join(parts)


def _with_parents(name: str) -> list[str]:
    """Return the packages of a dotted name and the name itself, the outermost first."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
