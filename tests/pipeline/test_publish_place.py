"""Where both halves publish their documents: a folder, an object store, a repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pipeline.publish_place import BranchPlace, PublishPlace, open_place
from safe_zone import Settings
from sentinel.errors import ConfigurationError, SentinelError
from sentinel.site.other_half import MAX_BYTES
from tests.support import object_store


def _open(url: str, token: str | None = None) -> PublishPlace:
    settings = Settings(publish_url=url, publish_token=token)
    place = open_place(settings, {"PATH": os.environ["PATH"]})
    assert place
    return place


@pytest.fixture
def repository(tmp_path: Path) -> str:
    path = tmp_path / "page.git"
    subprocess.run(["git", "init", "--quiet", "--template=", "--bare", path], check=True)
    return str(path)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with object_store.run_object_store("s3") as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        yield "s3://bucket/status"
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.mark.parametrize(
    "kind",
    ["folder", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("repository", "bucket"))],
)
def test_each_half_writes_its_file_and_reads_the_others(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = str(tmp_path / "page") if kind == "folder" else request.getfixturevalue(kind)
    place = _open(url)
    umask = os.umask(0o077)  # as the processes of `make up` have it
    try:
        assert place.exchange("monitor.json", b"1", "status.json") is None
    finally:
        os.umask(umask)
    if kind == "folder":
        assert Path(url).stat().st_mode & 0o777 == 0o755, "a web server reads it"
    assert place.exchange("status.json", b"2", "monitor.json") == b"1"
    assert place.exchange("monitor.json", b"3" * (MAX_BYTES + 9), "status.json") == b"2"
    large = _open(url).read("monitor.json")
    assert large is None or len(large) == MAX_BYTES + 1


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://user:hunter2@example.org/owner/name.git", "holds a user or a password"),
        ("ssh://user:hunter2@example.org/owner/name.git", "holds a user or a password"),
        ("s3://user:hunter2@bucket/folder", "holds a user or a password"),
        ("http://example.org/owner/name.git", "write https://"),
        ("https://example.org/owner/name", "add .git"),
        ("memory://folder", "must be a folder"),
    ],
)
def test_a_wrong_address_is_refused_without_repeating_it(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^SENTINEL_PUBLISH_URL") as error:
        _open(url)
    assert problem in str(error.value)
    assert "hunter2" not in str(error.value)


def test_the_token_goes_to_the_server_of_the_address_alone() -> None:
    place = _open("https://git.example.org/owner/name.git", "hunter2")
    assert isinstance(place, BranchPlace)
    assert "hunter2" not in repr(place) + place.location
    assert place.location == "gh-pages of https://git.example.org/owner/name.git"
    assert place.branch.environ["GITHUB_SERVER_URL"] == "https://git.example.org"
    by_key = _open("git@example.org:owner/name.git")
    assert by_key.location == "gh-pages of git@example.org:owner/name.git"


def test_an_unreachable_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "page").touch()
    with pytest.raises(SentinelError, match=r"^The place .* cannot be written \(.*\)\.$"):
        _open(str(tmp_path / "page")).exchange("monitor.json", b"", "status.json")
    with pytest.raises(SentinelError):
        _open(str(tmp_path / "none.git")).read("status.json")
