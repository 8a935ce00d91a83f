"""The branch of the public page, with real bare repositories."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline import pages_branch
from pipeline.pages_branch import PagesBranch
from sentinel.errors import ConfigurationError, SentinelError
from tests.conftest import NOW

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
# Git escapes quotes, backslashes and line feeds in its commands.
STRANGE = 'coins/"é \\\n.html'
PAGE = {"index.html": b"<p>1", "status.json": b"{}", STRANGE: b"\xff\n"}
KEPT = ("CNAME", "monitor.json", "simulation.json")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode(errors="replace").rstrip("\n")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository that sends parts of its files, as GitHub's do."""
    _git(tmp_path, "init", "--quiet", "--template=", "--bare", "remote.git")
    _git(tmp_path / "remote.git", "config", "uploadpack.allowFilter", "true")
    return tmp_path / "remote.git"


def _branch(remote: Path) -> PagesBranch:
    return PagesBranch(remote.name, ENVIRONMENT, remote.parent)


def _replace(remote: Path, files: Mapping[str, bytes], *keeps: str) -> None:
    _branch(remote).replace_files(lambda _read: files, keeps=keeps or None, now=NOW)


def _published(remote: Path) -> list[str]:
    return _git(remote, "ls-tree", "-r", "-z", "--name-only", "gh-pages").rstrip("\0").split("\0")


def test_the_branch_is_one_commit_with_the_files_of_all_writers(
    remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _replace(remote, PAGE, *KEPT)
    _replace(remote, {"monitor.json": b'{"a": 1}', "CNAME": b"page.example.org"})
    assert _published(remote) == [*("CNAME", STRANGE, "index.html", "monitor.json", "status.json")]
    _replace(remote, {"index.html": b"<p>2", "status.json": b"{}"}, *KEPT)
    assert _published(remote) == ["CNAME", "index.html", "monitor.json", "status.json"]
    assert _git(remote, "log", "--format=%an|%ct", "gh-pages") == (
        f"github-actions[bot]|{NOW.timestamp():.0f}"
    )
    monkeypatch.setattr(pages_branch, "MAX_BYTES", 8)  # CNAME is larger
    read = _branch(remote).read_files(["monitor.json", "index.html", "simulation.json", "CNAME"])
    assert read == {"monitor.json": b'{"a": 1}', "index.html": b"<p>2"}


def test_a_writer_that_loses_the_race_makes_its_files_from_the_newer_ones(remote: Path) -> None:
    slept: list[float] = []
    seen: list[Mapping[str, bytes]] = []

    def make(read: Mapping[str, bytes]) -> Mapping[str, bytes]:
        seen.append(dict(read))
        if len(seen) <= 2:  # the first race is for a branch that does not exist yet
            _replace(remote, {"monitor.json": b"%d" % len(seen)})
        return {"status.json": read.get("monitor.json", b"")}

    _branch(remote).replace_files(
        make,
        keeps=KEPT,
        sleep=slept.append,
        random_between=lambda _low, high: high,
    )
    assert seen == [{}, {"monitor.json": b"1"}, {"monitor.json": b"2"}]
    assert slept == [2.0, 4.0]
    assert _git(remote, "show", "gh-pages:status.json") == "2"


def test_a_writer_downloads_no_file_that_it_only_keeps(
    remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _replace(remote, {**PAGE, "market.html": b"large" * 1000})
    trace = remote.parent / "trace"
    monkeypatch.setitem(ENVIRONMENT, "GIT_TRACE_PACKET", str(trace))

    def make(read: Mapping[str, bytes]) -> Mapping[str, bytes]:
        assert "market.html" in read
        assert read.get("coins") is None  # a folder
        return {"monitor.json": b"{}"}

    _branch(remote).replace_files(make)
    assert "filter blob:none" in trace.read_text()
    large = _git(remote, "rev-parse", "gh-pages:market.html")
    assert f"want {large}" not in trace.read_text()


def test_another_page_on_the_branch_is_never_replaced(remote: Path) -> None:
    _replace(remote, {"README.md": b"mine"})
    with pytest.raises(ConfigurationError, match=r"holds another page \(README.md\)"):
        _replace(remote, PAGE, *KEPT)
    assert _published(remote) == ["README.md"]


def test_a_remote_that_rejects_the_push_says_what_to_allow_and_gets_no_second_try(
    remote: Path,
) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\necho 'GH013: protected branch' >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(ConfigurationError, match="force-push to gh-pages") as info:
        _branch(remote).replace_files(lambda _read: PAGE, sleep=lambda _s: pytest.fail("retried"))
    assert "docs/deploy-github-actions.md" in str(info.value)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        # To a wrong address, and to a token of another repository.
        (
            "remote: Repository not found.\nfatal: repository 'https://x/y.git/' not found",
            "Repository not found",
        ),
        (
            "remote: error: GH013: Repository rule violations found for refs/heads/gh-pages.\n"
            " ! [remote rejected] gh-pages (push declined due to repository rule violations)",
            "force-push to gh-pages",
        ),
    ],
)
def test_an_answer_of_github_that_will_not_change_gets_no_second_try(
    tmp_path: Path, answer: str, text: str
) -> None:
    git = tmp_path / "git"
    git.write_text(f'#!/bin/sh\ncase "$1" in init) ;; *) echo "{answer}" >&2; exit 128;; esac\n')
    git.chmod(0o755)
    branch = PagesBranch("https://x/y.git", {**ENVIRONMENT, "PATH": f"{tmp_path}:/usr/bin:/bin"})
    with pytest.raises(ConfigurationError, match=text):
        branch.replace_files(lambda _read: PAGE, sleep=lambda _s: pytest.fail("retried"))


def test_an_unreachable_remote_is_named_without_its_password(tmp_path: Path) -> None:
    branch = PagesBranch("http://me:hunter2@127.0.0.1:9/x.git", ENVIRONMENT)
    with pytest.raises(SentinelError, match="could not be pushed in 5 tries") as info:
        branch.replace_files(lambda _read: PAGE, sleep=lambda _seconds: None)
    with pytest.raises(SentinelError, match="could not be read"):
        branch.read_files(["status.json"])
    assert "hunter2" not in str(info.value) + repr(branch)
    configuration = tmp_path / "gitconfig"
    configuration.write_text("[")
    broken = PagesBranch("x.git", {**ENVIRONMENT, "GIT_CONFIG_GLOBAL": str(configuration)})
    with pytest.raises(SentinelError, match="bad config"):
        broken.replace_files(lambda _read: PAGE)


def test_a_clone_is_not_changed(remote: Path) -> None:
    clone = remote.parent / "clone"
    _git(remote.parent, "init", "--quiet", "--template=", "clone")
    _git(clone, "remote", "add", "origin", "../remote.git")
    before = sorted(clone.rglob("*"))
    PagesBranch.of_clone(clone, ENVIRONMENT).replace_files(lambda _read: PAGE)
    assert sorted(clone.rglob("*")) == before
    assert len(_published(remote)) == 3
    with pytest.raises(ConfigurationError, match="is not in a git clone with a remote"):
        PagesBranch.of_clone(remote.parent, ENVIRONMENT)
