"""A filled database, a verified backup of it, and settings that point at them."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from safe_zone import Settings
from services.backup import manifest
from services.backup.create import make_verified_backup
from services.settings import MonitorSettings
from tests.conftest import NOW, FreshDatabase, new_database
from tests.support.monitor import Target, listening, load

HOURS = 60
PRICES = [
    (NOW - timedelta(hours=hour), coin, 100.0 + hour)
    for coin in ("bitcoin", "ethereum")
    for hour in range(HOURS)
]
PORTFOLIO = r"""
INSERT INTO sentinel.transactions (made_at, kind, coin_id, quantity, price_usd, fee_usd, note)
VALUES (now(), 'buy', 'bitcoin', 0.1, 90000, 1.5, E'a\ttab, a \\\\ backslash, a\nline, \u00e9'),
       (now(), 'sell', 'ethereum', -1, 1, 0, '');
INSERT INTO sentinel.wallets (opened_at, fee_bps, slippage_bps, name, strategy, parameters)
VALUES (now(), 1, 1, 'first', 'hold', '{"n": 1}');
INSERT INTO sentinel.wallet_events (recorded_at, observed_at, wallet_id, kind, coin_id)
SELECT now(), now(), wallet_id, kind::sentinel.wallet_event, 'bitcoin'
FROM sentinel.wallets, unnest(ARRAY['opened', 'unblocked']) AS kind
"""


def pointing_at(monitor: MonitorSettings, url: str) -> MonitorSettings:
    """The same settings for another database."""
    return replace(monitor, settings=replace(monitor.settings, database_url=url))


def list_backups(folder: Path) -> list[str]:
    """The names of the dumps in a folder, the oldest first."""
    return [path.name for path in manifest.list_dumps(folder)]


def read_days(database: FreshDatabase) -> list[tuple[object, ...]]:
    """A digest of each day's observations."""
    return database.query(
        "SELECT observed_at::date, count(*), sum(hashtextextended(o::text, 0)::numeric) "
        "FROM sentinel.observations o GROUP BY 1 ORDER BY 1"
    )


@pytest.fixture(scope="session")
def filled_template(server: str) -> str:
    """The name of a database with prices, a portfolio and a wallet, to be copied."""
    name = "template_backup"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    database = FreshDatabase(psycopg.conninfo.make_conninfo(server, dbname=name))
    load(database.address(), PRICES, NOW)
    database.query(PORTFOLIO)
    database.close()  # no database in use can be copied
    return name


@pytest.fixture(scope="session")
def made_backup(
    server: str, filled_template: str, server_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A verified backup of `filled_template`, made once."""
    source = FreshDatabase(psycopg.conninfo.make_conninfo(server, dbname=filled_template))
    folder = tmp_path_factory.mktemp("made")
    return make_verified_backup(source.address(), folder, server_dir, NOW).path


@pytest.fixture
def filled(server: str, filled_template: str) -> Iterator[FreshDatabase]:
    """An own copy of `filled_template`."""
    with new_database(server, filled_template) as database:
        yield database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def backup(made_backup: Path, folder: Path) -> Path:
    """A backup of what `filled` holds at first."""
    folder.mkdir()
    for path in (made_backup, manifest.manifest_path(made_backup)):
        shutil.copy2(path, folder)
    return folder / made_backup.name


@pytest.fixture
def target() -> Iterator[Target]:
    with listening() as listener:
        yield listener


@pytest.fixture
def monitor(filled: FreshDatabase, server_dir: Path, target: Target) -> MonitorSettings:
    """Settings with the state directory of the tests' server: dumps are verified there."""
    settings = Settings(database_url=filled.url, state_dir=server_dir)
    return MonitorSettings(settings=settings, alert_urls=(target.url,))


def flip_a_byte(dump: Path) -> None:
    """Change one byte of the compressed rows of `transactions`."""
    with zipfile.ZipFile(dump) as archive:
        member = archive.getinfo("transactions.copy")
    content = bytearray(dump.read_bytes())
    content[member.header_offset + 60 + member.compress_size // 2] ^= 1
    dump.write_bytes(content)


def truncate(dump: Path) -> None:
    """Cut off the end."""
    dump.write_bytes(dump.read_bytes()[:-100])


def change_member(dump: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Replace one member of a dump, whose zip file stays valid."""
    with zipfile.ZipFile(dump) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members[name] = change(members[name])
    with zipfile.ZipFile(dump, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def lose_a_row(dump: Path) -> None:
    """Remove the last transaction."""
    change_member(dump, "transactions.copy", lambda rows: rows[: rows.rindex(b"\n", 0, -1) + 1])
