"""The Compose file and the Dockerfile, checked without a container engine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from safe_zone import ROOT
from services import probe

COMPOSE = ROOT / "docker-compose.yml"
TEXT = COMPOSE.read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
OWN = [name for name, service in SERVICES.items() if "build" in service]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_compose_file_matches_the_schema(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, COMPOSE], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    invalid = tmp_path / "docker-compose.yml"
    invalid.write_text(TEXT.replace("restart: unless-stopped", "restart: [sometimes]", 1))
    done = subprocess.run([*command, invalid], check=False, capture_output=True, text=True)
    assert done.returncode == 1  # the check finds a wrong file


def test_there_are_six_services_and_the_backup() -> None:
    names = ["db", "ingestion", "api", "dashboard", "telegram", "tunnel", "backup"]
    assert list(SERVICES) == names
    assert [name for name, service in SERVICES.items() if "profiles" in service] == [
        "tunnel",
        "backup",
    ]


def test_only_dashboard_and_api_publish_ports_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"api", "dashboard"}
    for ports in published.values():
        assert all(re.match(r"127\.0\.0\.1:", port) for port in ports)
    assert SERVICES["db"]["networks"] == ["inside"]
    assert yaml.safe_load(TEXT)["networks"]["inside"]["internal"] is True
    assert all("network_mode" not in service for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_runs_with_limits_and_without_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    if name != "backup":
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["10001:10001"]
    assert DOCKERFILE.count("\nFROM ${BASE}") == 2  # the build stage and the image that runs
    assert re.search(r"^FROM python:\S+ AS python$", DOCKERFILE, re.MULTILINE)  # for Dependabot
    assert SERVICES["db"]["user"] == "postgres"


def test_a_service_waits_until_its_dependency_is_healthy() -> None:
    dependencies = {
        "ingestion": "db",
        "api": "db",
        "dashboard": "api",
        "telegram": "api",
        "tunnel": "dashboard",
    }
    for name, other in dependencies.items():
        assert SERVICES[name]["depends_on"] == {other: {"condition": "service_healthy"}}


@pytest.mark.parametrize("name", OWN)
def test_every_command_and_health_check_exists(name: str) -> None:
    service = SERVICES[name]
    assert service["command"][:2] == ["python", "-m"]
    module = service["command"][2]
    path = ROOT / module.replace(".", "/")
    assert (path / "__main__.py").exists()
    if "healthcheck" in service:
        command = ["CMD", "python", "-m", "services.probe", name]
        # The loop ends itself if a tick hangs; the requests to Telegram have limits.
        flags = [] if name in ("ingestion", "telegram") else ["--end-hung"]
        assert service["healthcheck"]["test"] == [*command, *flags]
        assert name in probe.PROBES


def test_telegram_runs_only_with_a_bot() -> None:
    """Compose reads the text as a decimal number: 0 without a token, 01 with one."""
    assert SERVICES["telegram"]["deploy"]["replicas"] == "0${TELEGRAM_BOT_TOKEN:+1}"


def _values(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str):
                yield str(key), value
            yield from _values(value)


def test_secrets_come_from_the_environment_and_required_ones_are_checked() -> None:
    for name, value in _values(SERVICES):
        if re.search(r"PASSWORD|TOKEN|KEY|URLS", name):
            assert re.match(r"\$\{[A-Z_]+(:-|:\?)", value), name
    for name in ("POSTGRES_PASSWORD", "SENTINEL_API_TOKEN"):
        assert f"${{{name}:?" in TEXT
        assert f"${{{name}}}" not in TEXT
    assert "--token" not in TEXT  # every user could read it in `ps`


def test_every_variable_is_in_env_example() -> None:
    example = (ROOT / ".env.example").read_text()
    for name in set(re.findall(r"\$\{([A-Z_]+)", TEXT)):
        assert re.search(rf"^{name}=", example, re.MULTILINE), name


def test_the_image_copies_existing_files_and_the_build_context_holds_no_others() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    allowed = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert "*" in ignored
    assert "services/stack" in ignored  # needs Supervisor, which the image lacks
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        *sources, _target = line.split()
        for source in sources:
            assert list(ROOT.glob(source.removeprefix("./"))), source
            assert any(Path(source.removeprefix("./")).match(pattern) for pattern in allowed), (
                source
            )
    for private in (".env", ".git", ".sentinel", "tests"):
        assert not any(Path(private).match(pattern) for pattern in allowed)
