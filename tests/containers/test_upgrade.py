"""From one image to the next: the new one migrates the data of the old one and serves it."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from safe_zone import ROOT
from tests.containers.conftest import SERVICES, Project
from tests.support.containers import docker

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]
MIGRATIONS = "sentinel/storage/migrations"
# The code of an older commit, with the packages of today.
OLD_IMAGE = """FROM {image}
USER 0
RUN rm -r /app/*
COPY . /app
USER 10001:10001
"""
VERSION = "SELECT max(version) FROM sentinel.schema_version"


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True).stdout


@pytest.fixture
def old_image(image: str, tmp_path: Path) -> str:
    """An image with the code from before the newest migration."""
    added = _git("log", "-1", "--format=%H", "--diff-filter=A", "--", f"{MIGRATIONS}/0*.sql")
    before = f"{added.decode().strip()}~1"
    if _git("rev-parse", "--is-shallow-repository").strip() == b"true":
        pytest.skip("the clone is shallow: its history lacks the older code")
    paths = ("sentinel", "pipeline", "services", "ingest_config.json", "*.py")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", before, *paths))) as files:
        files.extractall(tmp_path, filter="data")
    (tmp_path / "Dockerfile").write_text(OLD_IMAGE.format(image=image))
    docker("build", "--quiet", "--tag", f"{image}:old", tmp_path, timeout=300)
    return f"{image}:old"


def test_a_new_image_migrates_and_serves_the_data_of_an_old_one(
    project: Project, old_image: str
) -> None:
    project.run("up", "--detach", "coingecko")
    once = ("run", "--rm", "ingestion", "python", "-m", "services.ingestion", "--once")
    project.run(*once, TEST_IMAGE=old_image)
    version = int(project.query(VERSION))
    oldest = "SELECT count(*), min(observed_at) FROM sentinel.observations"
    count, first = project.query(oldest).split("|")

    project.run("up", "--detach", *SERVICES)
    project.wait_until_healthy()
    newest = max(int(path.name[:3]) for path in (ROOT / MIGRATIONS).glob("0*.sql"))
    assert int(project.query(VERSION)) == newest > version
    new_count, new_first = project.query(oldest).split("|")
    assert int(new_count) >= int(count) > 0
    assert new_first == first
    assert project.get("/coins/bitcoin")["coin_id"] == "bitcoin"
