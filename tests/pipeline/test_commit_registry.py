"""Commits of the registry, with real bare repositories."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from coin_registry import CoinRegistry
from pipeline import git as registry_clone
from pipeline.commit_message import describe_changes
from pipeline.commit_registry import publish_registry
from safe_zone import ROOT
from sentinel.coin import Coin
from sentinel.errors import ConfigurationError, SentinelError
from tests.conftest import NOW

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
COINS = [Coin(f"coin-{n:03}", f"c{n}", f"Coin {n}", rank=n + 1) for n in range(60)]


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A Test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.rstrip("\n")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """A bare repository with a registry of 60 coins and another file on its main branch."""
    bare, seed = tmp_path / "remote.git", tmp_path / "seed"
    _git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    _git(tmp_path, "clone", "--quiet", str(bare), str(seed))
    CoinRegistry(COINS, NOW).save(seed / "coin_registry.json")
    (seed / "README.md").write_text("words\n")
    _git(seed, "checkout", "--quiet", "-b", "main")
    _git(seed, "add", ".")
    _git(seed, "commit", "--quiet", "-m", "Begin")
    _git(seed, "push", "--quiet", "origin", "main")
    return bare


@pytest.fixture
def clone(remote: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Make a shallow clone, as a GitHub runner does; return the path of its registry."""

    def make(name: str) -> Path:
        url = f"file://{remote}"
        _git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=main", url, name)
        return tmp_path / name / "coin_registry.json"

    return make


Clone = Callable[[str], Path]


def _strike(path: Path, *coin_ids: str, times: int = 1) -> None:
    registry = CoinRegistry.load(path)
    for coin_id in coin_ids:
        for _ in range(times):
            registry.strike(coin_id, "missing", NOW)
    registry.save(path)


def _pushed(remote: Path) -> CoinRegistry:
    return CoinRegistry.from_text(_git(remote, "show", "main:coin_registry.json"))


def _commits(remote: Path) -> list[str]:
    return _git(remote, "log", "--format=%s", "main").splitlines()


def _publish(path: Path) -> str | None:
    return publish_registry(
        path, ENVIRONMENT, now=NOW + timedelta(days=2), sleep=lambda _seconds: None
    )


def test_a_run_with_nothing_to_commit_makes_no_commit(clone: Clone, remote: Path) -> None:
    assert _publish(clone("a")) is None
    assert _commits(remote) == ["Begin"]


def test_three_deactivated_ghost_coins_make_one_commit_of_three_lines(
    clone: Clone, remote: Path
) -> None:
    path = clone("a")
    _strike(path, "coin-003", "coin-017", "coin-042", times=3)
    assert _publish(path) == "Registry: 3 retired"
    assert _commits(remote) == ["Registry: 3 retired", "Begin"]
    assert _git(remote, "show", "--format=%b", "--numstat", "main").splitlines() == [
        "retired: coin-003 (missing), coin-017 (missing), coin-042 (missing)",
        "",
        "",
        "3\t3\tcoin_registry.json",
    ]


def test_the_clone_is_updated_and_the_next_run_has_nothing_to_commit(
    clone: Clone, remote: Path
) -> None:
    path = clone("a")
    _strike(path, "coin-003")
    _publish(path)
    assert _git(path.parent, "status", "--porcelain") == ""
    assert _publish(path) is None
    assert len(_commits(remote)) == 2


def test_a_lost_race_keeps_the_health_changes_of_both_runs(clone: Clone, remote: Path) -> None:
    first, second = clone("a"), clone("b")
    _strike(first, "coin-001", "coin-002")
    _strike(second, "coin-002", "coin-003")
    _publish(first)
    assert _publish(second) == "Registry: 2 struck"
    struck = {coin.id: coin.strikes for coin in _pushed(remote).coins.values() if coin.strikes}
    assert struck == {"coin-001": 1, "coin-002": 2, "coin-003": 1}
    assert _git(remote, "log", "--merges", "main") == ""


