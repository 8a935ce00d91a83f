"""The monitor in containers: started by its Compose file, attacked, backed up and restored.

The tests share one project and run in their order.
"""

from __future__ import annotations

import re

import pytest

from tests.containers.conftest import IMAGE, SERVICES, Project
from tests.support.browser import Visitor, running_browser
from tests.support.containers import docker, inspect

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]
# Stops the process that the container's init process started, so that it answers nothing.
STOP = """
import os, pathlib, signal, sys
for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
    if path.read_bytes() == f"python\\0-m\\0{sys.argv[1]}\\0".encode():
        os.kill(int(path.parent.name), signal.SIGSTOP)
"""
OBSERVATIONS = "SELECT count(*) FROM sentinel.observations"


@pytest.fixture(scope="module")
def monitor(project: Project) -> Project:
    """The monitor, started while CoinGecko cannot be reached."""
    project.run("up", "--detach", *SERVICES)
    project.wait_until_healthy("db", "api", "dashboard")
    return project


def test_without_internet_everything_starts_but_the_prices(monitor: Project) -> None:
    assert monitor.get("/health", 503)["checks"]["database"]["is_ok"] is True
    assert monitor.state("ingestion")["Running"]
    assert monitor.query(OBSERVATIONS) == "0"


def test_with_coingecko_back_everything_is_healthy(monitor: Project) -> None:
    monitor.run("up", "--detach", "coingecko")
    monitor.wait(lambda: monitor.query(OBSERVATIONS) != "0", "prices")
    monitor.wait_until_healthy()
    assert monitor.get("/health")["status"] == "ok"
    assert len(monitor.get("/coins?limit=100")["items"]) == 100


def test_the_pages_show_the_prices(monitor: Project) -> None:
    with running_browser() as browser:
        port = monitor.environment["SENTINEL_DASHBOARD_PORT"]
        visitor = Visitor(browser, f"http://127.0.0.1:{port}")
        for path in ("", "coin", "portfolio", "paper", "pipeline"):
            visitor.open(path)
        assert not visitor.errors


@pytest.mark.parametrize("service", SERVICES)
def test_the_limits_are_in_force(monitor: Project, service: str) -> None:
    status = monitor.execute(service, "cat", "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    assert fields["Uid"].split()[0] != "0"
    host = inspect(monitor.container(service))["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["Memory"] > 0 < host["NanoCpus"]
    assert host["PidsLimit"] > 0
    refused = monitor.execute(service, "sh", "-c", "touch /usr/x 2>&1 || true")
    assert "Read-only file system" in refused


def test_the_own_services_log_in_as_a_role_that_is_no_superuser(monitor: Project) -> None:
    roles = "SELECT rolname, rolsuper, rolcreaterole, rolbypassrls FROM pg_roles"
    assert monitor.query(f"{roles} WHERE rolname = 'sentinel'") == "sentinel|f|f|f"
    users = "SELECT DISTINCT usename FROM pg_stat_activity WHERE client_addr IS NOT NULL"
    assert monitor.query(f"{users} AND client_addr <> '127.0.0.1'") == "sentinel"
    owner = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'sentinel'"
    assert monitor.query(owner) == "sentinel"
    assert (
        monitor.query("SELECT rolpassword IS NULL FROM pg_authid WHERE rolname='postgres'") == "t"
    )


def test_only_containers_of_the_inner_network_reach_the_database(monitor: Project) -> None:
    resolve = "import socket; socket.create_connection(('db', 5432), 3)"
    failed = monitor.execute("dashboard", "sh", "-c", f'python -c "{resolve}" 2>&1 || true')
    assert "gaierror" in failed
    assert not inspect(monitor.container("db"))["HostConfig"]["PortBindings"]
    for service in ("api", "dashboard"):
        bindings = inspect(monitor.container(service))["HostConfig"]["PortBindings"].values()
        assert {port["HostIp"] for ports in bindings for port in ports} == {"127.0.0.1"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_container_comes_back(monitor: Project, service: str) -> None:
    started_at = monitor.state(service)["StartedAt"]
    monitor.kill(service)
    monitor.wait_until_restarted(service, started_at)
    assert len(monitor.get("/coins?limit=100")["items"]) == 100


def test_containers_that_hang_are_ended_and_come_back(monitor: Project) -> None:
    began = {service: monitor.state(service)["StartedAt"] for service in ("api", "dashboard")}
    for service in began:
        monitor.execute(service, "python", "-c", STOP, f"services.{service}")
    for service, started_at in began.items():
        monitor.wait_until_restarted(service, started_at)


def test_a_backup_is_made_and_restored_through_its_profile(monitor: Project) -> None:
    output = monitor.run("run", "--rm", "backup")
    assert "restored and compared" in output
    stored = monitor.query(OBSERVATIONS)
    [name] = re.findall(r"/backups/\S+\.zip", output)
    monitor.run("stop", "ingestion")
    monitor.query("DELETE FROM sentinel.observations")
    restore = ("python", "-m", "services.backup", "restore", name, "--yes", "--no-backup")
    monitor.run("run", "--rm", "backup", *restore)
    assert monitor.query(OBSERVATIONS) == stored != "0"
    monitor.run("start", "ingestion")
    monitor.wait_until_healthy()


def test_a_full_state_volume_is_reported_and_ends_nothing(monitor: Project) -> None:
    volume = f"{monitor.name}_state:/state"
    docker("run", "--rm", "--volume", volume, IMAGE, "fallocate", "--length", "950M", "/state/fill")
    stored = monitor.query(OBSERVATIONS)
    monitor.run("restart", "--timeout", "30", "ingestion")
    monitor.wait(lambda: monitor.query(OBSERVATIONS) != stored, "prices with a full disk")
    assert monitor.get("/health", 503)["checks"]["disk"]["is_ok"] is False
    monitor.execute("ingestion", "rm", "/state/fill")
    monitor.wait_until_healthy()
    assert monitor.get("/health")["status"] == "ok"
