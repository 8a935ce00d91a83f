"""Fixtures of the API tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from safe_zone import Settings
from sentinel.storage.connection import Address
from services.settings import MonitorSettings
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.services.api.client import TOKEN, ApiSession, StartApi, running_api
from tests.support.monitor import load, minutes


@pytest.fixture
def start_api(settings: Settings, fresh: FreshDatabase, time_: FakeTime) -> Iterator[StartApi]:
    """Start APIs that run until the test ends."""
    with contextlib.ExitStack() as stack:

        def start(token: str | None = TOKEN, address: Address | None = None) -> ApiSession:
            monitor = MonitorSettings(settings=settings, api_token=token)
            running = running_api(monitor, address or fresh.address(), time_.now)
            return ApiSession(stack.enter_context(running), token)

        yield start


@pytest.fixture
def api(start_api: StartApi) -> ApiSession:
    return start_api()


@pytest.fixture
def week(fresh: FreshDatabase) -> None:
    """Store a week of two coins, one observation per quarter of an hour, and the rupiah's rate."""
    rows = [
        (NOW - minutes(15 * n), coin, price + n)
        for n in range(7 * 96)
        for coin, price in (("bitcoin", 90_000.0), ("ethereum", 3_000.0))
    ]
    load(fresh.address(), rows, NOW, idr=16_250.0)
