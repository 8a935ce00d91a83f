"""All configuration: the numbers that the authors decide, and the settings of a deployment."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from sentinel.config import ROOT, read_settings, validate
from sentinel.fields import (
    Amount,
    DatabaseUrl,
    HttpAddress,
    Key,
    LocalPath,
    Names,
    Quota,
    Switch,
    flag_or_key,
    variable,
    whole_number,
)
from sentinel.notifications.addresses import ALERT_VARIABLES

__all__ = ["ROOT", "Settings", "load_settings"]

log = logging.getLogger("sentinel.settings")

# --- CoinGecko -------------------------------------------------------------------------------
CHUNK_IDS = 500  # ids per call; CoinGecko's own sample requests up to 515 in one call
CHUNK_PROBES = 15  # inactive coins that a call may add: 500 + 15 = the 515 above
MAX_URL_BYTES = 7_500  # servers usually limit the request line to 8 KB
MARKETS_PER_PAGE = 250  # documented maximum of /coins/markets
CONNECT_TIMEOUT_SECONDS = 3.05  # slightly more than the 3 s after which TCP resends a lost SYN
READ_TIMEOUT_SECONDS = 8.0  # the slowest good response so far took less than 2 s
NO_RESPONSE_LIMIT_SECONDS = 15.0  # a request without any response for this long is not retried
API_ATTEMPTS = 4  # tries of one request before it counts as failed
BREAKER_FAILURES = 2  # failed requests in a row that open the circuit
BREAKER_RESET_SECONDS = 60  # CoinGecko counts its limits per minute
API_DEADLINE_SECONDS = 150.0  # with the database's 80 s, a run stays under 4 minutes
MAX_BODY_BYTES = 64 * 1024 * 1024  # the largest valid body (/coins/list) has 2 MB

# --- what counts as a price --------------------------------------------------------------------
MAX_PRICE = 1_000_000_000.0  # USD; the most expensive listed coin is three orders below
MAX_CLOCK_SKEW = timedelta(minutes=10)  # an observation further in the future is wrong
MAX_RAW_CHARACTERS = 500  # of a rejected entry, all of them ASCII; a valid one has 200
RETENTION = timedelta(days=60)  # the client's figure; also the oldest acceptable observation

# --- the registry ------------------------------------------------------------------------------
RANKED_COINS = 1_000  # ranks kept: four pages of /coins/markets, four credits a day
SYNC_AFTER = timedelta(hours=24)
# A list of coins that is shorter by more than MAX_FAILED_SHARE is not believed at first.
BELIEVE_SHORT_LIST_AFTER = timedelta(days=3)  # all of that time it must have had the same length,
SAME_LENGTH_SHARE = 0.05  # give or take this share
RETRY_SHORT_LIST_AFTER = timedelta(hours=6)  # each try costs a credit and changes the registry
STRIKES_TO_DEACTIVATE = 3
MAX_PROBE_INTERVAL_DAYS = 30  # probes come after 1, 2, 4, 8, 16, 30, 30, … days
# A response is degraded if more coins fail than both of these. Then CoinGecko is the cause and not
# the coins.
MAX_FAILED_SHARE = 0.2
MIN_FAILED_COINS = 10

# --- the database ------------------------------------------------------------------------------
DATABASE_CONNECT_ATTEMPTS = 4  # Neon wakes within 3 s, and its documentation advises retries
DATABASE_CONNECT_TIMEOUT_SECONDS = 10
STORAGE_DEADLINE_SECONDS = 80.0  # connecting and loading, all tries together
LOCK_TIMEOUT_SECONDS = 30  # longer than a working run holds the lock
STATEMENT_TIMEOUT_SECONDS = 60
PURGE_LOCK_TIMEOUT_SECONDS = 2  # a busy reader postpones the purge, not the load
UPKEEP_TIMEOUT_SECONDS = 20  # for one statement of the daily upkeep, which may be postponed
LOAD_CHUNK_ROWS = 5_000  # rows in one statement: its arrays stay under 400 kB
PARTITIONS_AHEAD_DAYS = 2
# Rejected entries are stored until there are so many: a day on which all of 500 coins are rejected
# in each of 96 runs. Above that, only the first STRIKES_TO_DEACTIVATE of a coin, reason and UTC day
# are; the runs go on counting all of them.
MAX_REJECTIONS = 50_000

# --- health ------------------------------------------------------------------------------------
# verify_db's limit for the age of the newest observation. It is meant for the scheduled pipeline,
# which records no heartbeat: GitHub's */15 schedule paused for up to 119 minutes in January 2026.
# The limit for the monitor's processes is service_status.late_after.
MAX_AGE_MINUTES = 180
# A pause is a gap if it is longer than this many times the configured cadence.
GAP_FACTOR = 2.0
# A call brings a coin's whole day, so it fills smaller pauses too: those that miss a run.
FILL_FACTOR = 1.5
GAP_WINDOW = timedelta(days=7)  # how far back runs look for gaps
RUN_DEADLINE_SECONDS = 235  # an alarm ends a run that hangs before its fourth minute ends


# --- the free quotas ---------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class MonthlyQuota:
    """What a plan allows in a month, and where that is written."""

    # In the unit of the quota's name; a GB is decimal.
    limit: float
    # The page with the number.
    source: str
    # The date of the page's copy that was compared with `limit`.
    checked_on: date


_NEON_PLANS = "https://neon.com/docs/introduction/plans"  # the figures are those of the Free plan
# CoinGecko's quota depends on the plan, see api_library.
QUOTAS: Mapping[str, MonthlyQuota] = {
    "neon_compute_hours": MonthlyQuota(100.0, _NEON_PLANS, date(2026, 11, 12)),
    # Since October 2026 Neon's pages name 1 GB. This is the cautious default; with NEON_API_KEY the
    # run reads the project's own limit.
    "neon_storage_bytes": MonthlyQuota(500_000_000.0, _NEON_PLANS, date(2026, 11, 12)),
    # Of one project. Neon suspends the compute of a project that exceeds it until its month ends.
    "neon_egress_bytes": MonthlyQuota(
        5_000_000_000.0,
        "https://neon.com/docs/introduction/network-transfer",
        date(2026, 9, 20),
    ),
    # For private repositories; public ones have no limit.
    "actions_minutes": MonthlyQuota(
        2_000.0,
        "https://docs.github.com/en/billing/concepts/product-billing/github-actions",
        date(2026, 10, 21),
    ),
}
QUOTA_NAMES = (*QUOTAS, "coingecko_credits")
COMPUTE_UNITS = 0.25  # Neon's smallest size; set the project's maximum to it as well
IDLE_TAIL_SECONDS = 300  # Neon suspends a compute after five idle minutes; Free cannot change it
SUSPENDED_TAIL_SECONDS = 5  # how long the compute stays awake if the run suspends it
WARN_SHARE = 0.80  # projected share of a quota from which its state is "warn"
SKIP_SHARE = 0.95  # projected share from which runs are skipped until the quota lasts
MIN_PROJECTION_PERIOD = timedelta(days=1)  # the first runs of a month say little about its pace
MIN_EGRESS_PERIOD = timedelta(days=7)  # one backup on the first day is no pace
# Kept back of the egress quota: bytes that are counted late, as by an API that runs, or never, as
# by a process that was killed. A run costs some 100 kB.
EGRESS_RESERVE_SHARE = 0.02
QUOTA_API_TIMEOUT_SECONDS = 5.0  # Neon's own figures are optional, so a run does not wait longer

# --- the schedule ------------------------------------------------------------------------------
CADENCE_MINUTES = 15  # etl.yml's cron line
CADENCE_WINDOW = timedelta(days=7)  # period of the schedule's coverage

# --- the backfill ------------------------------------------------------------------------------
# With runs at full cadence a month then uses 78 % of a Demo key's 10,000 credits.
BACKFILL_CREDITS_PER_DAY = 150
# A call covers 24 hours, but it comes early by the schedule's longest silence, so a coin needs more
# than one a day: 1.05 with the pauses of January 2026, 1.2 with those of autumn 2026, 1.3 to 1.5
# with a silence of 11 hours a day (replayed).
BACKFILL_CREDITS_PER_COIN = 1.5
BACKFILL_CALLS_PER_RUN = 25  # calls of one normal run; they take some seconds
BACKFILL_MINUTES = 2  # minutes of calls in backfill mode, which has 150 seconds
# How long before its 5-minute points expire a coin's chart is fetched: the longest silence of the
# schedule in the last CADENCE_WINDOW, within these limits.
MIN_BACKFILL_LEAD = timedelta(hours=2)  # GitHub's longest pause in January 2026: 119 minutes
MAX_BACKFILL_LEAD = timedelta(hours=14)  # room for a silence of 11 hours and four runs after it
RETRY_AFTER_FAILURE = timedelta(hours=1)  # after a chart request that failed
RETRY_AFTER_REFUSAL = timedelta(hours=24)  # after a chart that was rejected or unusable
DETAIL_WINDOW = timedelta(hours=24)  # how far back /market_chart?days=1 has 5-minute points
DETAIL_MINUTES = 5
HOURLY_DETAIL = timedelta(hours=1)  # interval of the points for the 89 days before

DEFAULT_LIMIT = 500
Mode = Literal["ingest", "dry-run", "backfill"]
MODES: tuple[Mode, ...] = get_args(Mode)
PublicPage = Literal["status", "market"]
# Keys that the command line of ingest.py accepts as flags too.
FLAG_KEYS = ("mode", "limit", "targets")
CONFIG_KEYS = (
    *FLAG_KEYS,
    "cadence_minutes",
    "compute_units",
    "backfill_credits_per_day",
    "quotas",
    "monitor",
)
KNOWN_KEYS = {"": CONFIG_KEYS, "quotas": QUOTA_NAMES}


def _check_is_pro(is_pro: bool, info: ValidationInfo) -> bool:
    if is_pro and info.data.get("api_key", "") is None:
        raise ValueError(
            "is true but COINGECKO_API_KEY is not set: set the key, or unset COINGECKO_IS_PRO"
        )
    return is_pro


def _check_public_page(given: object) -> object:
    """Return the page's kind. A wrong one costs the page, and not the prices of all runs."""
    if given in get_args(PublicPage):
        return given
    log.warning(
        "SENTINEL_PUBLIC_PAGE is '%.40s', and not status or market: no page is published", given
    )
    return None


