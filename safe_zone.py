"""All configuration: the numbers the authors decide, and the settings a deployment decides."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from sentinel import config_values
from sentinel.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent

# --- CoinGecko -------------------------------------------------------------------------------
CHUNK_IDS = 500  # ids a call asks for; CoinGecko's own sample takes up to 515 in one
CHUNK_PROBES = 15  # further ids that ride along in a call: 500 + 15 = the 515 above
MAX_URL_BYTES = 7_500  # the usual request line ends at 8 KB
MARKETS_PER_PAGE = 250  # documented maximum of /coins/markets
CONNECT_TIMEOUT_SECONDS = 3.05  # a little over the 3 s of a lost SYN's second try
READ_TIMEOUT_SECONDS = 8.0  # the slowest honest answer seen took under 2 s
NO_RESPONSE_LIMIT_SECONDS = 15.0  # a request that got no answer for so long is not tried again
API_ATTEMPTS = 4  # tries of one request before it counts as exhausted
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
MAX_PROBE_INTERVAL_DAYS = 30  # probes come after 1, 2, 4, 8, 16, 30, 30, … days
MAX_FAILED_SHARE = 0.2  # more failures than this share of a chunk …
MIN_FAILED_COINS = 10  # … and than this many coins: the answer is sick, not the coins

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

# --- health ------------------------------------------------------------------------------------
MAX_AGE_MINUTES = 180  # the measured */15 schedule left gaps of up to 119 minutes
GAP_FACTOR = 1.9  # times a coin's usual pause, an estimate: no pause of twice the cadence stays
FEW_PAUSES = 50  # fewer make a rough estimate …
GAP_FACTOR_OF_FEW = 1.6  # … and a wider margin
GAP_WINDOW = timedelta(days=7)  # how far back gaps are looked for
RUN_DEADLINE_SECONDS = 235  # no run outlives 4 minutes, whatever hangs

# --- the free quotas ---------------------------------------------------------------------------
# What a month allows. Neon: https://neon.com/docs/introduction/plans (Free, one project; its GB is
# decimal). CoinGecko: the plan's, see api_library. Actions: 2,000 minutes a month for private
# repositories, https://docs.github.com/en/billing/concepts/product-billing/github-actions.
QUOTAS: Mapping[str, float | None] = {
    "neon_compute_hours": 100.0,
    "neon_storage_bytes": 500_000_000.0,
    "actions_minutes": 2_000.0,
}
QUOTA_NAMES = (*QUOTAS, "coingecko_credits")
COMPUTE_UNITS = 0.25  # Neon's smallest size; set the project's maximum to it as well
IDLE_TAIL_SECONDS = 300  # Neon suspends a compute after five idle minutes, on Free always
SUSPENDED_TAIL_SECONDS = 5  # how long it stays awake where a run suspends it
WARN_SHARE = 0.80  # of a quota, projected
SKIP_SHARE = 0.95  # of a quota, projected: runs are skipped until it fits
MIN_PROJECTION_PERIOD = timedelta(days=1)  # a month's first runs say little about its pace
QUOTA_API_TIMEOUT_SECONDS = 5.0  # its figures are nice to have, not worth a wait

# --- the schedule ------------------------------------------------------------------------------
CADENCE_MINUTES = 15  # etl.yml's cron line
CADENCE_WINDOW = timedelta(days=7)  # over which delivered runs are counted

# --- repairing gaps ----------------------------------------------------------------------------
BACKFILL_CREDITS_PER_DAY = (
    100  # a day: repairs the top 100 coins daily, 3,100 of a Demo key's 10,000
)
BACKFILL_CALLS_PER_RUN = 25  # of one normal run: some seconds
MAX_SCHEDULE_SILENCE = timedelta(hours=2)  # of the measured schedule, 119 minutes
BACKFILL_MINUTES = 2  # of calls that a backfill run may make: it has 150 seconds
RETRY_AFTER_FAILURE = timedelta(hours=1)  # others go first after a chart that did not come …
RETRY_AFTER_REFUSAL = timedelta(hours=24)  # … or was of no use
DETAIL_WINDOW = timedelta(hours=24)  # how far back /market_chart?days=1 has 5-minute points
DETAIL_MINUTES = 5
HOURLY_DETAIL = timedelta(hours=1)  # what it has of the 89 days before

DEFAULT_LIMIT = 500
MODES = ("ingest", "dry-run", "backfill")
FLAG_KEYS = ("mode", "limit", "targets")
CONFIG_KEYS = (
    *FLAG_KEYS,
    "cadence_minutes",
    "compute_units",
    "backfill_credits_per_day",
    "quotas",
    "monitor",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What this deployment decides; secrets are left out of its repr.

    `monitor` is for services/settings.py to read.
    """

    mode: str = "ingest"
    limit: int = DEFAULT_LIMIT
    targets: tuple[str, ...] = ()
    database_url: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    is_pro: bool = False
    base_url: str | None = None
    neon_api_key: str | None = field(default=None, repr=False)
    neon_project_id: str | None = None
    neon_base_url: str | None = None
    suspend_after_run: bool = False
    archive_url: str | None = field(default=None, repr=False)
    is_private_repository: bool = False
    cadence_minutes: int = CADENCE_MINUTES
    compute_units: float = COMPUTE_UNITS
    backfill_credits_per_day: int = BACKFILL_CREDITS_PER_DAY
    quotas: Mapping[str, float | None] = field(default_factory=lambda: dict(QUOTAS))
    monitor: Mapping[str, Any] = field(default_factory=dict)
    state_dir: Path = ROOT / ".sentinel"
    registry_path: Path = ROOT / "coin_registry.json"


