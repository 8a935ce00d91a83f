"""A database, an archive in a folder or an object store, and the command archive.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from safe_zone import Settings
from sentinel.storage.connection import Session
from tests.conftest import FakeTime, FreshDatabase
from tests.sentinel.archive.helpers import ArchiveCommand
from tests.support import object_store
from tests.support.commands import Script
from tests.support.object_store import ObjectStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def settings(fresh: FreshDatabase, folder: Path, tmp_path: Path) -> Settings:
    return Settings(database_url=fresh.url, archive_url=str(folder), state_dir=tmp_path / "state")


@pytest.fixture
def session(fresh: FreshDatabase, time_: FakeTime) -> Iterator[Session]:
    with Session(fresh.address(), clock=time_.monotonic, sleep=time_.sleep) as opened:
        yield opened


@pytest.fixture
def command(script: Script, fresh: FreshDatabase, folder: Path) -> ArchiveCommand:
    return ArchiveCommand(script, fresh.url, folder)


@pytest.fixture(params=["s3", "gs"])
def bucket(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ObjectStore]:
    with object_store.run_object_store(request.param) as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        yield served
    fsspec.get_filesystem_class(served.scheme).clear_instance_cache()


@pytest.fixture
def remote(settings: Settings, bucket: ObjectStore) -> Settings:
    return replace(settings, archive_url=f"{bucket.scheme}://bucket/market/days")
