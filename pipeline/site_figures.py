"""Reads all figures of the public page: from the database, the usage log and the registry."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import budget_monitor
from coin_registry import CoinRegistry
from safe_zone import Settings
from sentinel.alerting.options import MonitorOptions
from sentinel.budget import usage_log
from sentinel.budget.status import BudgetStatus
from sentinel.errors import ConfigurationError
from sentinel.site.market import Market
from sentinel.site.market_reader import read_market
from sentinel.site.status import Maker, Status
from sentinel.site.status_reader import Subject, read_status
from sentinel.storage.connection import Connection

MIN_INTERVAL = timedelta(hours=1)
INSTALL = "python -m pip install --require-hashes -r requirements/site.txt"


def read_figures(
    connection: Connection,
    settings: Settings,
    registry: CoinRegistry,
    budget: BudgetStatus,
    options: MonitorOptions,
    now: datetime,
    *,
    maker: Maker,
    interval: timedelta,
    with_market: bool,
    repository_url: str | None = None,
) -> tuple[Status, Market | None]:
    """Return the status document and, if asked for and if there is a schema, the market's prices.

    `options` are the object `monitor` of ingest_config.json, `interval` is how often the document
    is made. Raises psycopg.Error.
    """
    subject = Subject(
        maker,
        interval,
        budget,
        options,
        registry.coins.values(),
        registry.synced_at,
        repository_url,
    )
    status = read_status(connection, settings, subject, now)
    return status, read_market(connection, now) if with_market and status.storage else None


def read_monitor_figures(
    connection: Connection,
    settings: Settings,
    options: MonitorOptions,
    now: datetime,
    *,
    interval: timedelta,
    with_market: bool,
) -> tuple[Status, Market | None]:
    """Return the figures of a monitor that reads them often: Neon's API is not asked.

    Raises psycopg.Error.
    """
    usages = usage_log.read(budget_monitor.log_path(settings)).usages
    budget = budget_monitor.check_budget_status(settings, now, usages=usages)
    return read_figures(
        *(connection, settings, load_registry(settings), budget, options, now),
        maker="monitor",
        interval=interval,
        with_market=with_market,
    )


def load_registry(settings: Settings) -> CoinRegistry:
    """Return the deployment's registry; a damaged one is empty. Raises ConfigurationError."""
    try:
        return CoinRegistry.load(settings.registry_path)
    except ValueError:
        return CoinRegistry()  # the next run moves the damaged file aside and creates a new one


@contextlib.contextmanager
def missing_packages_explained() -> Iterator[None]:
    """Raise ConfigurationError if the block imports a package of the pages that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The page cannot be made, because the package {error.name} is not installed: {INSTALL}"
        ) from error


def page_interval(settings: Settings) -> timedelta:
    """Return how often scheduled runs make the page: each hour, or each run if runs come less."""
    return max(MIN_INTERVAL, timedelta(minutes=settings.cadence_minutes))


def find_repository_url(environ: Mapping[str, str]) -> str | None:
    """Return the page of the repository that GitHub Actions runs in; None elsewhere."""
    server, name = environ.get("GITHUB_SERVER_URL"), environ.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else None