def test_other_commits_pushed_meanwhile_are_kept(clone: Clone, remote: Path) -> None:
    path = clone("a")
    other = clone("b").parent
    (other / "README.md").write_text("better words\n")
    _git(other, "commit", "--quiet", "-am", "Improve")
    _git(other, "push", "--quiet")
    _strike(path, "coin-001")
    _publish(path)
    assert _git(remote, "show", "main:README.md") == "better words"
    assert (path.parent / "README.md").read_text() == "better words\n"


def test_work_in_progress_in_the_clone_is_neither_committed_nor_lost(
    clone: Clone, remote: Path
) -> None:
    path = clone("a")
    (path.parent / "README.md").write_text("half a sent")
    (path.parent / "new.py").write_text("draft")
    _git(path.parent, "add", "new.py")
    _strike(path, "coin-001")
    _publish(path)
    assert _git(remote, "show", "--format=", "--name-only", "main") == "coin_registry.json"
    assert (path.parent / "README.md").read_text() == "half a sent"
    assert (path.parent / "new.py").read_text() == "draft"


def test_the_ranking_is_committed_once_a_day(clone: Clone, remote: Path) -> None:
    """Two machines sync with CoinGecko within an hour: the second commits only health changes."""
    first, second = clone("a"), clone("b")
    listed = [{"id": coin.id, "symbol": coin.symbol, "name": coin.name} for coin in COINS]
    for path, hours in ((first, 25), (second, 26)):
        registry = CoinRegistry.load(path)
        ranked = [
            {"id": coin.id, "market_cap_rank": hours * coin.rank % 61}
            for coin in COINS
            if coin.rank
        ]
        registry.sync(listed, ranked, NOW + timedelta(hours=hours))
        registry.strike(f"coin-0{hours}", "missing", NOW)
        registry.save(path)
    assert _publish(first) == "Registry: 1 struck, ranking of 2026-11-21"
    ranks = {coin.id: coin.rank for coin in _pushed(remote).coins.values()}
    assert _publish(second) == "Registry: 1 struck"
    after = _pushed(remote)
    assert {coin.id: coin.rank for coin in after.coins.values()} == ranks
    assert [after.coins[f"coin-0{n}"].strikes for n in (25, 26)] == [1, 1]


def test_a_first_registry_is_committed(tmp_path: Path) -> None:
    bare, path = tmp_path / "remote.git", tmp_path / "a" / "coin_registry.json"
    _git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    _git(tmp_path, "clone", "--quiet", str(bare), "a")
    _git(path.parent, "checkout", "--quiet", "-b", "main")
    _git(path.parent, "commit", "--quiet", "--allow-empty", "-m", "Begin")
    CoinRegistry(COINS, NOW).save(path)
    assert _publish(path) == "Registry: 60 new, ranking of 2026-11-20"
    assert _git(path.parent, "status", "--porcelain") == ""


def test_a_remote_that_rejects_the_push_is_a_clear_error_at_once(
    clone: Clone, remote: Path
) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'protected branch: changes need a pull request' >&2\nexit 1\n")
    hook.chmod(0o755)
    path = clone("a")
    _strike(path, "coin-001")
    slept: list[float] = []
    with pytest.raises(ConfigurationError, match="rejects the registry's commit on main") as info:
        publish_registry(path, ENVIRONMENT, sleep=slept.append)
    assert "docs/deploy-github-actions.md" in str(info.value)
    assert (slept, _commits(remote)) == ([], ["Begin"])
    assert CoinRegistry.load(path).coins["coin-001"].strikes == 1


def test_a_race_that_is_always_lost_ends_after_five_more_tries(clone: Clone, remote: Path) -> None:
    (remote / "refs" / "heads" / "main.lock").touch()  # as if another push never ended
    path = clone("a")
    _strike(path, "coin-001")
    waits: list[tuple[float, float]] = []
    with pytest.raises(SentinelError, match="could not be pushed in 6 tries"):
        publish_registry(
            path,
            ENVIRONMENT,
            sleep=lambda _seconds: None,
            random_between=lambda low, high: waits.append((low, high)) or high,  # type: ignore[func-returns-value]
        )
    assert [high for _, high in waits] == [2.0, 4.0, 8.0, 16.0, 16.0]


