"""Commits of the registry, with real bare repositories."""

from __future__ import annotations

import heapq
import shutil
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from coin_registry import CoinRegistry
from pipeline.commit_registry import describe_changes, publish_registry
from pipeline.git import Clone
from sentinel import files
from sentinel.coin import Coin
from sentinel.errors import ConfigurationError, SentinelError
from tests.conftest import NOW

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
MakeClone = Callable[[str], Path]
COINS = [Coin(f"coin-{n:03}", f"c{n}", f"Coin {n}", rank=n + 1) for n in range(60)]


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A Test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.rstrip("\n")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository with 60 coins, and a shallow clone of it, as GitHub's runners make."""
    folder = tmp_path_factory.mktemp("prepared")
    seed = folder / "seed"
    _git(folder, "init", "--quiet", "--template=", "--initial-branch=main", "seed")
    CoinRegistry(COINS, NOW).save(seed / "coin_registry.json")
    (seed / "README.md").write_text("words\n")
    _git(seed, "add", ".")
    _git(seed, "commit", "--quiet", "-m", "Begin")
    _git(folder, "clone", "--quiet", "--template=", "--bare", "seed", "remote.git")
    url = f"file://{folder}/remote.git"
    _git(folder, "clone", "--quiet", "--template=", "--depth=1", url, "clone")
    _git(folder / "clone", "remote", "set-url", "origin", "../remote.git")
    return folder


@pytest.fixture
def remote(prepared: Path, tmp_path: Path) -> Path:
    """The bare repository of this test."""
    return shutil.copytree(prepared / "remote.git", tmp_path / "remote.git")


@pytest.fixture
def clone(prepared: Path, remote: Path) -> MakeClone:
    """Make a clone of the test's bare repository; return the path of its registry."""

    def make(name: str) -> Path:
        shutil.copytree(prepared / "clone", remote.parent / name)
        return remote.parent / name / "coin_registry.json"

    return make


def _strike(path: Path, *coin_ids: str, times: int = 1) -> None:
    registry = CoinRegistry.load(path)
    for coin_id in coin_ids:
        for _ in range(times):
            registry.strike(coin_id, "missing", NOW)
    registry.save(path)


def _commit_readme(path: Path, text: str) -> None:
    """Push another commit, from the clone of the registry at `path`."""
    (path.parent / "README.md").write_text(text)
    _git(path.parent, "commit", "--quiet", "-am", "Improve")
    _git(path.parent, "push", "--quiet")


def _pushed(remote: Path) -> CoinRegistry:
    return CoinRegistry.from_text(_git(remote, "show", "main:coin_registry.json"))


def _commits(remote: Path) -> list[str]:
    return _git(remote, "log", "--format=%s", "main").splitlines()


def _publish(path: Path) -> str | None:
    return publish_registry(
        path, ENVIRONMENT, now=NOW + timedelta(days=2), sleep=lambda _seconds: None
    )


def test_a_run_with_nothing_to_commit_makes_no_commit(clone: MakeClone, remote: Path) -> None:
    assert _publish(clone("a")) is None
    assert _commits(remote) == ["Begin"]


def test_a_list_that_is_too_short_to_be_believed_is_committed(
    clone: MakeClone, remote: Path
) -> None:
    path, later = clone("a"), NOW + timedelta(days=2)
    registry = CoinRegistry.load(path)
    with pytest.raises(ValueError, match="lists 1 coins"):
        registry.sync([{"id": "coin-000", "symbol": "c0", "name": "Coin 0"}], [], later)
    registry.save(path)
    assert _publish(path) == "Registry: a list of only 1 coins"
    assert _pushed(remote).short_list == registry.short_list
    assert len(_pushed(remote)) == 60


