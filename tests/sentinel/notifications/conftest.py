"""A database with the schema, and an alert target that stands in for Telegram's API too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sentinel.notifications import telegram
from sentinel.storage import schema
from sentinel.storage.connection import Connection, open_connection
from tests.conftest import FreshDatabase
from tests.support.monitor import Target, listening


@pytest.fixture
def connection(fresh: FreshDatabase) -> Iterator[Connection]:
    with open_connection(fresh.address()) as connection:
        schema.apply_migrations(connection)
        yield connection


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A target for Apprise that stands in for Telegram's API too."""
    with listening() as target:
        monkeypatch.setattr(telegram, "API_URL", target.base_url)
        yield target
