"""Pages with old prices, with hostile coin names, without an API, and with an empty database."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from playwright.sync_api import BrowserContext, expect

import database
from safe_zone import ROOT
from sentinel.models import CoinLabel, FxRate, MarketRow
from sentinel.storage import partitions, run_records, service_status
from sentinel.storage.connection import Connection, Session
from tests.conftest import FreshDatabase, make_script_environment, new_database
from tests.support.browser import REBOUND_NAME, Visitor, free_port, running_browser
from tests.support.commands import Module

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

HOSTILE = (
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    "![x](http://127.0.0.1:9/evil.png) [click](javascript:window.pwned=1)",
    ":red[**bold**] $x^2$ `code`",
    "https://evil.example www.evil.example me@evil.example",
)
MISSED_MINUTES = 47
OPEN_SOCKET = """url => new Promise(resolve => {
    const socket = new WebSocket(url);
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("refused");
})"""


def _store_old_prices(fresh: FreshDatabase, now: datetime) -> None:
    labels = {f"coin-{n}": CoinLabel(f"s{n}<b>", name, n + 1) for n, name in enumerate(HOSTILE)}
    newest = now - timedelta(minutes=MISSED_MINUTES)
    rows = [
        MarketRow(coin_id, newest - timedelta(minutes=5 * n), 100.0 + n, 1e9, 1e7)
        for coin_id in labels
        for n in range(400)
    ]

    def work(connection: Connection, days: partitions.Days) -> None:
        database.load_batch(connection, rows, labels.get, days)
        run_records.record_fx_rates(connection, [FxRate(newest, "idr", 16_000.0)])
        connection.execute(
            """
            INSERT INTO sentinel.alerts (coin_key, kind, observed_at, price_usd, reference_usd,
                reference_at, move,
                                threshold, level)
            SELECT coin_key, 'panic', observed_at, price_usd, 110, observed_at, -0.05, 0.04, 1
            FROM sentinel.coins
            """
        )
        connection.execute(
            """
            INSERT INTO sentinel.transactions (made_at, coin_id, quantity, price_usd, fee_usd, note)
            SELECT observed_at, coin_id, 1, 90, 0, %s FROM sentinel.coins
            """,
            [HOSTILE[0]],
        )
        state = {"interval_seconds": 300, "errors": ["CoinGecko is away."], "exit_code": 3}
        service_status.record(connection, "ingestion", state, now)
        backup = {"verified_at": (now - timedelta(days=90)).isoformat(), "rows": 3}
        service_status.record(connection, "backup", backup, now)

    with Session(fresh.address()) as session:
        database.run_write_transaction(session, work, now)


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    with running_browser() as found:
        yield found


@pytest.fixture(scope="module")
def database_(server: str, template: str) -> Iterator[FreshDatabase]:
    with new_database(server, template) as created:
        yield created


@pytest.fixture(scope="module")
def module_(database_: FreshDatabase, tmp_path_factory: pytest.TempPathFactory) -> Module:
    """Start processes that share a database and know each other's ports."""
    own = {
        "DATABASE_URL": database_.url,
        "SENTINEL_API_PORT": str(free_port()),
        "SENTINEL_DASHBOARD_PORT": str(free_port()),
    }
    return Module(ROOT, make_script_environment(tmp_path_factory.mktemp("pages")) | own)


@pytest.fixture(scope="module")
def dashboard(module_: Module) -> Iterator[str]:
    """The address of a dashboard. Its API runs only for tests that use the fixture `api`."""
    process = module_.start("services.dashboard")
    url = f"http://127.0.0.1:{module_.environment['SENTINEL_DASHBOARD_PORT']}"
    _wait_for(f"{url}/_stcore/health")
    yield url
    process.terminate()
    process.communicate()


@pytest.fixture(scope="module")
def api(module_: Module, database_: FreshDatabase) -> Iterator[subprocess.Popen[str]]:
    """The API, over a database that is empty until a test uses `old_prices`."""
    assert database_.query("SELECT 1")
    process = module_.start("services.api")
    _wait_for(f"http://127.0.0.1:{module_.environment['SENTINEL_API_PORT']}/health")
    yield process
    process.terminate()
    process.communicate()


@pytest.fixture(scope="module")
def old_prices(database_: FreshDatabase) -> None:
    _store_old_prices(database_, datetime.now(UTC))


def _wait_for(url: str) -> None:
    for _ in range(150):
        with contextlib.suppress(requests.ConnectionError):
            requests.get(url, timeout=5)
            return
        time.sleep(0.2)
    raise AssertionError(f"{url} does not answer")


def test_without_an_api_a_page_shows_how_to_start_it(
    dashboard: str, browser: BrowserContext
) -> None:
    visitor = Visitor(browser, dashboard)
    visitor.open()
    for title in ("Overview", "Coin", "Forecasts", "Portfolio", "Pipeline"):
        visitor.follow(title)
        visitor.wait_for_text("Start the API with")
    visitor.close()