def test_no_run_saves_the_registry_while_git_replaces_it(
    clone: MakeClone, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, honest, is_free = clone("a"), Clone.git, []

    def git(self: Clone, *arguments: str, content: str = "") -> str:
        if arguments[0] == "reset":
            with files.try_lock(path) as has_lock:
                is_free.append(has_lock)
        return honest(self, *arguments, content=content)

    monkeypatch.setattr(Clone, "git", git)
    _strike(path, "coin-003")
    _publish(path)
    assert is_free == [False]


def test_three_deactivated_ghost_coins_make_one_commit_of_three_lines(
    clone: MakeClone, remote: Path
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
    clone: MakeClone, remote: Path
) -> None:
    path = clone("a")
    _strike(path, "coin-003")
    _publish(path)
    assert _git(path.parent, "status", "--porcelain") == ""
    assert _publish(path) is None
    assert len(_commits(remote)) == 2


def test_a_lost_race_keeps_the_health_changes_of_both_runs(clone: MakeClone, remote: Path) -> None:
    first, second = clone("a"), clone("b")
    _strike(first, "coin-001", "coin-002")
    _strike(second, "coin-002", "coin-003")
    _publish(first)
    assert _publish(second) == "Registry: 2 struck"
    struck = {coin.id: coin.strikes for coin in _pushed(remote).coins.values() if coin.strikes}
    assert struck == {"coin-001": 1, "coin-002": 2, "coin-003": 1}
    assert _git(remote, "log", "--merges", "main") == ""


def test_other_commits_pushed_meanwhile_are_kept(clone: MakeClone, remote: Path) -> None:
    path = clone("a")
    _commit_readme(clone("b"), "better words\n")
    _strike(path, "coin-001")
    _publish(path)
    assert _git(remote, "show", "main:README.md") == "better words"
    assert (path.parent / "README.md").read_text() == "better words\n"


def test_work_in_progress_in_the_clone_is_neither_committed_nor_lost(
    clone: MakeClone, remote: Path
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


def test_the_ranking_is_committed_once_a_day(clone: MakeClone, remote: Path) -> None:
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


def test_a_first_registry_is_committed(clone: MakeClone, remote: Path) -> None:
    path = clone("a")
    _git(path.parent, "rm", "--quiet", path.name)
    _git(path.parent, "commit", "--quiet", "-m", "Begin again")
    _git(path.parent, "push", "--quiet")
    CoinRegistry(COINS, NOW).save(path)
    assert _publish(path) == "Registry: 60 new, ranking of 2026-11-20"
    assert _git(path.parent, "status", "--porcelain") == ""
    assert len(_pushed(remote)) == 60


def test_a_remote_that_rejects_the_push_is_a_clear_error_at_once(
    clone: MakeClone, remote: Path
) -> None:
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir()
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


@pytest.mark.slow
def test_a_race_that_is_always_lost_ends_after_seven_more_tries(
    clone: MakeClone, remote: Path, tmp_path: Path
) -> None:
    """The address holds words that name a rejection elsewhere."""
    path = clone("a")
    moved = remote.rename(tmp_path / "read-only archived.git")
    _git(path.parent, "remote", "set-url", "origin", str(moved))
    (moved / "refs" / "heads" / "main.lock").touch()  # as if another push never ended
    _strike(path, "coin-001")
    waits: list[tuple[float, float]] = []
    with pytest.raises(SentinelError, match="could not be pushed in 8 tries") as info:
        publish_registry(
            path,
            ENVIRONMENT,
            sleep=lambda _seconds: None,
            random_between=lambda low, high: waits.append((low, high)) or high,  # type: ignore[func-returns-value]
        )
    assert not isinstance(info.value, ConfigurationError)
    assert [high for _, high in waits] == [2.0, 4.0, 8.0, 16.0, 16.0, 16.0, 16.0]


def test_an_unreachable_remote_is_retried_and_named_without_its_password(
    clone: MakeClone,
) -> None:
    path = clone("a")
    _strike(path, "coin-001")
    url = "http://me:hunter2@127.0.0.1:9/x.git"
    _git(path.parent, "remote", "set-url", "origin", url)
    with pytest.raises(SentinelError, match="could not be pushed") as info:
        _publish(path)
    assert "hunter2" not in str(info.value)


def test_a_missing_clone_or_branch_is_a_clear_error(tmp_path: Path, clone: MakeClone) -> None:
    lonely = tmp_path / "coin_registry.json"
    CoinRegistry(COINS).save(lonely)
    with pytest.raises(ConfigurationError, match="is not in a git clone"):
        _publish(lonely)
    path = clone("a")
    _git(path.parent, "checkout", "--quiet", "--detach")
    with pytest.raises(ConfigurationError, match="on a checked-out branch"):
        _publish(path)


def test_a_damaged_registry_is_never_committed(clone: MakeClone, remote: Path) -> None:
    path = clone("a")
    path.write_text('{"coins": [')
    with pytest.raises(ConfigurationError, match="cannot be committed"):
        _publish(path)
    assert _commits(remote) == ["Begin"]


def test_a_token_reaches_git_and_no_other_process(
    clone: MakeClone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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


def test_commits_that_were_not_pushed_yet_are_neither_pushed_nor_lost(
    clone: MakeClone, remote: Path
) -> None:
    path = clone("a")
    (path.parent / "work.py").write_text("precious")
    _git(path.parent, "add", "work.py")
    _git(path.parent, "commit", "--quiet", "-m", "Work in progress")
    _strike(path, "coin-001")
    with pytest.raises(
        ConfigurationError, match=r"commits that the remote lacks \(.* Work in prog"
    ):
        _publish(path)
    assert _git(path.parent, "log", "-1", "--format=%s") == "Work in progress"
    assert _commits(remote) == ["Begin"]
    _git(path.parent, "push", "--quiet")
    assert _publish(path) == "Registry: 1 struck"
    assert (path.parent / "work.py").read_text() == "precious"


def test_work_in_progress_that_the_remote_would_overwrite_is_not_lost(clone: MakeClone) -> None:
    path, other = clone("a"), clone("b")
    _commit_readme(other, "better words\n")
    (path.parent / "README.md").write_text("half a sent")
    _strike(path, "coin-001")
    with pytest.raises(ConfigurationError, match="commit or stash them") as info:
        _publish(path)
    assert "README.md" in str(info.value)
    assert (path.parent / "README.md").read_text() == "half a sent"
    _git(path.parent, "stash", "--quiet")
    assert _publish(path) == "Registry: 1 struck"


@pytest.mark.parametrize("damage", ["<<<<<<< HEAD\n", None], ids=["damaged", "deleted"])
def test_a_registry_that_the_remote_lost_is_restored(
    clone: MakeClone, remote: Path, damage: str | None
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
    clone: MakeClone, remote: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clone("a")
    _strike(path, "coin-001")
    environment = {**ENVIRONMENT, "PATH": _git_that_hides_its_first_push(tmp_path / "bin")}
    monkeypatch.setenv("PATH", environment["PATH"])
    publish_registry(path, environment, now=NOW, sleep=lambda _seconds: None)
    assert _commits(remote) == ["Registry: 1 struck", "Begin"]
    assert _git(path.parent, "status", "--porcelain") == ""


@pytest.mark.parametrize("step", ["fetch", "commit_file", "commit_onto", "move_to", "push"])
def test_a_kill_after_any_step_loses_nothing_and_counts_nothing_twice(
    clone: MakeClone, remote: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path, other = clone("a"), clone("b")
    _strike(path, "coin-001")
    _publish_and_be_killed(path, monkeypatch, step)
    _strike(other, "coin-001", "coin-002")
    _publish(other)
    _strike(path, "coin-001")
    assert _publish(path) == "Registry: 1 retired"
    assert [_pushed(remote).coins[f"coin-00{n}"].strikes for n in (1, 2)] == [3, 1]
    assert _git(path.parent, "status", "--porcelain") == ""


def test_a_lost_race_after_a_kill_counts_nothing_twice(
    clone: MakeClone, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = clone("a"), clone("b")
    _strike(path, "coin-001")
    _publish_and_be_killed(path, monkeypatch, "push")
    _strike(path, "coin-001")

    def push_first() -> None:
        _strike(other, "coin-002")
        _publish(other)

    _interpose(monkeypatch, "push", before=push_first)
    _publish(path)
    assert [_pushed(remote).coins[f"coin-00{n}"].strikes for n in (1, 2)] == [2, 1]
    assert len(_commits(remote)) == 4


def test_a_clone_without_a_commit_is_a_clear_error(tmp_path: Path) -> None:
    _git(tmp_path, "init", "--quiet", "--initial-branch=main", "new")
    CoinRegistry(COINS).save(tmp_path / "new" / "coin_registry.json")
    with pytest.raises(ConfigurationError, match="with a commit on a checked-out branch"):
        _publish(tmp_path / "new" / "coin_registry.json")


def _interpose(
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Do something before and after the next time that a step of the commit runs."""
    original = getattr(Clone, step)

    def interposed(*arguments: object) -> object:
        monkeypatch.setattr(Clone, step, original)
        before()
        result = original(*arguments)
        after()
        return result

    monkeypatch.setattr(Clone, step, interposed)


def _publish_and_be_killed(path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Publish the registry, and end right after a step."""

    def end() -> None:
        raise KeyboardInterrupt

    _interpose(monkeypatch, step, after=end)
    with pytest.raises(KeyboardInterrupt):
        _publish(path)


@pytest.mark.parametrize("step", ["move_to", "push"])
def test_a_change_that_a_run_writes_meanwhile_is_not_lost(
    clone: MakeClone, remote: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = clone("a")
    _strike(path, "coin-001")
    _interpose(monkeypatch, step, before=lambda: _strike(path, "coin-002"))
    _publish(path)
    assert CoinRegistry.load(path).coins["coin-002"].strikes == 1
    _publish(path)
    assert [_pushed(remote).coins[f"coin-00{n}"].strikes for n in (1, 2)] == [1, 1]
    assert _git(path.parent, "status", "--porcelain") == ""


def test_a_coin_that_is_new_to_both_sides_keeps_its_strikes() -> None:
    ours, theirs = (CoinRegistry([Coin("new", "n", "New")]) for _ in range(2))
    theirs.strike("new", "missing", NOW)
    ours.coins["new"] = ours.coins["new"]._replace(rank=5)
    ours.merge(CoinRegistry(), theirs)
    assert ours.coins["new"].strikes == 1


def test_a_sync_time_in_the_future_is_corrected(clone: MakeClone, remote: Path) -> None:
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


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("remote", "remove", "origin"), "does not appear to be a git repository"),
        (("checkout", "--quiet", "-b", "mine"), "on mine: .* couldn't find remote ref"),
    ],
    ids=["remote", "branch"],
)
def test_a_missing_remote_or_branch_is_reported_at_once(
    clone: MakeClone, remote: Path, command: tuple[str, ...], message: str
) -> None:
    path = clone("a")
    _git(path.parent, *command)
    _strike(path, "coin-001")
    with pytest.raises(ConfigurationError, match=message):
        _publish(path)
    assert _git(remote, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_variables_of_a_surrounding_git_command_are_ignored(
    clone: MakeClone, remote: Path, tmp_path: Path
) -> None:
    path, elsewhere = clone("a"), clone("b")
    _strike(path, "coin-001")
    environment = {**ENVIRONMENT, "GIT_DIR": str(elsewhere.parent / ".git")}
    publish_registry(path, environment, now=NOW)
    assert _pushed(remote).coins["coin-001"].strikes == 1
    assert _git(path.parent, "status", "--porcelain") == ""
    assert not (tmp_path / "index").exists()


def test_a_tag_with_the_name_of_the_branch_is_harmless(clone: MakeClone, remote: Path) -> None:
    path = clone("a")
    _git(path.parent, "tag", "main")
    _strike(path, "coin-001")
    _publish(path)
    assert _git(remote, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_registry_behind_a_symbolic_link_is_committed_in_its_own_clone(
    clone: MakeClone, remote: Path, tmp_path: Path
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


class VirtualWaits:
    """The waits of many threads, without waiting.

    While fewer than two threads run, the one whose wait ends first goes on.
    """

    def __init__(self, running: int) -> None:
        self._running = running
        self._now = 0.0
        self._ends: list[float] = []
        self._changed = threading.Condition()

    def sleep(self, seconds: float) -> None:
        with self._changed:
            end = self._now + seconds
            heapq.heappush(self._ends, end)
            self._running -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._running < 2 and self._ends[0] == end)
            self._now = heapq.heappop(self._ends)
            self._running += 1
            self._changed.notify_all()

    def finish(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()


@pytest.mark.soak
@pytest.mark.slow
def test_twenty_pushes_at_once_lose_nothing(clone: MakeClone, remote: Path) -> None:
    paths = [clone(f"clone-{n}") for n in range(20)]
    for number, path in enumerate(paths):
        _strike(path, f"coin-{number:03}", "coin-050")
    waits = VirtualWaits(len(paths))

    def publish(path: Path) -> str | None:
        try:
            return publish_registry(path, ENVIRONMENT, now=NOW, sleep=waits.sleep)
        finally:
            waits.finish()

    with ThreadPoolExecutor(len(paths)) as threads:
        assert all(threads.map(publish, paths))
    registry = _pushed(remote)
    assert [registry.coins[f"coin-{n:03}"].strikes for n in range(20)] == [1] * 20
    assert registry.coins["coin-050"].strikes == 20
    assert len(_commits(remote)) == 21
    assert _git(remote, "log", "--merges", "main") == ""
    assert registry.to_text() == _git(remote, "show", "main:coin_registry.json") + "\n"