def test_an_unreachable_remote_is_retried_and_named_without_its_password(
    clone: Clone,
) -> None:
    path = clone("a")
    _strike(path, "coin-001")
    url = "http://me:hunter2@127.0.0.1:9/x.git"
    _git(path.parent, "remote", "set-url", "origin", url)
    with pytest.raises(SentinelError, match="could not be pushed") as info:
        _publish(path)
    assert "hunter2" not in str(info.value)


def test_a_missing_clone_or_branch_is_a_clear_error(tmp_path: Path, clone: Clone) -> None:
    lonely = tmp_path / "coin_registry.json"
    CoinRegistry(COINS).save(lonely)
    with pytest.raises(ConfigurationError, match="is not in a git clone"):
        _publish(lonely)
    path = clone("a")
    _git(path.parent, "checkout", "--quiet", "--detach")
    with pytest.raises(ConfigurationError, match="on a checked-out branch"):
        _publish(path)


def test_a_damaged_registry_is_never_committed(clone: Clone, remote: Path) -> None:
    path = clone("a")
    path.write_text('{"coins": [')
    with pytest.raises(ConfigurationError, match="cannot be committed"):
        _publish(path)
    assert _commits(remote) == ["Begin"]


def test_a_token_reaches_git_and_no_other_process(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is in git's environment, because a process list shows arguments."""
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\nexec /usr/bin/git "$@"\n')
    spy.chmod(0o755)
    path = clone("a")
    _strike(path, "coin-001")
    environment = {**ENVIRONMENT, "PATH": f"{spy.parent}:/usr/bin:/bin", "GITHUB_TOKEN": "ghs_tok"}
    monkeypatch.setenv("PATH", environment["PATH"])
    publish_registry(path, environment)
    arguments = (tmp_path / "arguments").read_text()
    assert "push" in arguments
    assert "ghs_tok" not in arguments
    assert "AUTHORIZATION" not in arguments


# --- what must not be lost ---------------------------------------------------------------------


def test_commits_that_were_not_pushed_yet_survive(clone: Clone, remote: Path) -> None:
    path = clone("a")
    (path.parent / "work.py").write_text("precious")
    _git(path.parent, "add", "work.py")
    _git(path.parent, "commit", "--quiet", "-m", "Work in progress")
    _strike(path, "coin-001")
    assert _publish(path) == "Registry: 1 struck"
    assert (path.parent / "work.py").read_text() == "precious"
    assert _git(path.parent, "log", "-1", "--format=%s") == "Work in progress"
    assert _publish(path) is None
    assert _pushed(remote).coins["coin-001"].strikes == 1


@pytest.mark.parametrize("damage", ["<<<<<<< HEAD\n", None], ids=["damaged", "deleted"])
def test_a_registry_that_the_remote_lost_is_restored(
    clone: Clone, remote: Path, damage: str | None
) -> None:
    path, other = clone("a"), clone("b")
    if damage is None:
        other.unlink()
    else:
        other.write_text(damage)
    _git(other.parent, "commit", "--quiet", "-am", "Oops")
    _git(other.parent, "push", "--quiet")
    _strike(path, "coin-001")
    _publish(path)
    assert len(_pushed(remote)) == 60
    assert _pushed(remote).coins["coin-001"].strikes == 1


def _git_that_hides_its_first_push(folder: Path) -> str:
    """A PATH with a git whose first push succeeds and reports a failure."""
    folder.mkdir()
    git = folder / "git"
    git.write_text(
        f'#!/bin/sh\n/usr/bin/git "$@"; code=$?\n'
        f'if [ "$1" = push ] && [ ! -e {folder}/done ]; then touch {folder}/done; exit 1; fi\n'
        "exit $code\n"
    )
    git.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_a_push_whose_success_was_not_reported_is_not_counted_twice(
    clone: Clone, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clone("a")
    _strike(path, "coin-001")
    environment = {**ENVIRONMENT, "PATH": _git_that_hides_its_first_push(tmp_path / "bin")}
    monkeypatch.setenv("PATH", environment["PATH"])
    publish_registry(path, environment, now=NOW, sleep=lambda _seconds: None)
    assert _pushed(remote).coins["coin-001"].strikes == 1
    assert _git(path.parent, "status", "--porcelain") == ""


def test_a_kill_between_push_and_update_is_not_counted_twice(
    clone: Clone, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = clone("a"), clone("b")
    _strike(path, "coin-001")
    _publish_and_be_killed(path, monkeypatch)
    _strike(other, "coin-001", "coin-002")
    _publish(other)
    _strike(path, "coin-001")
    assert _publish(path) == "Registry: 1 retired"
    assert _pushed(remote).coins["coin-001"].strikes == 3
    assert _pushed(remote).coins["coin-002"].strikes == 1
    assert _git(path.parent, "status", "--porcelain") == ""


def test_a_lost_race_after_a_kill_counts_nothing_twice(
    clone: Clone, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = clone("a"), clone("b")
    _strike(path, "coin-001")
    _publish_and_be_killed(path, monkeypatch)
    _strike(path, "coin-001")
    push = registry_clone.Clone.push

    def push_too_late(self: registry_clone.Clone, commit: str, ours: str) -> None:
        monkeypatch.setattr(registry_clone.Clone, "push", push)
        _strike(other, "coin-002")
        _publish(other)
        push(self, commit, ours)

    monkeypatch.setattr(registry_clone.Clone, "push", push_too_late)
    _publish(path)
    assert [_pushed(remote).coins[f"coin-00{n}"].strikes for n in (1, 2)] == [2, 1]
    assert len(_commits(remote)) == 4


def test_a_clone_without_a_commit_is_a_clear_error(tmp_path: Path) -> None:
    _git(tmp_path, "init", "--quiet", "--initial-branch=main", "new")
    CoinRegistry(COINS).save(tmp_path / "new" / "coin_registry.json")
    with pytest.raises(ConfigurationError, match="with a commit on a checked-out branch"):
        _publish(tmp_path / "new" / "coin_registry.json")


def _publish_and_be_killed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The push succeeds, and the process is killed before it updates the clone."""

    def end(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(registry_clone.Clone, "follow", end)
        _publish(path)


def test_a_change_written_during_a_push_is_in_the_next_commit(
    clone: Clone, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clone("a")
    _strike(path, "coin-001")
    push = registry_clone.Clone.push

    def push_slowly(self: registry_clone.Clone, commit: str, ours: str) -> None:
        push(self, commit, ours)
        _strike(path, "coin-002")

    with monkeypatch.context() as patch:
        patch.setattr(registry_clone.Clone, "push", push_slowly)
        _publish(path)
    assert CoinRegistry.load(path).coins["coin-002"].strikes == 1
    assert _publish(path) == "Registry: 1 struck"
    assert [_pushed(remote).coins[f"coin-00{n}"].strikes for n in (1, 2)] == [1, 1]


def test_a_coin_that_is_new_to_both_sides_keeps_its_strikes() -> None:
    ours, theirs = (CoinRegistry([Coin("new", "n", "New")]) for _ in range(2))
    theirs.strike("new", "missing", NOW)
    ours.coins["new"] = ours.coins["new"]._replace(rank=5)
    ours.merge(CoinRegistry(), theirs)
    assert ours.coins["new"].strikes == 1


def test_a_sync_time_in_the_future_is_corrected(clone: Clone, remote: Path) -> None:
    path, other = clone("a"), clone("b")
    for each, days in ((other, 400), (path, 1)):
        registry = CoinRegistry.load(each)
        registry.synced_at = NOW + timedelta(days=days)
        registry.strike(f"coin-{days:03}"[:8], "missing", NOW)
        registry.save(each)
    publish_registry(other, ENVIRONMENT, now=NOW + timedelta(days=401))
    _publish(path)
    assert _pushed(remote).synced_at == NOW + timedelta(days=1)


# --- odd clones ----------------------------------------------------------------------------------


def test_a_path_called_read_only_is_not_taken_for_a_rejection(
    clone: Clone, remote: Path, tmp_path: Path
) -> None:
    path = clone("a")
    moved = remote.rename(tmp_path / "read-only archived.git")
    _git(path.parent, "remote", "set-url", "origin", str(moved))
    (moved / "refs" / "heads" / "main.lock").touch()
    _strike(path, "coin-001")
    with pytest.raises(SentinelError, match="could not be pushed in 6 tries"):
        _publish(path)


def test_a_missing_remote_is_reported_at_once(clone: Clone) -> None:
    path = clone("a")
    _git(path.parent, "remote", "remove", "origin")
    _strike(path, "coin-001")
    with pytest.raises(ConfigurationError, match="does not appear to be a git repository"):
        _publish(path)


def test_variables_of_a_surrounding_git_command_are_ignored(
    clone: Clone, remote: Path, tmp_path: Path
) -> None:
    path, elsewhere = clone("a"), clone("b")
    _strike(path, "coin-001")
    environment = {**ENVIRONMENT, "GIT_DIR": str(elsewhere.parent / ".git")}
    publish_registry(path, environment, now=NOW)
    assert _pushed(remote).coins["coin-001"].strikes == 1
    assert _git(path.parent, "status", "--porcelain") == ""
    assert not (tmp_path / "index").exists()


def test_a_tag_with_the_name_of_the_branch_is_harmless(clone: Clone, remote: Path) -> None:
    path = clone("a")
    _git(path.parent, "tag", "main")
    _strike(path, "coin-001")
    _publish(path)
    assert _git(remote, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_registry_behind_a_symbolic_link_is_committed_in_its_own_clone(
    clone: Clone, remote: Path, tmp_path: Path
) -> None:
    path = clone("a")
    link = tmp_path / "elsewhere.json"
    link.symlink_to(path)
    _strike(link, "coin-001")
    _publish(link)
    assert (link.is_symlink(), _pushed(remote).coins["coin-001"].strikes) == (True, 1)
    outside = path.parent / "outside.json"
    CoinRegistry(COINS).save(tmp_path / "real.json")
    outside.symlink_to(tmp_path / "real.json")
    with pytest.raises(ConfigurationError, match="is not in a git clone"):
        _publish(outside)


def test_the_message_names_coins_and_reasons() -> None:
    before = CoinRegistry(COINS, NOW)
    after = CoinRegistry(COINS, NOW)
    for _ in range(3):
        after.strike("coin-001", "null_price", NOW)
    after.strike("coin-002", "missing", NOW)
    after.coins["coin-004"] = after.coins["coin-004"]._replace(status="delisted")
    del after.coins["coin-005"]
    after.coins["newcomer"] = Coin("newcomer", "new", "Newcomer")
    assert describe_changes(before, after).splitlines() == [
        "Registry: 1 delisted, 1 forgotten, 1 new, 1 retired, 1 struck",
        "",
        "delisted: coin-004",
        "forgotten: coin-005",
        "new: newcomer",
        "retired: coin-001 (null_price)",
        "struck: coin-002 (missing)",
    ]
    assert describe_changes(after, before).startswith(
        "Registry: 2 back, 1 forgotten, 1 healed, 1 new"
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_pushes_at_once_lose_nothing(clone: Clone, remote: Path) -> None:
    paths = [clone(f"clone-{n}") for n in range(20)]
    for number, path in enumerate(paths):
        _strike(path, f"coin-{number:03}", "coin-050")
    environment = {**ENVIRONMENT, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "pipeline.commit_registry"],
            env={**environment, "SENTINEL_REGISTRY": str(path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for path in paths
    ]
    for process in processes:
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
    registry = _pushed(remote)
    assert [registry.coins[f"coin-{n:03}"].strikes for n in range(20)] == [1] * 20
    assert registry.coins["coin-050"].strikes == 20
    assert len(_commits(remote)) == 21
    assert _git(remote, "log", "--merges", "main") == ""
    assert registry.to_text() == _git(remote, "show", "main:coin_registry.json") + "\n"
