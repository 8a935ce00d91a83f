"""Two clones change the registry at once, and both push."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from pathlib import Path

from coin_registry import CoinRegistry
from pipeline.commit_registry import publish_registry
from sentinel.errors import ConfigurationError
from simulation import contents, input_output
from simulation.clock import SimulatedClock
from simulation.contents import Health
from simulation.input_output import Killed, Watch
from simulation.outcome import require

FILE = "coin_registry.json"
KILL = 0.5
MOST_OPERATIONS = 30  # git commands and operations on files of a commit
ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/nonexistent",
    **{f"GIT_{role}_NAME": "Simulation" for role in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{role}_EMAIL": "simulation@example.org" for role in ("AUTHOR", "COMMITTER")},
}


def make_clones(folder: Path) -> tuple[Path, Path]:
    """Create a remote and two clones of it; return the paths of their registries."""
    clones = folder / "clone", folder / "other"
    _git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    for clone in clones:
        _git(folder, "clone", "--quiet", "remote.git", clone.name)
        if clone is clones[0]:
            _git(clone, "checkout", "--quiet", "-b", "main")
            CoinRegistry().save(clone / FILE)
            _git(clone, "add", FILE)
            _git(clone, "commit", "--quiet", "-m", "Begin")
            _git(clone, "push", "--quiet", "origin", "main")
    return clones[0] / FILE, clones[1] / FILE


def race(
    ours: Path, theirs: Path, coin_ids: set[str], clock: SimulatedClock, rng: random.Random
) -> None:
    """Let the other clone strike a coin that is none of `coin_ids` and push, and then push ours.

    Our process may be killed once on the way. Raises BrokenPromise if a change is lost.
    """
    before = contents.read_health(ours)
    struck = _strike_in_the_other_clone(theirs, coin_ids, before, clock, rng)
    if rng.random() < KILL:
        watch = _kill_at(rng.randint(1, MOST_OPERATIONS), ours.parent, clock)
        with contextlib.suppress(Killed), input_output.watched_by(watch):
            _publish(ours, clock)
    _publish(ours, clock)
    for path in (ours, theirs):  # where nothing was to be pushed, the clone is not the newest
        _git(path.parent, "pull", "--quiet", "--rebase", "origin", "main")
    _check(before, contents.read_health(theirs), struck)


def _check(before: Health, merged: Health, struck: str | None) -> None:
    for coin_id, (_, strikes) in before.items():
        expected = strikes + (coin_id == struck)
        now = merged.get(coin_id, ("gone", 0))[1]
        require(now == expected, f"{coin_id} has {now} strikes after a merge, not {expected}")


def _strike_in_the_other_clone(
    path: Path, coin_ids: set[str], ours: Health, clock: SimulatedClock, rng: random.Random
) -> str | None:
    """Strike one coin and push; return its id. Of two changes of one coin, success beats failure,
    so the coin is one that our clone has not changed since."""
    _git(path.parent, "pull", "--quiet", "--rebase", "origin", "main")
    registry = CoinRegistry.load(path)
    there = contents.read_health(path)
    others = sorted(i for i in there.keys() - coin_ids if there[i] == ours.get(i))
    if not others:
        return None
    struck = rng.choice(others)
    has_struck = registry.strike(struck, "missing", clock.at)
    registry.save(path)
    _git(path.parent, "commit", "--quiet", "--all", "--allow-empty", "-m", "Strike a coin")
    _git(path.parent, "push", "--quiet", "origin", "HEAD:main")
    return struck if has_struck else None


def _publish(path: Path, clock: SimulatedClock) -> None:
    publish_registry(path, ENVIRONMENT, now=clock.at, sleep=clock.advance)


def _kill_at(operation: int, folder: Path, clock: SimulatedClock) -> Watch:
    def before(watch: Watch) -> None:
        if watch.operations == operation:
            watch.kill()

    return Watch(folder, clock, before, lambda _url, _status: None)


def _git(folder: Path, *arguments: str) -> None:
    command = ["git", *arguments]
    try:
        subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)
    except FileNotFoundError as error:
        raise ConfigurationError("git was not found: install it, or add it to PATH.") from error