@pytest.mark.usefixtures("api")
def test_with_an_empty_database_a_page_shows_how_to_fill_it(
    dashboard: str, browser: BrowserContext, request: pytest.FixtureRequest
) -> None:
    visitor = Visitor(browser, dashboard)
    page = visitor.open()
    visitor.wait_for_text("Nothing to show yet")
    visitor.follow("Pipeline")
    visitor.wait_for_text("No backup was made yet: run ./backup_db.sh.")
    visitor.follow("Forecasts")
    visitor.wait_for_text("too early to tell (0 forecasts scored)")
    visitor.wait_for_text("No forecast was scored yet")
    visitor.follow("Coin")
    visitor.wait_for_text("No price is stored yet")
    request.getfixturevalue("old_prices")
    visitor.wait_for_text("runs missed")  # the page finds the first prices by itself
    page.locator("[data-testid=sentinel-chart]").first.wait_for()
    visitor.close()


@pytest.mark.usefixtures("api", "old_prices")
def test_old_prices_are_marked_as_old_and_hostile_names_shown_as_text(
    dashboard: str, browser: BrowserContext
) -> None:
    visitor = Visitor(browser, dashboard)
    fetched: list[str] = []
    visitor.page.on("request", lambda request: fetched.append(request.url))
    for path in ("coin?coin=coin-0", "coin?coin=coin-2", "Portfolio", "Pipeline", "Overview"):
        page = visitor.open(path) if "?" in path else visitor.follow(path)
        visitor.wait_for_text(re.compile("[0-9]+ runs missed, prices [0-9]+ min old"))
        visitor.wait_for_text("CoinGecko gives no usable answer")
        visitor.wait_for_text("The last verified backup is 90 days old")
        assert not re.search(r"\blive\b", page.locator("[data-testid=stMain]").inner_text())
        assert page.evaluate("window.pwned") is None
        assert page.locator("[data-testid=stException]").count() == 0
    for name in HOSTILE:  # in the table, among the movers and in the list of alerts
        expect(page.locator(".ms-name", has_text=name)).to_have_count(3)
    assert page.locator(".ms-table.ms-old").count() == 2  # alerts do not age
    assert page.locator("[data-testid=stMain] a[href*=evil]").count() == 0
    assert [url for url in fetched if not url.startswith((dashboard, "data:", "blob:"))] == []
    assert visitor.errors == []
    visitor.close()


@pytest.mark.usefixtures("api", "old_prices")
def test_the_page_of_a_stranger_gets_nothing_from_the_dashboard(
    dashboard: str, browser: BrowserContext
) -> None:
    stranger = "http://localhost:9/"
    page = browser.new_page()
    frame = f'<iframe src="{dashboard}/portfolio"></iframe>'
    page.route(stranger, lambda route: route.fulfill(content_type="text/html", body=frame))
    page.goto(stranger)
    sockets = [
        f"{base}/_stcore/stream".replace("http", "ws")
        for base in (dashboard, dashboard.replace("127.0.0.1", "localhost"))
    ]
    assert [page.evaluate(OPEN_SOCKET, url) for url in sockets] == ["refused", "refused"]
    assert [frame.url for frame in page.main_frame.child_frames] == [
        "chrome-error://chromewebdata/"
    ]
    page.goto(dashboard.replace("127.0.0.1", REBOUND_NAME))
    assert "SENTINEL_PUBLIC_HOSTS" in page.inner_text("body")
    page.goto(dashboard)
    assert page.evaluate(OPEN_SOCKET, sockets[0]) == "open"
    page.close()


@pytest.mark.usefixtures("api", "old_prices")
def test_the_status_page_is_part_of_the_dashboard_and_asks_no_other_host(
    dashboard: str, browser: BrowserContext
) -> None:
    fetched: list[str] = []
    messages: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: fetched.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.goto(f"{dashboard}/status")
    assert page.url == f"{dashboard}/status/"
    assert page.evaluate("window.pwned") is None
    assert f"{dashboard}/status/site.js" in fetched
    assert all(url.startswith(f"{dashboard}/status") for url in fetched)
    assert messages == []
    page.close()


def test_the_dashboard_takes_uploads_of_its_own_pages_only(dashboard: str) -> None:
    upload = f"{dashboard}/_stcore/upload_file/session/file"
    assert requests.put(upload, data=b"x", timeout=20).status_code == 403
    assert requests.post(f"{dashboard}/_stcore/agent/interact", timeout=20).status_code == 405


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can be two users"
)
def test_the_dashboard_refuses_another_user_of_the_machine(dashboard: str) -> None:
    os.seteuid(65534)
    try:
        response = requests.get(dashboard, timeout=20)
    finally:
        os.seteuid(0)
    assert response.status_code == 403
    assert "SENTINEL_LOCAL_USERS" in response.text


@pytest.mark.usefixtures("old_prices")
def test_a_page_without_its_api_reports_it_and_keeps_its_data(
    dashboard: str, api: subprocess.Popen[str], browser: BrowserContext
) -> None:
    visitors = {path: Visitor(browser, dashboard) for path in ("", "portfolio", "coin?coin=coin-1")}
    for path, visitor in visitors.items():
        visitor.open(path)
        visitor.page.locator("[data-drawn=true]").first.wait_for()
    api.kill()
    api.wait()
    for visitor in visitors.values():  # each page refreshes by itself
        visitor.wait_for_text("does not answer")
        visitor.wait_for_text("This page shows the data of")
        expect(visitor.page.locator("[data-drawn=true]").first).to_be_visible()
    star = visitors[""].page.get_by_role("button", name=f"Star {HOSTILE[1]}")
    star.click()
    visitors[""].wait_for_text("The star was not saved")
    expect(star).to_have_attribute("aria-pressed", "false")
    for visitor in visitors.values():
        visitor.close()
