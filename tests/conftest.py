"""Real parts for the tests: a PostgreSQL, CoinGecko's stand-in over HTTP, commands as processes."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from demo.market import Market
from demo.server import StandIn, make_response, running
from ingest import Clocks
from safe_zone import ROOT, Settings
from sentinel.models import LoadCounts
from sentinel.notifications.addresses import ALERT_VARIABLES
from sentinel.storage import embedded, schema
from sentinel.storage.connection import Address, Session, parse_address
from tests.support.commands import Module, Script
from tests.support.serving import serving

# How many examples a property gets. `make test-soak` takes the profile nightly.
hypothesis.settings.register_profile("ci", max_examples=30, deadline=None)
hypothesis.settings.register_profile("nightly", max_examples=5_000, deadline=None)
hypothesis.settings.load_profile("ci")

# What a command inherits from the developer's environment: not the developer's own settings.
INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "SYSTEMROOT", "COVERAGE_PROCESS_CONFIG")

Rows = list[tuple[Any, ...]]
Load = Callable[..., LoadCounts]
NOW = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC)
MEMORY = Path("/dev/shm")  # a file system in memory, on Linux
MIN_FREE_MEMORY_BYTES = 4_000_000_000  # several times what the folders of all tests need


# One worker runs the tests of these files, because they share what takes long to start.
ONE_WORKER = {
    "tests/sentinel/site/test_market_browser.py": "browser",
    "tests/services/stack/test_stack.py": "browser",
    "tests/services/dashboard/test_old_data.py": "browser",
    "tests/sentinel/site/test_browser.py": "browser",
    "tests/services/stack/test_supervisor.py": "supervisor",
    "tests/services/telegram/test_commands.py": "telegram",
    "tests/services/telegram/test_poller.py": "telegram",
    "tests/services/telegram/test_process.py": "telegram",
    "tests/sentinel/backtesting/test_walk_forward.py": "cluster",
    "tests/sentinel/storage/test_embedded.py": "embedded",
    "tests/sentinel/analytics/test_forecast.py": "scikit-learn",
    "tests/test_docs.py": "sources",
    "tests/test_package_rules.py": "sources",
}
# They share the running stack of test_stack.py.
STACK_PAGE = re.compile("tests/services/stack/test_.*_page.py")


class Scheduler(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a worker one test after the other, or all tests of ONE_WORKER that belong together.

    xdist's own `loadgroup` ignores its groups with pytest 9.2:
    https://github.com/pytest-dev/pytest-xdist/issues/1386
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "browser" if STACK_PAGE.match(path) else ONE_WORKER.get(path, nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduler:
    return Scheduler(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than processors, because slow tests wait for processes and browsers."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--repeat-soak", type=int, default=1, help="how often to run a soak test")


def pytest_configure() -> None:
    """Keep the folders of the tests in memory where the system has room there.

    A flush to the disk then costs nothing, and a database is made ten times as fast.
    """
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MIN_FREE_MEMORY_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat the tests that depend on chance as often as the command line says."""
    times = metafunc.config.getoption("--repeat-soak")
    if times > 1 and metafunc.definition.get_closest_marker("soak"):
        metafunc.fixturenames.append("dice")
        metafunc.parametrize("dice", range(times), indirect=True)


@pytest.fixture(autouse=True)
def _finished_threads() -> Iterator[None]:
    """End the reports that a test began: they log, and read the environment of the next test."""
    yield
    for thread in threading.enumerate():
        if thread.name.endswith(("(_send_after)", "(_visit)")):  # heartbeats and publications
            thread.join(5)


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers: always the same ones, but others in each repetition of a soak test."""
    return random.Random(getattr(request, "param", 0))


# Like the view `market_data`, but independent of the current date.
STORED_ROWS = """(
    SELECT c.coin_id, c.symbol, o.price_usd AS price, o.market_cap_usd AS market_cap,
           o.volume_24h_usd AS volume_24h, o.observed_at AS "timestamp", o.source
    FROM sentinel.observations o JOIN sentinel.coins c USING (coin_key)) AS stored"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the slow tests, so that the last minute has work for all processors."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@dataclass
