"""Commit the changed registry and push it, even if other runs do so at the same time.

If another run was faster, this run merges the two registries coin by coin on top of the remote's
newest commit, and tries again.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from coin_registry import CoinRegistry
from pipeline.git import Clone, GitError, GitRefusal
from safe_zone import load_settings
from sentinel.arguments import make_parser
from sentinel.coin import Coin, to_iso
from sentinel.console import list_first
from sentinel.errors import EXIT_OK, ConfigurationError, SentinelError
from sentinel.process import run_as_script

log = logging.getLogger("sentinel.commit")

# With tries of a second, 20 runs at once need up to 7; with 5, one of them failed in most trials.
RETRIES = 7
MAX_WAIT_SECONDS = 16.0
MAX_NAMED = 20  # coins named in a line of the commit message; a sync may change thousands


def publish_registry(
    path: Path,
    environ: Mapping[str, str],
    *,
    now: datetime | None = None,
    sleep: Callable[[float], None] = time.sleep,
    random_between: Callable[[float, float], float] = random.uniform,
) -> str | None:
    """Commit and push the registry at `path`; return the commit's subject.

    None: the remote has the same registry already.

    Raises ConfigurationError if the remote rejects the push, if the clone has other changes in the
    way, or if the file is damaged, and SentinelError if RETRIES more tries fail too.
    """
    path = path.resolve()
    try:
        registry = CoinRegistry.from_text(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be committed: {error}") from error
    clone = Clone(path, environ)
    pushed = clone.registry_at(f"refs/remotes/origin/{clone.branch}")
    if pushed is not None and pushed.to_text() == registry.to_text():
        return None
    last = ""
    for retry in range(RETRIES + 1):
        if retry:
            sleep(random_between(0.0, min(2.0**retry, MAX_WAIT_SECONDS)))
        try:
            return _publish_once(clone, now or datetime.now(UTC))
        except GitRefusal as error:
            raise ConfigurationError(
                f"The remote rejects the registry's commit on {clone.branch}: allow Actions to "
                "write contents and to push to this branch (docs/deploy-github-actions.md). "
                f"Git's message: {error}"
            ) from error
        except GitError as error:
            last = str(error)
            log.info("the registry was not pushed (%s): trying again", last)
    raise SentinelError(
        f"The registry could not be pushed in {RETRIES + 1} tries. The next run finds the same "
        f"changes again. Git's last message: {last}"
    )


def _publish_once(clone: Clone, now: datetime) -> str | None:
    """Merge with the remote's newest registry, commit and push. Raises GitError."""
    tip = clone.fetch()
    clone.commit_file()
    common = clone.git("merge-base", "HEAD", tip)
    base, merged, theirs = map(clone.registry_at, (common, "HEAD", tip))
    if merged is None:
        raise GitError(f"{clone.file} was damaged meanwhile, or git ignores it")
    if theirs is not None:
        theirs.discard_future_sync_time(now)
        merged.merge(base or CoinRegistry(), theirs)
        if not merged.is_newer_by_a_day(theirs):
            merged.keep_health_only(theirs)
    before = theirs or CoinRegistry()
    if merged.to_text() == before.to_text():
        clone.move_to(tip)
        return None
    message = describe_changes(before, merged)
    clone.move_to(clone.commit_onto(tip, merged.to_text(), message))
    clone.push()
    return message.partition("\n")[0]


def describe_changes(before: CoinRegistry, after: CoinRegistry) -> str:
    """Return a commit message: a subject with counts, and a line for each kind of change."""
    changes: dict[str, list[str]] = {}
    for coin_id in sorted(before.coins.keys() | after.coins.keys()):
        kind, cause = _classify(before.coins.get(coin_id), after.coins.get(coin_id))
        if kind:
            changes.setdefault(kind, []).append(f"{coin_id} ({cause})" if cause else coin_id)
    counts = [f"{len(coins)} {kind}" for kind, coins in sorted(changes.items())]
    if after.synced_at and after.synced_at != before.synced_at:
        counts.append(f"ranking of {to_iso(after.synced_at)[:10]}")
    if after.short_list and after.short_list != before.short_list:
        counts.append(f"a list of only {after.short_list.coins} coins")
    lines = [f"{kind}: {list_first(coins, MAX_NAMED)}" for kind, coins in sorted(changes.items())]
    return "\n".join([f"Registry: {', '.join(counts) or 'rewritten'}", "", *lines]).strip() + "\n"


def _classify(old: Coin | None, new: Coin | None) -> tuple[str | None, str | None]:
    """Return what happened to one coin, and why."""
    if old is None or new is None:
        return ("forgotten" if new is None else "new"), None
    if old.status != new.status:
        return {"active": "back", "inactive": "retired", "delisted": "delisted"}[new.status], (
            new.reason if new.status == "inactive" else None
        )
    if new.strikes != old.strikes:
        return ("struck", new.reason) if new.strikes > old.strikes else ("healed", None)
    return None, None


def main() -> int:
    """Publish the configured registry; return 0."""
    parser = make_parser(
        "python -m pipeline.commit_registry",
        __doc__,
        "example: python -m pipeline.commit_registry; GITHUB_TOKEN is used if it is set",
    )
    parser.parse_args()
    subject = publish_registry(load_settings().registry_path, os.environ)
    print(subject or "nothing to commit: the registry has not changed")
    return EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
