"""An API whose registry knows the coins of the import files, and a way to send it a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from coin_registry import CoinRegistry
from safe_zone import Settings
from sentinel.coin import Coin
from sentinel.storage.connection import Connection
from services.api.connection_pool import ConnectionPool
from services.api.dependencies import ApiContext
from services.settings import MonitorSettings
from tests.conftest import NOW, FreshDatabase, new_database
from tests.services.api.client import TOKEN, ApiSession, running_api
from tests.support.monitor import load, minutes

FILES = Path(__file__).parent / "files"
RANKED = (
    *(
        "bitcoin BTC",
        "ethereum ETH",
        "binancecoin BNB",
        "tether USDT",
        "solana SOL",
        "dogecoin DOGE",
    ),
    *("cardano ADA", "stellar XLM", "tezos XTZ", "1inch 1INCH", "polygon-ecosystem-token POL"),
    *("terra-luna LUNC", "terra-luna-2 LUNA", "litecoin LTC"),
)
# The same symbols, far below in the ranking or outside it.
OTHERS = (
    Coin("aave-btc", "BTC", "aBTC", rank=900),
    Coin("osmosis-allbtc", "btc", "Osmosis allBTC"),
    Coin("twin-1", "TWIN", "Twin 1"),
    Coin("twin-2", "TWIN", "Twin 2"),
)


@dataclass(frozen=True, slots=True)
class Importer:
    """Sends files to an API, and reads what its database holds then."""

    api: ApiSession
    database: FreshDatabase
    # Of the API, for tests without HTTP.
    context: ApiContext

    @property
    def connection(self) -> Connection:
        self.database.query("SELECT 1")
        return self.database.connections[-1]

    def send(self, content: str | bytes, step: str = "", **options: Any) -> requests.Response:
        data = content if isinstance(content, bytes) else content.encode()
        headers = {"Content-Type": "text/csv"}
        return self.api.post(f"/portfolio/import{step}", data=data, headers=headers, params=options)

    def preview(self, content: str | bytes, **options: Any) -> Any:
        response = self.send(content, "/preview", **options)
        assert response.status_code == 200, response.text
        return response.json()

    def refusal(self, content: str | bytes, **options: Any) -> str:
        """The reason why a file is not imported; nothing of it is stored."""
        before = self.database.query("SELECT count(*) FROM sentinel.transactions")
        response = self.send(content, **options)
        assert response.status_code == 409, response.text
        assert self.database.query("SELECT count(*) FROM sentinel.transactions") == before
        return str(response.json()["detail"])


@pytest.fixture(scope="module")
def import_database(server: str, template: str) -> Iterator[FreshDatabase]:
    with new_database(server, template) as database:
        rows = [
            (NOW - minutes(60 * n), coin, price)
            for n in range(30)
            for coin, price in (("bitcoin", 90_000.0), ("binancecoin", 800.0))
        ]
        load(database.address(), rows, NOW, idr=16_250.0)
        yield database


@pytest.fixture(scope="module")
def import_monitor(
    import_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory
) -> MonitorSettings:
    folder = tmp_path_factory.mktemp("imports")
    ranked = [
        Coin(coin_id, symbol.lower(), coin_id.title(), rank=rank)
        for rank, (coin_id, symbol) in enumerate((text.split() for text in RANKED), start=1)
    ]
    CoinRegistry((*ranked, *OTHERS)).save(folder / "coin_registry.json")
    settings = Settings(
        database_url=import_database.url,
        state_dir=folder / "state",
        registry_path=folder / "coin_registry.json",
    )
    return MonitorSettings(settings=settings, api_token=TOKEN)


@pytest.fixture(scope="module")
def import_api(
    import_database: FreshDatabase, import_monitor: MonitorSettings
) -> Iterator[ApiSession]:
    with running_api(import_monitor, import_database.address(), lambda: NOW) as base:
        yield ApiSession(base, TOKEN)


@pytest.fixture
def importer(
    import_api: ApiSession, import_database: FreshDatabase, import_monitor: MonitorSettings
) -> Importer:
    """An API with an empty portfolio."""
    import_database.query("DELETE FROM sentinel.transactions")
    pool = ConnectionPool(import_database.address())  # never opened
    return Importer(import_api, import_database, ApiContext(pool, import_monitor, lambda: NOW))
