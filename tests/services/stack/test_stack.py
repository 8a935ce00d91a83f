"""The whole monitor: started by one command, used in a browser, and with killed processes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import BrowserContext

from safe_zone import ROOT
from sentinel.storage import connection
from services.stack import supervisor_config
from services.stack.log_file import locate_log
from tests.services.stack.conftest import HEALTHY_SECONDS, Running, commands_with
from tests.support.browser import PHONE, WIDE, Visitor, free_port
from tests.support.commands import Module, is_running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
PAGES = {
    "": "Overview",
    "coin": "Coin",
    "forecasts": "Forecasts",
    "portfolio": "Portfolio",
    "paper": "Paper trading",
    "pipeline": "Pipeline",
}


def test_up_demo_is_healthy_within_a_minute_and_prints_the_addresses(stack: Running) -> None:
    # The invented history is written before the processes start.
    healthy = [float(seconds) for seconds in re.findall(r"healthy after ([\d.]+) s", stack.output)]
    assert len(healthy) >= 4
    assert max(healthy) < HEALTHY_SECONDS
    assert stack.dashboard in stack.output
    assert stack.get("/health")["status"] == "ok"
    status = stack.run("status", "--demo")
    assert status.returncode == 0
    assert status.stdout.count("healthy") == 5


@pytest.mark.parametrize("name", ["ingestion", "api", "dashboard"])
def test_the_probes_of_the_containers_tell_a_healthy_process_from_a_missing_one(
    stack: Running, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = stack.environment | {
        "SENTINEL_STATE_DIR": str(stack.state_dir / supervisor_config.DEMO_FOLDER),
        "SENTINEL_API_TOKEN": stack.token,
    }
    well = Module(ROOT, own)("services.probe", name)
    assert (well.returncode, well.stdout) == (0, f"{name}: healthy\n"), well.stderr
    ports = ("SENTINEL_API_PORT", "SENTINEL_DASHBOARD_PORT")
    elsewhere = (
        own
        | {port: str(free_port()) for port in ports}
        | {"DATABASE_URL": "postgresql://user@127.0.0.1:9/nothing"}
    )
    monkeypatch.setattr(connection, "DATABASE_CONNECT_ATTEMPTS", 1)  # or it waits for 8 s
    assert Module(ROOT, elsewhere)("services.probe", name).returncode in (4, 6)


def test_up_again_changes_nothing(stack: Running) -> None:
    before = stack.pids()
    again = stack.run("up", "--demo")
    assert again.returncode == 0
    assert "already running" in again.stderr
    assert stack.pids() == before


def test_a_phone_opens_a_page_without_an_error(
    stack: Running, browser: BrowserContext, tmp_path: Path
) -> None:
    visitor = Visitor(browser, stack.dashboard, PHONE)
    visitor.open("coin")
    _check_page(stack, visitor, "coin", tmp_path)
    visitor.close()


def test_each_page_of_a_wide_window_and_of_a_phone_renders_without_an_error(
    stack: Running, visitor: Visitor, tmp_path: Path
) -> None:
    visitor.open()
    for path, title in PAGES.items():
        visitor.follow(title)
        for size in (WIDE, PHONE):
            visitor.resize(size)
            visitor.wait_until_idle()
            _check_page(stack, visitor, path, tmp_path)
        visitor.resize(WIDE)


def _check_page(stack: Running, visitor: Visitor, path: str, tmp_path: Path) -> None:
    page = visitor.page
    visitor.wait_for_text("live")
    name = f"{path or 'overview'}-{visitor.size[0]}.png"
    shots = Path(os.environ.get("SENTINEL_SCREENSHOTS") or tmp_path)
    page.screenshot(path=shots / name)
    assert (shots / name).stat().st_size > 20_000
    assert page.locator("[data-testid=stException]").count() == 0
    assert stack.token not in page.content()
    # No wider than the window: no horizontal scrolling on a phone.
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("main => main.scrollWidth <= main.clientWidth")
    assert visitor.errors == []


def test_a_dark_browser_gets_a_dark_page(stack: Running, browser: BrowserContext) -> None:
    visitor = Visitor(browser, stack.dashboard, scheme="dark")
    page = visitor.open()
    color = page.evaluate(
        "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    )
    assert all(int(part) < 60 for part in color.strip("rgb()").split(",")[:3])
    visitor.close()


def _amount(text: str) -> float:
    return float(text.replace("$", "").replace(",", ""))


def test_preferences_hold_on_every_page_in_every_tab_and_after_a_reload(visitor: Visitor) -> None:
    page = visitor.open()
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("radio", name="IDR").click()
    visitor.wait_for_text("coins in IDR")
    page.get_by_role("radio", name="Bahasa Indonesia").click()
    visitor.wait_for_text("koin dalam IDR")
    page.reload()
    visitor.wait_for_text("koin dalam IDR")
    second = visitor.browser.new_page()
    second.goto(f"{visitor.base}/portfolio")
    second.get_by_text("Tambah transaksi").wait_for()
    # A tab keeps what another one has chosen since it was opened.
    second.get_by_role("button", name="Pengaturan").click()
    second.get_by_text("Sembunyikan jumlah saya").click()
    second.get_by_text("•••").first.wait_for()
    page.get_by_role("button", name="Pengaturan").click()
    page.get_by_role("radio", name="USD").click()
    visitor.wait_for_text("koin dalam USD")
    second.reload()
    second.get_by_text("•••").first.wait_for()
    page.get_by_role("radio", name="IDR").click()
    visitor.wait_for_text("koin dalam IDR")
    # The address wins for one visit.
    second.goto(f"{visitor.base}/?language=en&currency=USD")
    second.get_by_text("coins in USD").wait_for()
    second.close()
    visitor.open()
    visitor.wait_for_text("koin dalam IDR")
    assert visitor.errors == []


def test_each_killed_process_restarts_and_the_page_recovers(
    stack: Running, visitor: Visitor
) -> None:
    visitor.open("coin?coin=bitcoin")
    for name in ("dashboard", "api", "ingestion", "db"):
        before = stack.pids()[name]
        os.kill(before, signal.SIGKILL)
        stack.wait_for_restart(name, before)
        visitor.page.wait_for_function(
            "document.body.innerText.includes('live') "
            "&& !document.body.innerText.includes('does not answer')",
            timeout=60_000,
        )


def test_the_stack_recovers_from_a_killed_database_server(stack: Running, visitor: Visitor) -> None:
    visitor.open()
    [pid_file] = stack.state_dir.rglob("postmaster.pid")
    before = stack.pids()["db"]
    os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGKILL)
    stack.wait_for_restart("db", before)
    visitor.page.wait_for_function("document.body.innerText.includes('live')", timeout=60_000)


def test_a_full_disk_that_is_freed_leaves_a_healthy_stack(stack: Running) -> None:
    if not stack.state_dir.is_mount():
        pytest.skip("the file system to fill cannot be mounted: that needs root, and Linux")
    supervisor, before = stack.supervisor, stack.pids()
    fill = stack.state_dir / "fill"
    _fill_disk(fill)
    _write_until_the_server_panics(stack)
    restarts = stack.restarts()
    os.kill(before["ingestion"], signal.SIGKILL)
    stack.wait_until(
        lambda: all(stack.restarts()[name] > restarts[name] + 1 for name in ("db", "ingestion"))
    )
    assert stack.problems().keys() >= {"db", "ingestion"}
    fill.unlink()
    stack.wait_until(lambda: not stack.problems())
    assert stack.supervisor == supervisor
    assert stack.pids()["api"] == before["api"]
    assert "No space left on device" in locate_log(stack.folder, "db").read_text()


def _fill_disk(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1_000_000))


def _write_until_the_server_panics(stack: Running) -> None:
    """End the server as a full disk does: it has no room for the next file of its log."""
    [pid_file] = stack.state_dir.rglob("postmaster.pid")
    socket_folder = pid_file.read_text().splitlines()[4]
    with (
        pytest.raises(psycopg.OperationalError),
        psycopg.connect(host=socket_folder, user="postgres", dbname="postgres") as connection,
    ):
        while True:
            connection.execute("SELECT pg_logical_emit_message(false, '', ''), pg_switch_wal()")


@dataclass
class Systemd:
    """What `Restart=always` does: start a command again whenever it has ended."""

    command: Sequence[str]
    environment: dict[str, str]
    main: subprocess.Popen[bytes] | None = None
    is_stopped: bool = False

    def run(self) -> None:
        while not self.is_stopped:
            self.main = subprocess.Popen(self.command, cwd=ROOT, env=self.environment)
            self.main.wait()


def test_a_killed_supervisor_is_started_again_by_systemd(stack: Running) -> None:
    command = [sys.executable, "-m", "services.stack", "run", "--demo"]
    systemd = Systemd(command, stack.environment)
    thread = threading.Thread(target=systemd.run)
    for _ in ("the one of up", "the one of run"):
        supervisor, before = stack.supervisor, stack.pids()
        os.kill(supervisor, signal.SIGKILL)
        if not thread.is_alive():
            thread.start()
        stack.wait_until(lambda: not stack.problems())
        assert not [pid for pid in before.values() if is_running(pid)]
        assert systemd.main
        assert stack.supervisor == systemd.main.pid
    second = stack.run("run", "--demo")
    assert second.returncode == 2
    assert "is running already" in second.stderr
    systemd.is_stopped = True


def test_no_secret_is_in_logs_or_command_lines(stack: Running) -> None:
    token, folder = stack.token, stack.folder
    assert len(token) > 20
    assert (folder / "api_token").stat().st_mode & 0o077 == 0
    for log in (folder / "logs").glob("*.log"):
        assert token not in log.read_text(errors="replace"), log
    assert token not in (folder / "supervisord.conf").read_text()
    assert not commands_with(token)
