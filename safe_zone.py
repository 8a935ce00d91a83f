"""All configuration: the numbers the authors decide, and the settings a deployment decides."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

from errors import ConfigurationError

ROOT = Path(__file__).resolve().parent

# --- CoinGecko -------------------------------------------------------------------------------
CHUNK_IDS = 500  # ids a call asks for; CoinGecko's own sample takes up to 515 in one
CHUNK_PROBES = 15  # further ids that ride along in a call: 500 + 15 = the 515 above
MAX_URL_BYTES = 7_500  # the usual request line ends at 8 KB
MARKETS_PER_PAGE = 250  # documented maximum of /coins/markets
CONNECT_TIMEOUT_SECONDS = 3.05  # a little over the 3 s of a lost SYN's second try
READ_TIMEOUT_SECONDS = 8.0  # the slowest honest answer seen took under 2 s
SILENCE_SECONDS = 15.0  # a request that got no answer for so long is not tried again
ATTEMPTS = 4  # tries of one request before it counts as exhausted
BREAKER_FAILURES = 2  # exhausted requests in a row that open the circuit
BREAKER_RESET_SECONDS = 60  # CoinGecko's limits are counted per minute
API_DEADLINE_SECONDS = 150.0  # with the database's 80 s a run stays under 4 minutes
MAX_BODY_BYTES = 64 * 1024 * 1024  # the largest honest body (/coins/list) has 2 MB

# --- what counts as a price --------------------------------------------------------------------
MAX_PRICE = 1_000_000_000.0  # USD; the dearest listed coin is three orders below
MAX_CLOCK_SKEW = timedelta(minutes=10)  # an observation further ahead of us is wrong
RETENTION = timedelta(days=60)  # the client's figure; also the oldest acceptable observation

# --- the registry ------------------------------------------------------------------------------
RANKED_COINS = 1_000  # ranks kept: four pages of /coins/markets, four credits a day
SYNC_AFTER = timedelta(hours=24)
STRIKES_TO_DEACTIVATE = 3
LONGEST_PAROLE_DAYS = 30  # probes come after 1, 2, 4, 8, 16, 30, 30, … days
SICK_SHARE = 0.2  # more failures than this share of a chunk …
SICK_COINS = 10  # … and than this many coins: the answer is sick, not the coins

# --- the database ------------------------------------------------------------------------------
CONNECT_ATTEMPTS = 4  # Neon wakes within 3 s; its documents advise a handful of tries
CONNECT_TIMEOUT_DATABASE_SECONDS = 10
STORAGE_DEADLINE_SECONDS = 80.0  # connecting and loading, all tries together
LOCK_TIMEOUT_SECONDS = 30  # longer than any honest run holds the lock
STATEMENT_TIMEOUT_SECONDS = 60
PURGE_LOCK_TIMEOUT_SECONDS = 2  # a busy reader postpones the purge, not the load
UPKEEP_SECONDS = 20  # for one statement of the daily upkeep, which may be put off
LOAD_CHUNK_ROWS = 5_000  # rows in one statement: its arrays stay under 400 kB
PARTITIONS_AHEAD_DAYS = 2
FREE_STORAGE_BYTES = 500_000_000  # Neon's free plan, 0.5 GB; its GB is decimal

# --- health ------------------------------------------------------------------------------------
MAX_AGE_MINUTES = 180  # the measured */15 schedule left gaps of up to 119 minutes
GAP_FACTOR = 2.5  # a pause this many times the usual one is a gap
GAP_WINDOW = timedelta(days=7)  # how far back gaps are looked for
RUN_DEADLINE_SECONDS = 235  # no run outlives 4 minutes, whatever hangs

DEFAULT_LIMIT = 500
MODES = ("ingest", "dry-run")
CONFIG_KEYS = ("mode", "limit", "targets")
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What this deployment decides; secrets are left out of its repr."""

    mode: str = "ingest"
    limit: int = DEFAULT_LIMIT
    targets: tuple[str, ...] = ()
    database_url: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    is_pro: bool = False
    base_url: str | None = None
    state_dir: Path = ROOT / ".sentinel"
    registry_path: Path = ROOT / "coin_registry.json"


def load_settings(
    flags: Mapping[str, str | None] | None = None,
    *,
    config: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read flags, environment, `.env` and `ingest_config.json`, in this order of precedence.

    `flags` holds the raw words of the command line under the names in `CONFIG_KEYS`, None where
    a flag was not given; `config` names a config file other than the one beside this module.

    Raises ConfigurationError with all complaints at once.
    """
    complaints: list[str] = []
    wishes = _read_config(config, complaints)
    given = {key: word for key, word in (flags or {}).items() if word is not None}
    if "limit" in given:  # a flag beats the file: the top coins, not the file's targets
        wishes.pop("targets", None)
    wishes |= given
    values = _read_environment(os.environ if environ is None else environ, complaints)
    settings = Settings(
        mode=_mode(wishes.get("mode"), complaints),
        limit=_limit(wishes.get("limit"), complaints),
        targets=_targets(wishes.get("targets"), complaints),
        database_url=_database_url(values.get("DATABASE_URL"), complaints),
        api_key=_api_key(values.get("COINGECKO_API_KEY"), complaints),
        is_pro=_flag("COINGECKO_IS_PRO", values.get("COINGECKO_IS_PRO", ""), complaints),
        base_url=_base_url(values.get("COINGECKO_BASE_URL"), complaints),
        state_dir=Path(values.get("SENTINEL_STATE_DIR") or ROOT / ".sentinel").absolute(),
        registry_path=Path(
            values.get("SENTINEL_REGISTRY") or ROOT / "coin_registry.json"
        ).absolute(),
    )
    if settings.is_pro and not settings.api_key:
        complaints.append(
            "COINGECKO_IS_PRO is true but COINGECKO_API_KEY is not set: set the key, "
            "or unset COINGECKO_IS_PRO"
        )
    if complaints:
        raise ConfigurationError("; ".join(" ".join(c[:400].split()) for c in complaints))
    return settings


def ensure_state_dir(path: Path) -> Path:
    """Make the state directory (`SENTINEL_STATE_DIR`) and return it.

    Raises ConfigurationError where it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The state directory {path} cannot be made ({error.strerror}). "
            "Set SENTINEL_STATE_DIR to a folder that can be written."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"The state directory {path} cannot be written. "
            "Set SENTINEL_STATE_DIR to a folder that can be."
        )
    return path


