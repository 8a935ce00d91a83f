"""The container engine for the tests: the commands `docker` and `docker compose`, and base images.

Where no registry can be reached, the base images are made from this machine's own packages.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from safe_zone import ROOT
from tests.conftest import INHERITED

IMAGES = ROOT / "tests" / "containers" / "images"
COMPOSE_FILES = (ROOT / "docker-compose.yml", IMAGES.parent / "compose.override.yml")
PYTHON = "market-sentinel-test-python"
POSTGRES = "market-sentinel-test-postgres"
PACKAGES = "python3,python3-venv,ca-certificates"
BUILD_SECONDS = 1200


def docker(*arguments: str | Path, check: bool = True, timeout: float = 120) -> str:
    """Run a command of the engine and return its output. Fails with what it wrote to stderr."""
    return _run(["docker", *map(str, arguments)], check=check, timeout=timeout).stdout.strip()


def inspect(what: str) -> dict[str, Any]:
    """Return what the engine knows of a container or an image."""
    found: list[dict[str, Any]] = json.loads(docker("inspect", what))
    return found[0]


def compose(
    project: str, environment: Mapping[str, str], *arguments: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run `docker compose` with the project's file, the tests' additions and no .env."""
    files = [argument for path in COMPOSE_FILES for argument in ("--file", str(path))]
    options = ["--project-name", project, "--env-file", os.devnull, *files]
    return _run(
        ["docker", "compose", *options, *arguments],
        check=check,
        timeout=BUILD_SECONDS,
        environment=environment,
    )


def _run(
    command: list[str],
    *,
    check: bool,
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
    inherited |= {key: value for key, value in os.environ.items() if key.startswith("DOCKER_")}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**inherited, **(environment or {})},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0 or not check, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done


def require_engine() -> None:
    """Skip the test where no engine answers; fail in CI, where one must."""
    commands = (["docker", "version"], ["docker", "compose", "version"])
    try:
        problems = [_run(command, check=False, timeout=20) for command in commands]
        problem = next((done.stderr.strip() for done in problems if done.returncode), "")
    except OSError as error:
        problem = str(error)
    if problem and os.environ.get("CI"):
        pytest.fail(f"the container engine does not answer: {problem}")
    if problem:
        pytest.skip(f"the container engine does not answer: {problem}")


def find_base_images() -> tuple[str, str]:
    """Return the BASE of the Dockerfile and the image of `db`: official ones, or stand-ins."""
    python = python_image()
    postgres = yaml.safe_load(COMPOSE_FILES[0].read_text())["services"]["db"]["image"]
    if all(_is_available(image) for image in (python, postgres)):
        return "python", postgres
    if not _has_image(PYTHON):
        _make_python()
    if not _has_image(POSTGRES):
        _make_postgres()
    return PYTHON, POSTGRES


def python_image() -> str:
    """Return the default base of the Dockerfile."""
    lines = (ROOT / "Dockerfile").read_text()
    return str(re.findall(r"^FROM (\S+) AS python$", lines, re.MULTILINE)[0])


def _has_image(name: str) -> bool:
    return bool(docker("image", "ls", "--quiet", name))


def _is_available(image: str) -> bool:
    return _has_image(image) or bool(docker("pull", "--quiet", image, check=False, timeout=600))


def _make_python() -> None:
    """Make a base with Python from the packages of this machine's own Debian.

    It trusts the certificates that this machine trusts, because pip needs them for the index.
    """
    if os.geteuid() or not shutil.which("debootstrap"):
        pytest.skip("no registry can be reached, and a base of our own needs root and debootstrap")
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)"]
    site, codename = _run(targets, check=True, timeout=60).stdout.splitlines()[0].split()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name, "root")
        options = ["--variant=minbase", f"--include={PACKAGES}"]
        command = ["debootstrap", *options, codename, str(root), site]
        _run(command, check=True, timeout=BUILD_SECONDS)
        (root / "usr/bin/python").symlink_to("python3")
        for folder in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / folder)
            (root / folder).mkdir()
        certificates = "etc/ssl/certs/ca-certificates.crt"
        shutil.copy(Path("/", certificates), root / certificates)
        _run(["tar", "-C", str(root), "-cf", f"{name}/root.tar", "."], check=True, timeout=300)
        docker("import", f"{name}/root.tar", PYTHON, timeout=300)


def _make_postgres() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = shutil.copytree(IMAGES / "postgres", Path(name, "postgres"))
        shutil.copy(ROOT / "requirements" / "embedded.txt", folder)
        options = ("--build-arg", f"BASE={PYTHON}", "--tag", POSTGRES)
        docker("build", "--quiet", *options, folder, timeout=BUILD_SECONDS)