def _default_quotas() -> dict[str, float | None]:
    return {name: quota.limit for name, quota in QUOTAS.items()}


def _complete_quotas(given: dict[str, float | None]) -> dict[str, float | None]:
    """Return the quotas with defaults. No run could keep a quota of 0: it means no limit."""
    for name in (name for name, quota in given.items() if quota == 0):
        log.warning("the quota %s is 0, which no run can keep: it is not watched", name)
    return {**_default_quotas(), **{name: quota or None for name, quota in given.items()}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a deployment decides. The repr leaves out the secrets.

    `load_settings` lets pydantic validate the fields by their annotations.
    """

    mode: Annotated[Mode, flag_or_key("mode")] = "ingest"
    # How many of the best ranked coins a run fetches.
    limit: Annotated[int, *whole_number("coins"), flag_or_key("limit")] = DEFAULT_LIMIT
    # Ids, symbols or names to fetch instead of the best ranked coins; empty: use `limit`.
    targets: Annotated[Names, flag_or_key("targets")] = ()
    # A PostgreSQL address; None: the embedded PostgreSQL in the state directory.
    database_url: Annotated[DatabaseUrl | None, variable("DATABASE_URL")] = field(
        default=None, repr=False
    )
    # CoinGecko's key; None: the public plan without a key.
    api_key: Annotated[Key | None, variable("COINGECKO_API_KEY")] = field(default=None, repr=False)
    # Whether the key belongs to a paid plan, which has another host and header.
    is_pro: Annotated[Switch, AfterValidator(_check_is_pro), variable("COINGECKO_IS_PRO")] = False
    # Replaces the plan's address, for a proxy or the stand-in; None: the plan's own.
    base_url: Annotated[HttpAddress | None, variable("COINGECKO_BASE_URL")] = None
    # With both, the budget check reads Neon's own figures; None: it does not.
    neon_api_key: Annotated[Key | None, variable("NEON_API_KEY")] = field(default=None, repr=False)
    neon_project_id: Annotated[Key | None, variable("NEON_PROJECT_ID")] = None
    # Replaces the address of Neon's API; None: its own.
    neon_base_url: Annotated[HttpAddress | None, variable("NEON_BASE_URL")] = None
    # Whether a run suspends Neon's compute at its end instead of letting it idle.
    suspend_after_run: Annotated[Switch, variable("NEON_SUSPEND_AFTER_RUN")] = False
    # A folder or an object store for expired days; None: no archive.
    archive_url: Annotated[str | None, variable("ARCHIVE_URL")] = field(default=None, repr=False)
    # Where both halves write their status documents: a folder, an object store or a repository, and
    # the token that may write to that repository. None: nowhere.
    publish_url: Annotated[str | None, variable("SENTINEL_PUBLISH_URL")] = field(
        default=None, repr=False
    )
    publish_token: Annotated[Key | None, variable("SENTINEL_PUBLISH_TOKEN")] = field(
        default=None, repr=False
    )
    # The dead man's switch that ingest.py reports its runs to; None: no reports.
    heartbeat_url: Annotated[HttpAddress | None, variable("HEARTBEAT_URL")] = field(
        default=None, repr=False
    )
    # Whether an alert target is set; sentinel/alerting/settings.py reads it.
    has_alert_targets: bool = False
    # Which public page scheduled runs prepare: `market` adds prices to `status`; None: no page.
    public_page: Annotated[
        PublicPage | None, BeforeValidator(_check_public_page), variable("SENTINEL_PUBLIC_PAGE")
    ] = None
    # Whether search engines may show the public page.
    is_page_indexed: Annotated[Switch, variable("SENTINEL_PUBLIC_PAGE_INDEXED")] = False
    # Whether GitHub bills the minutes of the workflow.
    is_private_repository: Annotated[Switch, variable("SENTINEL_PRIVATE_REPOSITORY")] = False
    # Minutes between two scheduled runs.
    cadence_minutes: Annotated[int, *whole_number("minutes")] = CADENCE_MINUTES
    # The size of Neon's compute.
    compute_units: Amount = COMPUTE_UNITS
    # CoinGecko credits that the backfill may use in a day (UTC); 0: no backfill.
    backfill_credits_per_day: Annotated[int, *whole_number("credits", 0)] = BACKFILL_CREDITS_PER_DAY
    # Monthly quotas by name, in the unit of the name; None: no limit.
    quotas: Annotated[dict[str, Quota | None], AfterValidator(_complete_quotas)] = field(
        default_factory=_default_quotas
    )
    # Where the spool, the usage log and the embedded database are.
    state_dir: Annotated[LocalPath, variable("SENTINEL_STATE_DIR")] = ROOT / ".sentinel"
    registry_path: Annotated[LocalPath, variable("SENTINEL_REGISTRY")] = ROOT / "coin_registry.json"


def load_settings(
    flags: Mapping[str, str | None] | None = None,
    *,
    config: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings: flags beat `ingest_config.json`, the environment beats `.env`.

    `flags` holds the values of the command line as typed, by the names in FLAG_KEYS; None: the
    flag was not given. `config` is the path of a file that replaces `ingest_config.json`.

    Raises ConfigurationError with all errors at once.
    """
    values, errors = read_settings(KNOWN_KEYS, flags=flags, config=config, environ=environ)
    if "--limit" in values:  # it asks for the top coins, so it replaces the file's targets too
        values.pop("targets", None)
    values["has_alert_targets"] = not ALERT_VARIABLES.isdisjoint(values)
    return validate(Settings, values, errors)
