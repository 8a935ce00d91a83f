"""The local copies of an object store's files take a limited space."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from sentinel.archive import cache
from sentinel.archive.day_file import DayFile
from sentinel.archive.store import Archive
from tests.sentinel.archive.helpers import DAY

CONTENT = b"a day's rows"


class Bucket(Archive):
    """A store in which every day has the same content."""

    def _read(self, _name: str, _max_bytes: int | None = None) -> bytes:
        return CONTENT


def test_the_copies_that_were_used_longest_ago_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", 3 * len(CONTENT))
    archive = Bucket("s3://bucket/days", None, tmp_path / "a-bucket")
    digest = hashlib.sha256(CONTENT).hexdigest()
    files = [DayFile(DAY + timedelta(days=n), 1, digest) for n in range(5)]
    for age_hours, file in zip((9, 8, 7), files, strict=False):
        _set_age(archive.fetch(file), age_hours)
    of_an_older_address = tmp_path / "another-bucket" / "copy.parquet"
    of_an_older_address.parent.mkdir()
    of_an_older_address.write_bytes(CONTENT)
    _set_age(of_an_older_address, 10)
    archive.fetch(files[0])  # the copy is used once more
    archive.fetch(files[3])
    kept = {path.name for path in tmp_path.glob("*/*")}
    assert kept == {files[0].name, files[2].name, files[3].name}


def test_copies_of_the_current_reader_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", 1)
    archive = Bucket("s3://bucket/days", None, tmp_path / "a-bucket")
    digest = hashlib.sha256(CONTENT).hexdigest()
    paths = archive.fetch_all(DayFile(DAY + timedelta(days=n), 1, digest) for n in range(3))
    assert all(path.exists() for path in paths)


def _set_age(path: Path, hours: int) -> None:
    moment = time.time() - hours * 3_600
    os.utime(path, (moment, moment))
