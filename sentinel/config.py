"""Where settings are read from: the environment, `.env`, `ingest_config.json`, the state folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from sentinel import config_validation
from sentinel.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[1]


def read_environment(environ: Mapping[str, str] | None, errors: list[str]) -> dict[str, str]:
    """Return the variables of `environ` (None: this process's own) over those of `.env`.

    Blanks and stray quotes around values are removed. An empty value counts as unset.
    """
    environ = os.environ if environ is None else environ
    path = next((p for p in (Path(".env"), ROOT / ".env") if _is_file(p)), None)
    try:
        from_file = dotenv_values(path, interpolate=False, encoding="utf-8-sig") if path else {}
    except (OSError, UnicodeDecodeError) as error:
        errors.append(f"{path} cannot be read ({type(error).__name__}): save it as UTF-8 text")
        from_file = {}
    merged = {key: value or "" for key, value in from_file.items()} | dict(environ)
    cleaned = {key: _unquote(value) for key, value in merged.items() if "\0" not in value}
    return {key: value for key, value in cleaned.items() if value}


def _is_file(path: Path) -> bool:
    """Whether the path is a file.

    False if the folder may not be entered: a service manager may start a process in such a folder.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def _unquote(value: str) -> str:
    """Remove blanks, and one pair of quotes around the whole value.

    People copy such quotes from a shell into GitHub's secrets.
    """
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1].strip()
    return value


def read_config_file(
    path: Path, known_keys: Sequence[str], errors: list[str], *, is_required: bool
) -> dict[str, Any]:
    """Return the known keys of a JSON settings file; empty if it is missing and not required."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if is_required:
            errors.append(f"--config {path}: no such file")
        return {}
    except json.JSONDecodeError as error:
        errors.append(
            f"{path} is not valid JSON ({error.msg}, line {error.lineno}): correct it, or delete "
            "it to run with the defaults"
        )
        return {}
    except (OSError, ValueError, RecursionError) as error:
        errors.append(f"{path} cannot be read ({type(error).__name__}): make it readable UTF-8")
        return {}
    if not isinstance(content, dict):
        errors.append(f'{path} must hold one JSON object, such as {{"limit": 500}}')
        return {}
    return config_validation.select_known_keys(content, known_keys, str(path), errors)


def ensure_state_dir(path: Path) -> Path:
    """Create the state directory (`SENTINEL_STATE_DIR`) if necessary, and return it.

    Raises ConfigurationError if it cannot be created or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
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
