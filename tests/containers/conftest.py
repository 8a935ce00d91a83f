"""The images, and the monitor started by its Compose file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.support.browser import free_port
from tests.support.containers import compose, docker, find_base_images, inspect, require_engine

IMAGE = "market-sentinel-test"
TOKEN = "a-token-of-the-tests-0123456789"
# Environment of Compose, in place of .env.
SETTINGS = {
    "POSTGRES_PASSWORD": "hunter2hunter2",
    "SENTINEL_API_TOKEN": TOKEN,
    "COINGECKO_BASE_URL": "http://coingecko:8080/api/v3",
    "COINGECKO_API_KEY": "a-demo-key",
    "COINGECKO_IS_PRO": "true",
}
SERVICES = ("db", "ingestion", "api", "dashboard")
HEALTHY_SECONDS = 120.0
# The engine does not restart a container after `docker kill`, so the process itself is killed.
KILL = "import os, sys; os.kill(int(sys.argv[1]), 9)"


@dataclass(frozen=True)
class Project:
    """One Compose project, with volumes of its own."""

    name: str
    environment: dict[str, str]

    def run(self, *arguments: str, **environment: str) -> str:
        """Run a command of Compose and return its output."""
        done = compose(self.name, {**self.environment, **environment}, *arguments)
        return done.stdout + done.stderr

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a running container."""
        return self.run("exec", "--no-TTY", service, *command).strip()

    def query(self, statement: str) -> str:
        """Return the result of an SQL statement, as the database's superuser."""
        command = ("psql", "--host=/run/postgresql", "--username=postgres", "--dbname=sentinel")
        return self.execute("db", *command, "--tuples-only", "--no-align", "-c", statement)

    def container(self, service: str) -> str:
        return self.run("ps", "--all", "--quiet", service).strip()

    def state(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = inspect(self.container(service))["State"]
        return found

    def health(self, service: str) -> str:
        """Return starting, healthy, unhealthy, or the state of a container that does not run."""
        state = self.state(service)
        return str(state["Health"]["Status"] if state["Running"] else state["Status"])

    def wait(
        self, condition: Callable[[], object], what: str, seconds: float = HEALTHY_SECONDS
    ) -> None:
        """Wait until a condition holds."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                states = {name: self.health(name) for name in SERVICES}
                pytest.fail(f"after {seconds:.0f} s not {what}: {states}\n{self.logs()}")
            time.sleep(0.5)

    def wait_until_healthy(self, *services: str) -> None:
        self.wait(
            lambda: all(self.health(name) == "healthy" for name in services or SERVICES),
            f"healthy: {services or SERVICES}",
        )

    def wait_until_restarted(self, service: str, started_at: str) -> None:
        """Wait until a container runs that started at another time, and until all are healthy."""
        self.wait(lambda: self.state(service)["StartedAt"] != started_at, f"restarted: {service}")
        self.wait_until_healthy()

    def logs(self) -> str:
        return self.run("logs", "--tail", "15", "--no-color")

    def kill(self, service: str) -> None:
        """End the first process of a container with SIGKILL, from outside of the container."""
        options = ("--rm", "--pid=host", "--user=0", "--entrypoint=python")
        docker("run", *options, IMAGE, "-c", KILL, str(self.state(service)["Pid"]))

    def get(self, path: str, status: int = 200) -> Any:
        """Return what the API says, over the published port."""
        url = f"http://127.0.0.1:{self.environment['SENTINEL_API_PORT']}{path}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = requests.get(url, headers=headers, timeout=20)
        assert response.status_code == status, response.text
        return response.json()


@pytest.fixture(scope="session")
def base_images() -> tuple[str, str]:
    require_engine()
    return find_base_images()


@pytest.fixture(scope="session")
def settings(base_images: tuple[str, str]) -> dict[str, str]:
    base, postgres = base_images
    return SETTINGS | {"TEST_IMAGE": IMAGE, "TEST_BASE": base, "TEST_POSTGRES": postgres}


@pytest.fixture(scope="session")
def image(settings: dict[str, str]) -> str:
    """The image of the monitor, built by Compose from the Dockerfile."""
    began = time.monotonic()
    compose(IMAGE, settings, "build", "ingestion")
    print(f"built in {time.monotonic() - began:.0f} s")
    return IMAGE


@pytest.fixture(scope="module")
def project(
    image: str, settings: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Project]:
    """A Compose project of the test module's own. Containers and volumes go with it."""
    name = f"{image}-{request.module.__name__.rpartition('test_')[2].replace('_', '-')}"
    ports = {key: str(free_port()) for key in ("SENTINEL_API_PORT", "SENTINEL_DASHBOARD_PORT")}
    found = Project(name, settings | ports)
    down = ("--profile", "backup", "down", "--volumes", "--remove-orphans", "--timeout", "20")
    found.run(*down)  # what a killed run of the tests left
    yield found
    found.run(*down)