class FakeTime:
    """A clock that moves only during sleeps, and records them."""

    at: datetime = NOW
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)

    @property
    def clocks(self) -> Clocks:
        return Clocks(self.now, self.monotonic, self.sleep)


@dataclass(frozen=True)
class FreshDatabase:
    """An own database on the session's server, dropped after the test."""

    url: str
    # The connection of `query`, once it is open: each new one costs the server 4 ms.
    connections: list[psycopg.Connection] = field(default_factory=list)

    def query(self, statement: str, *parameters: object) -> Rows:
        """The rows of a statement, which may read `stored_rows`."""
        statement = statement.replace("stored_rows", STORED_ROWS)
        if not self.connections or self.connections[-1].closed:
            # A prepared statement would fail after a change of the schema.
            opened = psycopg.connect(self.url, autocommit=True, prepare_threshold=None)
            self.connections.append(opened)
        cursor = self.connections[-1].execute(statement.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []

    def address(self) -> Address:
        return parse_address(self.url)

    def close(self) -> None:
        """Close the connection of `query`."""
        for connection in self.connections:
            connection.close()


@pytest.fixture
def time_() -> FakeTime:
    return FakeTime()


@pytest.fixture(scope="session")
def server_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of the embedded PostgreSQL that all tests share."""
    folder = tmp_path_factory.mktemp("server")
    open_to_other_users(folder)  # root's server runs as another user
    return folder


def open_to_other_users(folder: Path) -> None:
    """Let another user pass through our own folders down to this one."""
    for path in (folder, *folder.parents):
        if path.stat().st_uid == os.geteuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)


# One connection per server, because each new one costs the server 4 ms.
ADMINS: dict[str, psycopg.Connection] = {}
# Databases of tests that have ended. They are dropped a few tests later: at once, PostgreSQL would
# wait 100 ms for the end of their connections.
ENDED: list[str] = []
KEPT_DATABASES = 5  # of 8 MB each


@pytest.fixture(scope="session")
def server(server_dir: Path) -> Iterator[str]:
    """The connection string of one embedded PostgreSQL for all tests.

    It does not flush its files, because no test crashes this server.
    """
    with (
        embedded.ensure_running(server_dir) as conninfo,
        psycopg.connect(conninfo, autocommit=True) as connection,
    ):
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
        connection.execute("SELECT pg_reload_conf()")
        ADMINS[conninfo] = connection
        yield conninfo


@contextlib.contextmanager
def new_database(server: str, source: str) -> Iterator[FreshDatabase]:
    """Copy the database `source` for the length of the block."""
    name = f"test_{uuid.uuid4().hex}"
    admin = ADMINS[server]
    while len(ENDED) > KEPT_DATABASES:
        admin.execute(f"DROP DATABASE IF EXISTS {ENDED.pop(0)} WITH (FORCE)".encode())
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy".encode())
    database = FreshDatabase(psycopg.conninfo.make_conninfo(server, dbname=name))
    yield database
    database.close()
    ENDED.append(name)


@pytest.fixture(scope="session")
def template(server: str) -> str:
    """The name of a database with our schema, which is copied for each test."""
    name = "template_sentinel"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    with Session(parse_address(psycopg.conninfo.make_conninfo(server, dbname=name))) as opened:
        opened.use(schema.migrate_if_needed)
    return name


@pytest.fixture
def fresh(request: pytest.FixtureRequest, server: str, template: str) -> Iterator[FreshDatabase]:
    """A database of the test's own, with our schema and without rows.

    For a test with the marker `before_first_run` it has no schema either.
    """
    is_empty = request.node.get_closest_marker("before_first_run")
    with new_database(server, "template1" if is_empty else template) as database:
        yield database


@pytest.fixture
def session(fresh: FreshDatabase, time_: FakeTime) -> Iterator[Session]:
    """A session on the test's database that waits in fake time."""
    with Session(fresh.address(), clock=time_.monotonic, sleep=time_.sleep) as opened:
        yield opened


@pytest.fixture
def load(session: Session) -> Load:
    """Load rows at a time (default NOW), and return the counts."""
    from tests.support.loading import load_rows

    return lambda rows, now=NOW: load_rows(session, rows, now)


# Most tests use a small market, because a sync of 620 coins and a load of 500 take 0.1 s.
COINS, TARGETS = 120, 100
# The market of most tests, which no test changes.
make_market = functools.cache(Market)
# Most tests begin at the same time with the same requests, so they get the same responses.
make_response_once = functools.lru_cache(maxsize=200)(make_response)


class FakeTimeStandIn(StandIn):
    """CoinGecko's stand-in at a test's fake time, whose clock moves only when the test moves it."""

    def __init__(self, time_: FakeTime, size: int = COINS) -> None:
        super().__init__(make_market(size), now=lambda: time_.now().timestamp())

    def respond(self, path: str) -> tuple[int, bytes]:
        return make_response_once(self.market, path, self.now())


@pytest.fixture
def stand_in(time_: FakeTime) -> Iterator[StandIn]:
    """CoinGecko's stand-in, living at the test's fake time."""
    with running(FakeTimeStandIn(time_)) as served:
        yield served


@pytest.fixture
def live_stand_in() -> Iterator[StandIn]:
    """CoinGecko's stand-in at the real time, for scripts that run as processes."""
    with running(StandIn(make_market(COINS))) as served:
        yield served


@pytest.fixture
def settings(fresh: FreshDatabase, stand_in: StandIn, tmp_path: Path) -> Settings:
    return Settings(
        database_url=fresh.url,
        api_key="a-demo-key",
        base_url=stand_in.base_url,
        state_dir=tmp_path / "state",
        registry_path=tmp_path / "coin_registry.json",
        limit=TARGETS,
    )


def make_script_environment(folder: Path) -> dict[str, str]:
    """Return an environment without the developer's own settings."""
    return {key: os.environ[key] for key in INHERITED if key in os.environ} | {
        "SENTINEL_STATE_DIR": str(folder / "state"),
        "SENTINEL_REGISTRY": str(folder / "coin_registry.json"),
        "COINGECKO_BASE_URL": "http://127.0.0.1:9/closed-port",
        "DATABASE_URL": "postgresql://user:hunter2@127.0.0.1:9/nothing",
        **dict.fromkeys(ALERT_VARIABLES, ""),  # not those of the developer's .env
    }


@pytest.fixture
def script_environment(tmp_path: Path) -> dict[str, str]:
    return make_script_environment(tmp_path)


@pytest.fixture
def script(script_environment: dict[str, str], tmp_path: Path) -> Script:
    return Script(tmp_path, script_environment)


@pytest.fixture
def live_script(
    script_environment: dict[str, str],
    live_stand_in: StandIn,
    fresh: FreshDatabase,
    tmp_path: Path,
) -> Script:
    """Commands with a working stand-in and a working database."""
    return Script(
        tmp_path,
        script_environment
        | {
            "COINGECKO_BASE_URL": live_stand_in.base_url,
            "COINGECKO_API_KEY": "a-demo-key",
            "DATABASE_URL": fresh.url,
        },
    )


@pytest.fixture
def module(script: Script) -> Module:
    return Module(ROOT, script.environment)


@pytest.fixture
def live_module(live_script: Script) -> Module:
    """The same with a working stand-in and a working database."""
    return Module(ROOT, live_script.environment)


@pytest.fixture
def in_process(time_: FakeTime) -> Callable[[Settings], Any]:
    """Run the pipeline in this process at the fake time."""
    from ingest import run_pipeline

    return lambda settings: run_pipeline(settings, clocks=time_.clocks)


class NeonConsole(ThreadingHTTPServer):
    """A stand-in for Neon's API: it sends the prepared bodies and records the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _NeonHandler)
        self.status = 200
        self.bodies: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/api/v2"


class _NeonHandler(BaseHTTPRequestHandler):
    server: NeonConsole

    def do_GET(self) -> None:
        self.server.requests.append(
            (self.command, self.path, self.headers.get("Authorization", "none"))
        )
        body = self.server.bodies.get(self.path.rpartition("/")[2], b"{}")
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silence."""


@pytest.fixture
def neon() -> Iterator[NeonConsole]:
    with serving(NeonConsole()) as server:
        yield server
