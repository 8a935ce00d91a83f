"""Fixtures of the API tests.

Most tests share one API over one database with a week of prices: `week_api` for tests that only
read, `portfolio_api` for tests that also change the portfolio. Tests that change other data have a
database of their own: `fresh`, filled by `week`, behind `api` or `start_api`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from safe_zone import Settings
from sentinel.storage.connection import Address
from services.settings import MonitorSettings
from tests.conftest import NOW, FakeTime, FreshDatabase, new_database
from tests.services.api.client import TOKEN, ApiSession, StartApi, running_api
from tests.support.monitor import load, minutes


def make_settings(database: FreshDatabase, folder: Path) -> Settings:
    """Return settings with the paths of the fixture `settings`, without CoinGecko's stand-in."""
    return Settings(
        database_url=database.url,
        api_key="a-demo-key",
        state_dir=folder / "state",
        registry_path=folder / "coin_registry.json",
    )


@pytest.fixture
def start_api(fresh: FreshDatabase, time_: FakeTime, tmp_path: Path) -> Iterator[StartApi]:
    """Start APIs that run until the test ends."""
    with contextlib.ExitStack() as stack:

        def start(token: str | None = TOKEN, address: Address | None = None) -> ApiSession:
            monitor = MonitorSettings(settings=make_settings(fresh, tmp_path), api_token=token)
            running = running_api(monitor, address or fresh.address(), time_.now)
            return ApiSession(stack.enter_context(running), token)

        yield start


@pytest.fixture
def api(start_api: StartApi) -> ApiSession:
    return start_api()


def load_week(address: Address) -> None:
    """Store a week of two coins, one observation per quarter of an hour, and the rupiah's rate."""
    rows = [
        (NOW - minutes(15 * n), coin, price + n)
        for n in range(7 * 96)
        for coin, price in (("bitcoin", 90_000.0), ("ethereum", 3_000.0))
    ]
    load(address, rows, NOW, idr=16_250.0)


@pytest.fixture
def week(fresh: FreshDatabase) -> None:
    """Fill the test's own database with a week."""
    load_week(fresh.address())


@pytest.fixture(scope="session")
def week_database(server: str, template: str) -> Iterator[FreshDatabase]:
    with new_database(server, template) as database:
        load_week(database.address())
        yield database


@pytest.fixture(scope="session")
def week_api(
    week_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiSession]:
    """The API over a week, for all tests that only read."""
    settings = make_settings(week_database, tmp_path_factory.mktemp("week_api"))
    monitor = MonitorSettings(settings=settings, api_token=TOKEN)
    with running_api(monitor, week_database.address(), lambda: NOW) as base:
        yield ApiSession(base, TOKEN)


@pytest.fixture(scope="session")
def open_api(
    week_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiSession]:
    """The same without a token."""
    settings = make_settings(week_database, tmp_path_factory.mktemp("open_api"))
    monitor = MonitorSettings(settings=settings)
    with running_api(monitor, week_database.address(), lambda: NOW) as base:
        yield ApiSession(base)


@pytest.fixture
def portfolio_api(week_api: ApiSession, week_database: FreshDatabase) -> ApiSession:
    """The same with an empty portfolio."""
    week_database.query(
        "TRUNCATE sentinel.transactions, sentinel.deleted_transactions RESTART IDENTITY"
    )
    week_api.empty_cache()
    return week_api
