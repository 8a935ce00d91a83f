"""A running stack and a browser, which the tests of the stack and of its pages share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import BrowserContext

from safe_zone import ROOT, Settings
from services.settings import MonitorSettings
from services.stack import health, supervisor_client, supervisor_config
from tests.conftest import INHERITED, open_to_other_users
from tests.support.browser import Visitor, free_port, running_browser
from tests.support.commands import is_running

HEALTHY_SECONDS = 60.0
# The stack needs 210 MB, and less than 500 free ones are unhealthy.
DISK_BYTES = 900_000_000


@dataclass(frozen=True)
class Running:
    """A running stack, with the output of its start."""

    state_dir: Path
    environment: dict[str, str]
    output: str

    @property
    def dashboard(self) -> str:
        return f"http://127.0.0.1:{self.environment['SENTINEL_DASHBOARD_PORT']}"

    @property
    def folder(self) -> Path:
        return self.state_dir / supervisor_config.DEMO_FOLDER / "stack"

    @property
    def token(self) -> str:
        return (self.folder / "api_token").read_text()

    def get(self, path: str) -> Any:
        url = f"http://127.0.0.1:{self.environment['SENTINEL_API_PORT']}{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.get(url, headers=headers, timeout=20).json()

    @property
    def supervisor(self) -> int:
        """The process id of Supervisor."""
        with supervisor_client._connect(self.folder) as proxy:
            return int(proxy.supervisor.getPID())

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_stack(self.environment, *arguments)

    def pids(self) -> dict[str, int]:
        """Return the id of each process that runs."""
        with supervisor_client._connect(self.folder) as proxy:
            infos = proxy.supervisor.getAllProcessInfo()
        return {info["name"]: info["pid"] for info in infos if info["pid"]}

    def problems(self) -> dict[str, str]:
        """Return what `status` would list as unhealthy, if it counted no restarts.

        It has ended if there is no process.
        """
        monitor = MonitorSettings(
            settings=Settings(),
            api_port=int(self.environment["SENTINEL_API_PORT"]),
            dashboard_port=int(self.environment["SENTINEL_DASHBOARD_PORT"]),
        )
        listed = [p._replace(restarts=0) for p in supervisor_client.list_processes(self.folder)]
        found = health.check_processes(monitor, listed) if listed else {"supervisor": "ended"}
        return {name: problem for name, problem in found.items() if problem}

    def restarts(self) -> dict[str, int]:
        """Return how often Supervisor has restarted each process in the last minutes."""
        return {p.name: p.restarts for p in supervisor_client.list_processes(self.folder)}

    def wait_until(self, condition: Callable[[], bool]) -> None:
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < HEALTHY_SECONDS, self.problems()
            time.sleep(0.2)

    def wait_for_restart(self, name: str, pid: int) -> None:
        """Wait until another process has taken the place of `pid` and all are healthy."""
        self.wait_until(lambda: self.pids().get(name, pid) != pid and not self.problems())


def run_stack(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.stack", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="package")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An own file system that a test can fill; an ordinary folder if root cannot mount one."""
    folder = tmp_path_factory.mktemp("stack")
    mount = ["mount", "-t", "tmpfs", "-o", f"mode=711,size={DISK_BYTES}", "tmpfs", str(folder)]
    try:
        is_mounted = not subprocess.run(mount, check=False, capture_output=True).returncode
    except FileNotFoundError:
        is_mounted = False
    open_to_other_users(folder)  # root's server runs as another user
    yield folder
    if is_mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="package")
def stack(disk: Path) -> Iterator[Running]:
    folder = disk
    environment = {key: os.environ[key] for key in INHERITED if key in os.environ} | {
        "SENTINEL_STATE_DIR": str(folder),
        "SENTINEL_API_PORT": str(free_port()),
        "SENTINEL_DASHBOARD_PORT": str(free_port()),
    }
    done = run_stack(environment, "up", "--demo")
    assert done.returncode == 0, done.stderr
    running = Running(folder, environment, done.stdout + done.stderr)
    yield running
    pids = running.pids().values()
    down = running.run("down")
    assert (down.returncode, down.stderr) == (0, "stopped\n")
    assert not [pid for pid in pids if is_running(pid)]
    assert not commands_with(str(folder))  # PostgreSQL's processes name it


@pytest.fixture(scope="package")
def browser() -> Iterator[BrowserContext]:
    with running_browser() as found:
        yield found


@pytest.fixture
def visitor(stack: Running, browser: BrowserContext) -> Iterator[Visitor]:
    found = Visitor(browser, stack.dashboard)
    yield found
    found.close()


def commands_with(text: str) -> list[str]:
    """Return the command lines of this machine that contain a text."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True
    )
    return [line for line in listed.stdout.splitlines() if text in line]