def load_settings(
    flags: Mapping[str, str | None] | None = None,
    *,
    config: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read flags, environment, `.env` and `ingest_config.json`, in this order of precedence.

    `flags` holds the raw words of the command line under the names in `FLAG_KEYS`, None where
    a flag was not given; `config` names a config file other than the one beside this module.

    Raises ConfigurationError with all complaints at once.
    """
    found: list[str] = []
    wished = _read_config(config, found)
    given = {key: word for key, word in (flags or {}).items() if word is not None}
    if "limit" in given:  # a flag beats the file: the top coins, not the file's targets
        wished.pop("targets", None)
    wished |= given
    values = read_environment(environ, found)
    get = wished.get
    settings = Settings(
        mode=config_values.choice("mode", get("mode"), MODES, found),
        limit=config_values.whole_number("limit", get("limit"), DEFAULT_LIMIT, found, of="coins"),
        targets=config_values.names(get("targets"), found),
        cadence_minutes=config_values.whole_number(
            "cadence_minutes", get("cadence_minutes"), CADENCE_MINUTES, found, of="minutes"
        ),
        compute_units=config_values.amount(
            "compute_units", get("compute_units"), COMPUTE_UNITS, found
        ),
        backfill_credits_per_day=config_values.whole_number(
            "backfill_credits_per_day",
            get("backfill_credits_per_day"),
            BACKFILL_CREDITS_PER_DAY,
            found,
            of="credits",
            least=0,
        ),
        quotas=config_values.quotas(get("quotas"), QUOTAS, QUOTA_NAMES, found),
        monitor=config_values.section("monitor", get("monitor"), found),
        **_from_environment(values, found),
    )
    if settings.is_pro and not settings.api_key:
        found.append(
            "COINGECKO_IS_PRO is true but COINGECKO_API_KEY is not set: set the key, "
            "or unset COINGECKO_IS_PRO"
        )
    if found:
        raise ConfigurationError(config_values.one_line(found))
    return settings


def _from_environment(values: Mapping[str, str], found: list[str]) -> dict[str, Any]:
    """The settings that come from the environment, under their names in Settings."""
    get = values.get

    def is_true(name: str) -> bool:
        return config_values.flag(name, get(name, ""), found)

    def address(name: str, example: str) -> str | None:
        return config_values.base_url(name, get(name), example, found)

    return {
        "database_url": config_values.database_url(get("DATABASE_URL"), found),
        "api_key": config_values.key("COINGECKO_API_KEY", get("COINGECKO_API_KEY"), found),
        "is_pro": is_true("COINGECKO_IS_PRO"),
        "base_url": address("COINGECKO_BASE_URL", "https://api.coingecko.com/api/v3"),
        "neon_api_key": config_values.key("NEON_API_KEY", get("NEON_API_KEY"), found),
        "neon_project_id": config_values.key("NEON_PROJECT_ID", get("NEON_PROJECT_ID"), found),
        "neon_base_url": address("NEON_BASE_URL", "https://console.neon.tech/api/v2"),
        "archive_url": get("ARCHIVE_URL"),
        "suspend_after_run": is_true("NEON_SUSPEND_AFTER_RUN"),
        "is_private_repository": is_true("SENTINEL_PRIVATE_REPOSITORY"),
        "state_dir": Path(get("SENTINEL_STATE_DIR") or ROOT / ".sentinel").absolute(),
        "registry_path": Path(get("SENTINEL_REGISTRY") or ROOT / "coin_registry.json").absolute(),
    }


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


def read_environment(environ: Mapping[str, str] | None, complaints: list[str]) -> dict[str, str]:
    """The environment (the process's own: None) over `.env`, blanks and stray quotes stripped; an
    empty value is unset."""
    environ = os.environ if environ is None else environ
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
    return config_values.known_keys(content, CONFIG_KEYS, str(path), complaints)
