"""Types of single settings, for the fields of `Settings` and `MonitorSettings`.

pydantic runs their checks. A message continues the name of the setting, and a check that may see a
secret never repeats it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    ValidationError,
    WrapValidator,
)
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidatorFunctionWrapHandler

if sys.platform != "win32":
    import pwd

MAX_WHOLE_NUMBER = 1_000_000
MIN_TOKEN_CHARACTERS = 16
_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_ORIGIN = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?")
_LARGEST = 1e15  # JSON's integers may be longer than a float can hold


def variable(name: str) -> Any:
    """Return the mark of a field that a variable of the environment sets."""
    return Field(validation_alias=name)


def flag_or_key(name: str) -> Any:
    """Return the mark of a field that a flag or a key of `ingest_config.json` sets."""
    return Field(validation_alias=AliasChoices(f"--{name}", name))


def must_be(description: str) -> WrapValidator:
    """Return a check whose only message says what the value must be.

    JSON's true and false are not numbers, although Python would take them for 1 and 0. It would
    take digits of any script too.
    """

    def check(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            if not isinstance(value, bool) and not (isinstance(value, str) and not value.isascii()):
                return validate(value)
        except ValidationError:
            pass
        raise PydanticCustomError("must_be", "must be {description}", {"description": description})

    return WrapValidator(check)


def whole_number(unit: str, minimum: int = 1) -> tuple[Any, WrapValidator]:
    """Return the checks of a whole number from `minimum` to MAX_WHOLE_NUMBER."""
    text = f"a whole number of {unit}, {minimum} to {MAX_WHOLE_NUMBER:,}"
    return Field(ge=minimum, le=MAX_WHOLE_NUMBER), must_be(text)


def _check_http_address(value: str) -> str:
    """Return the address without its last slash."""
    try:
        parts = urlsplit(value)
        (parts.hostname or "").encode("idna")
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not (is_valid and re.fullmatch(r"https?://[^\s?#@]+", value)):
        raise ValueError("must be an address such as https://HOST/PATH, without a user or a query")
    return value.rstrip("/")


def _check_key(value: str) -> str:
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise ValueError("holds characters that no key has: copy it again from the dashboard")
    return value


def _check_token(value: str) -> str:
    if len(value) < MIN_TOKEN_CHARACTERS:
        raise ValueError(
            f"has {len(value)} characters, and so few can be guessed: make one of at least "
            f"{MIN_TOKEN_CHARACTERS}, such as openssl rand -hex 24 prints"
        )
    return value


def _split_hosts(value: Any) -> tuple[str, ...]:
    """Return host names in lower case, each once."""
    names = [name.strip().lower().rstrip(".") for name in str(value).split(",")]
    for name in filter(None, names):
        if "*" in name:
            raise ValueError(
                f"'{name:.60}' stands for many names, and one of them may belong to another "
                "person: list each name"
            )
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(
                f"'{name:.60}' is not a name such as sentinel.example.org: leave out https://, "
                "port and path"
            )
    return tuple(dict.fromkeys(filter(None, names)))


def _check_database_url(value: str) -> str:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", value)
    if (scheme and scheme[1] in ("postgresql", "postgres")) or (not scheme and "=" in value):
        return value
    found = f"begins with '{scheme[1]}://'" if scheme else "is not an address"
    raise ValueError(
        f"{found}: it must look like postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require, "
        "or be unset for the embedded PostgreSQL"
    )


def _split_origins(value: Any) -> tuple[str, ...]:
    """Return origins of web pages as browsers send them, each once."""
    origins = [origin.strip().lower().rstrip("/") for origin in str(value).split(",")]
    for origin in filter(None, origins):
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(
                f"'{origin:.60}' is not the origin of a page, such as https://app.example.org or "
                "http://localhost:5173: list each one, without a path"
            )
    return tuple(dict.fromkeys(filter(None, origins)))


def _split_names(value: Any) -> tuple[str, ...]:
    """Return names, each once. A no-break space stays, because it may belong to a symbol."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError('must be names such as "BTC,ethereum" or a list of them')
    cleaned = tuple(dict.fromkeys(name.strip(" \t\r\n") for name in names))
    if names and not any(cleaned):
        raise ValueError("names no coin: give ids or symbols, such as BTC,ethereum")
    return tuple(name for name in cleaned if name)


def complete_path(value: Path) -> Path:
    """Return the absolute path. A shell replaces a leading ~, but in `.env` no shell does.

    Raises ValueError, which continues the name of the setting.
    """
    try:
        return value.expanduser().absolute()
    except RuntimeError:  # "~name" of an unknown user, or no home directory
        raise ValueError("begins with ~ for an unknown home directory: write it out") from None


def _split_users(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if unknown := [name for name in names if not _is_user(name)]:
        raise ValueError(f"'{unknown[0]:.60}' is not a user of this machine: correct the name")
    return names


def _split_user_ids(value: str) -> tuple[int, ...]:
    texts = [text.strip() for text in value.split(",") if text.strip()]
    if wrong := [text for text in texts if not re.fullmatch(r"[0-9]{1,18}", text)]:
        raise ValueError(
            f"'{wrong[0]:.40}' is not the id of a Telegram user, such as 123456789: "
            "docs/monitor.md says how to find it"
        )
    return tuple(int(text) for text in texts)


def _is_user(name: str) -> bool:
    """Ask for the one name: a list of all users lacks those of a directory service."""
    if sys.platform == "win32":
        return False
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):  # ValueError: with a NUL character
        return False
    return True


Switch = Annotated[bool, must_be("true or false")]
Amount = Annotated[float, Field(gt=0, le=_LARGEST), must_be("a number above 0")]
Quota = Annotated[float, Field(ge=0, le=_LARGEST), must_be("a number above 0, or null")]
Port = Annotated[int, Field(ge=1, le=65_535), must_be("a port from 1 to 65535")]
LocalPath = Annotated[Path, AfterValidator(complete_path)]
HttpAddress = Annotated[str, AfterValidator(_check_http_address)]
# A key or an id that an HTTP header or a path can carry.
Key = Annotated[str, AfterValidator(_check_key)]
# A key that we make ourselves, so its length is ours to choose.
Token = Annotated[Key, AfterValidator(_check_token)]
# A comma-separated text.
HostNames = Annotated[tuple[str, ...], BeforeValidator(_split_hosts)]
# A comma-separated text.
Origins = Annotated[tuple[str, ...], BeforeValidator(_split_origins)]
# A comma-separated text.
LocalUsers = Annotated[tuple[str, ...], BeforeValidator(_split_users)]
# A comma-separated text.
UserIds = Annotated[tuple[int, ...], BeforeValidator(_split_user_ids)]
# Any form of address that libpq accepts.
DatabaseUrl = Annotated[str, AfterValidator(_check_database_url)]
# A comma-separated text or a list.
Names = Annotated[tuple[str, ...], BeforeValidator(_split_names)]
