"""The parts of the simulation: a market behind HTTP, a PostgreSQL, an archive and a machine."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg import conninfo

import database
from demo.market import DemoCoin
from demo.server import StandIn, running
from safe_zone import QUOTA_NAMES, RETENTION, Settings
from sentinel.models import CoinLabel, MarketRow
from sentinel.storage import embedded, partitions
from sentinel.storage.connection import Address, Connection, Session
from simulation.clock import SimulatedClock
from simulation.market import FaultyMarket
from simulation.registry_race import make_clones

START = datetime(2026, 11, 10, 0, 7, tzinfo=UTC)
COINS = 12
# Credits for backfills in a day. There are more coins, so that the limit counts.
BACKFILL_CREDITS = 6
HISTORY_STEP = timedelta(hours=6)
MEMORY = Path("/dev/shm")  # noqa: S108  # nosec B108 (the folder gets a random name below it)


@dataclass(frozen=True, slots=True)
class World:
    """What the runs of one simulation use."""

    clock: SimulatedClock
    market: FaultyMarket
    stand_in: StandIn
    settings: Settings
    # The connection string for the checks; the runs use that of the settings.
    conninfo: str
    # The folder with the state, the archive and the server.
    folder: Path
    # The folder with the server's Unix socket.
    socket_folder: Path
    archive_folder: Path
    # The registry in another clone of its repository; the runs use that of the settings.
    other_registry: Path

    @property
    def coin_ids(self) -> list[str]:
        """The coins that the runs collect."""
        return [coin.id for coin in self.market.ranked[:COINS]]


@contextlib.contextmanager
def make_world(seed: int, quotas: dict[str, float | None]) -> Iterator[World]:
    """Start all parts, with a history of a full retention in the database."""
    memory = MEMORY if MEMORY.is_dir() else None
    clock = SimulatedClock(START)
    market = FaultyMarket(seed)
    stand_in = StandIn(market, now=clock.timestamp)
    with (
        tempfile.TemporaryDirectory(prefix="sentinel-", dir=memory) as name,
        running(stand_in),
        _server(Path(name)) as address,
    ):
        folder = Path(name)
        (folder / "state").mkdir()
        (folder / "archive").mkdir()
        registry, other_registry = make_clones(folder)
        _store(address, list(_make_history(market.ranked[:COINS])))
        settings = Settings(
            database_url=address,
            api_key="a-demo-key",
            base_url=stand_in.base_url,
            archive_url=str(folder / "archive"),
            state_dir=folder / "state",
            registry_path=registry,
            limit=COINS,
            backfill_credits_per_day=BACKFILL_CREDITS,
            quotas={**dict.fromkeys(QUOTA_NAMES), **quotas},
        )
        socket_folder = Path(str(conninfo.conninfo_to_dict(address)["host"]))
        parts = (stand_in, settings, address, folder, socket_folder, folder / "archive")
        yield World(clock, market, *parts, other_registry)


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    folder.chmod(0o755)  # for root, the server runs as another user
    with embedded.ensure_running(folder / "server") as address:
        yield address


def _make_history(coins: list[DemoCoin]) -> Iterator[MarketRow]:
    at = (START - RETENTION).replace(hour=0, minute=0)
    while at < START - timedelta(hours=1):
        for coin in coins:
            price = coin.price_at(at.timestamp())
            yield MarketRow(coin.id, at, price, price * coin.supply, None)
        at += HISTORY_STEP


def _store(address: str, rows: list[MarketRow]) -> None:
    def load(connection: Connection, days: partitions.Days) -> None:
        partitions.create_upcoming_partitions(connection, days, START)
        database.load_batch(
            connection, rows, lambda coin_id: CoinLabel(coin_id, coin_id, None), days
        )

    with Session(Address(address, "the simulation's database")) as session:
        database.run_write_without_purge(session, load)