def _read_environment(environ: Mapping[str, str], complaints: list[str]) -> dict[str, str]:
    """The environment over `.env`, blanks and stray quotes stripped; an empty value is unset."""
    path = next((p for p in (Path(".env"), ROOT / ".env") if _is_file(p)), None)
    try:
        from_file = dotenv_values(path, interpolate=False, encoding="utf-8-sig") if path else {}
    except (OSError, UnicodeDecodeError) as error:
        complaints.append(f"{path} cannot be read ({type(error).__name__}): save it as UTF-8 text")
        from_file = {}
    merged = {key: value or "" for key, value in from_file.items()} | dict(environ)
    cleaned = {key: _unquote(value) for key, value in merged.items() if "\0" not in value}
    return {key: value for key, value in cleaned.items() if value}


def _is_file(path: Path) -> bool:
    """False also where the folder may not be entered, as that of a service's starter."""
    try:
        return path.is_file()
    except OSError:
        return False


def _unquote(value: str) -> str:
    """Without blanks around, and without quotes that somebody typed around the whole."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1].strip()
    return value


def _read_config(config: str | None, complaints: list[str]) -> dict[str, Any]:
    path = Path(config) if config else ROOT / "ingest_config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if config:
            complaints.append(f"--config {path}: no such file")
        return {}
    except json.JSONDecodeError as error:
        complaints.append(
            f"{path} is not valid JSON ({error.msg}, line {error.lineno}): correct it, or delete "
            "it to run with the defaults"
        )
        return {}
    except (OSError, ValueError, RecursionError) as error:
        complaints.append(f"{path} cannot be read ({type(error).__name__}): make it readable UTF-8")
        return {}
    if not isinstance(content, dict):
        complaints.append(f'{path} must hold one JSON object, such as {{"limit": 500}}')
        return {}
    for key in content.keys() - set(CONFIG_KEYS):
        near = difflib.get_close_matches(key, CONFIG_KEYS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(CONFIG_KEYS)}"
        complaints.append(f"{path}: unknown key '{key}'; {hint}")
    return {key: content[key] for key in CONFIG_KEYS if content.get(key) is not None}


def _mode(wish: Any, complaints: list[str]) -> str:
    if wish is None:
        return "ingest"
    if wish not in MODES:
        complaints.append(f"mode '{wish}' is unknown: choose one of {', '.join(MODES)}")
        return "ingest"
    return str(wish)


def _limit(wish: Any, complaints: list[str]) -> int:
    if wish is None:
        return DEFAULT_LIMIT
    try:
        limit = int(wish) if isinstance(wish, str | int) and not isinstance(wish, bool) else 0
    except ValueError:
        limit = 0
    if limit < 1:
        complaints.append(f"limit '{wish}' must be a whole number of coins, 1 or more")
        return DEFAULT_LIMIT
    return limit


def _targets(wish: Any, complaints: list[str]) -> tuple[str, ...]:
    """Terms as typed: ASCII blanks around them go, a NBSP may belong to a symbol and stays."""
    if wish is None:
        return ()
    terms = wish.split(",") if isinstance(wish, str) else wish
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        complaints.append('targets must be names such as "BTC,ethereum" or a list of them')
        return ()
    cleaned = tuple(dict.fromkeys(term.strip(" \t\r\n") for term in terms))
    if terms and not any(cleaned):
        complaints.append("targets names no coin: give ids or symbols, such as BTC,ethereum")
    return tuple(term for term in cleaned if term)


def _database_url(value: str | None, complaints: list[str]) -> str | None:
    """Refuses what is no PostgreSQL address; never repeats it, for it may hold a password."""
    if value is None:
        return None
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", value)
    if (scheme and scheme[1] in ("postgresql", "postgres")) or (not scheme and "=" in value):
        return value
    found = f"begins with '{scheme[1]}://'" if scheme else "is no address"
    complaints.append(
        f"DATABASE_URL {found}: it must look like "
        "postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require, "
        "or be unset for the embedded PostgreSQL"
    )
    return None


def _api_key(value: str | None, complaints: list[str]) -> str | None:
    if value and not (value.isascii() and value.isprintable() and " " not in value):
        complaints.append(
            "COINGECKO_API_KEY holds characters that no key has: copy it again from the dashboard"
        )
        return None
    return value


def _flag(name: str, value: str, complaints: list[str]) -> bool:
    if value.lower() not in TRUE_WORDS | FALSE_WORDS:
        complaints.append(f"{name} '{value}' must be true or false")
    return value.lower() in TRUE_WORDS


def _base_url(value: str | None, complaints: list[str]) -> str | None:
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        (parts.hostname or "").encode("idna")
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    valid = valid and bool(re.fullmatch(r"https?://[^\s?#@]+", value))
    if not valid:
        complaints.append(
            "COINGECKO_BASE_URL must be an address such as https://api.coingecko.com/api/v3"
        )
    return value.rstrip("/")
