"""Where settings come from: flags, the environment, `.env`, `ingest_config.json`.

The values are collected by the names that the user typed, and pydantic validates them together.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dotenv import dotenv_values
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from sentinel.errors import ConfigurationError
from sentinel.files import create_closed_folder
from sentinel.process import describe_error

log = logging.getLogger("sentinel.config")

ROOT = Path(__file__).resolve().parents[1]
T = TypeVar("T")


def validate(kind: type[T], values: Mapping[str, Any], errors: Sequence[str]) -> T:
    """Return the settings of a dataclass from the values that `read_settings` found.

    Raises ConfigurationError with all errors at once, those of the sources included.
    """
    found = list(errors)
    try:
        settings = TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        found += map(_describe, error.errors(include_url=False))
    if found:
        raise ConfigurationError("; ".join(" ".join(text[:400].split()) for text in found))
    return settings


def _describe(error: ErrorDetails) -> str:
    """Return one error in plain English. Our own checks decide themselves what they repeat."""
    name, value = ".".join(str(part) for part in error["loc"] if part != "settings"), error["input"]
    if error["type"] == "value_error":
        return f"{name} {error['msg'].removeprefix('Value error, ')}"
    shown = f" '{str(value)[:40]}'" if isinstance(value, str | int | float) else ""
    return f"{name}{shown} {re.sub('^[A-Z][a-z]+ should', 'must', error['msg'])}"


def read_settings(
    known: Mapping[str, Collection[str]],
    *,
    flags: Mapping[str, str | None] | None = None,
    config: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of all sources by the names that the user typed, and what is wrong there.

    The names are such as "--limit", "limit" and "DATABASE_URL".

    `known` holds the keys of `ingest_config.json`, by the section that they stand in; "" is the
    file itself. `config` is the path of a file that replaces `ingest_config.json`. `flags` holds
    the values of the command line by name; None: the flag was not given. `environ` replaces the
    environment of this process.
    """
    errors: list[str] = []
    path = Path(config) if config else ROOT / "ingest_config.json"
    values = _read_config_file(path, known, errors, is_required=bool(config))
    variables = read_environment(errors, environ)
    # Variables have capital letters: a variable `limit` is of another program.
    values |= {name: value for name, value in variables.items() if name.isupper()}
    values |= {f"--{name}": text for name, text in (flags or {}).items() if text is not None}
    return values, errors


def read_environment(errors: list[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of `environ` (None: this process's own) over those of `.env`.

    Blanks and stray quotes around values are removed. An empty value counts as unset. `errors` gets
    what is wrong with `.env`.
    """
    environ = os.environ if environ is None else environ
    # A service manager may start a process in a folder that it may not enter. There os.path.isfile
    # is False, and Path.is_file raises an error.
    path = next((p for p in (".env", ROOT / ".env") if os.path.isfile(p)), None)  # noqa: PTH113
    try:
        from_file = dotenv_values(path, interpolate=False, encoding="utf-8-sig") if path else {}
    except (OSError, UnicodeDecodeError) as error:
        errors.append(f"{path} cannot be read ({type(error).__name__}): save it as UTF-8 text")
        from_file = {}
    if path and sys.platform != "win32" and Path(path).stat().st_mode & 0o077:
        log.warning("%s holds secrets and other users can read it: chmod 600 %s", path, path)
    merged = {key: value or "" for key, value in from_file.items()} | dict(environ)
    cleaned = {key: _unquote(value) for key, value in merged.items() if "\0" not in value}
    return {key: value for key, value in cleaned.items() if value}


def _unquote(value: str) -> str:
    """Remove blanks, and one pair of quotes around the whole value.

    People copy such quotes from a shell into GitHub's secrets.
    """
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1].strip()
    return value


def _read_config_file(
    path: Path, known: Mapping[str, Collection[str]], errors: list[str], *, is_required: bool
) -> dict[str, Any]:
    """Return the known keys of a JSON settings file; empty if it is missing and not required."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, FileNotFoundError) and not is_required:
            return {}
        errors.append(
            f"{path} cannot be read as JSON ({describe_error(error)}): correct it, or leave it out "
            "to run with the defaults"
        )
        return {}
    if not isinstance(content, dict):
        errors.append(f'{path} must hold one JSON object, such as {{"limit": 500}}')
        return {}
    values = _select_known_keys(content, known[""], str(path), errors)
    values = {key: value for key, value in values.items() if value is not None}
    for name in known.keys() & values.keys():
        section, keys = values.pop(name), known[name]
        if isinstance(section, dict):
            values[name] = _select_known_keys(section, keys, name, errors)
        else:
            errors.append(f"{name} must be an object with the keys {', '.join(keys)}")
    return values


def _select_known_keys(
    content: Mapping[str, Any], known: Collection[str], place: str, errors: list[str]
) -> dict[str, Any]:
    """Return the entries with known keys. `place` names the file or section in the message."""
    for key in content.keys() - set(known):
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
        errors.append(f"{place}: unknown key '{key}'; {hint}")
    return {key: content[key] for key in known if key in content}


def describe_no_folder(path: Path) -> str:
    """Return what the state directory is instead of a folder, and what to do."""
    if not path.is_symlink():
        return f"The state directory {path} is a file: set SENTINEL_STATE_DIR to a folder."
    return (
        f"The state directory {path} is a link to {path.readlink()}, which is no folder: mount its "
        "disk, or set SENTINEL_STATE_DIR to a folder."
    )


def ensure_state_dir(path: Path) -> Path:
    """Create the state directory (`SENTINEL_STATE_DIR`) if necessary, and return it.

    Other users cannot enter it: it holds the portfolio, logs with holdings, and the API's token.
    They may pass through root's, whose PostgreSQL runs as another user (`embedded_root.py`).
    Raises ConfigurationError if it cannot be created or written.
    """
    try:
        is_root = sys.platform != "win32" and os.geteuid() == 0
        create_closed_folder(path, 0o711 if is_root else 0o700)
    except FileExistsError as error:
        raise ConfigurationError(describe_no_folder(path)) from error
    except OSError as error:
        raise ConfigurationError(
            f"The state directory {path} cannot be created ({error.strerror}). "
            "Set SENTINEL_STATE_DIR to a writable folder."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"The state directory {path} is not writable. "
            "Set SENTINEL_STATE_DIR to a writable folder."
        )
    return path
