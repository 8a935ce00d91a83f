"""Addresses of an archive, and the names of its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentinel.archive import day_file, store
from sentinel.errors import ConfigurationError


@pytest.mark.parametrize(
    "url", ["s3://key:hunter2@bucket/days", "s3://key:p/hunter2@bucket/days", "gs://p hunter2@b"]
)
def test_an_address_with_a_password_is_an_error_that_does_not_repeat_it(
    url: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="holds a user or a password") as caught:
        store.open_archive(url, tmp_path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["memory://days", "nonsense://days", "S3://bucket/days"])
def test_an_address_with_an_unsupported_scheme_is_an_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ARCHIVE_URL begins with"):
        store.open_archive(url, tmp_path)


def test_a_folder_may_be_given_as_a_file_url(tmp_path: Path) -> None:
    assert store.open_archive(f"file://{tmp_path}/days", tmp_path).folder == (tmp_path / "days")


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "observations-2026-09-21-3.parquet",
        f"observations-2026-13-01-3-{'0' * 64}.parquet",
        f"observations-2026-09-21-3-{'0' * 64}.parquet.part",
        f".observations-2026-09-21-3-{'0' * 64}.parquet.x1",
    ],
)
def test_other_files_in_the_folder_are_ignored(name: str) -> None:
    assert day_file.parse_path(name) is None
