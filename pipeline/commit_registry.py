"""Commit the changed registry and push it, even if another run does so at the same time.

The commit is built beside the work tree, on top of the remote's newest commit. If another run was
faster, this run merges the two registries coin by coin and tries again. No other file of the clone
changes.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from coin_registry import CoinRegistry
from pipeline.commit_message import describe_changes
from pipeline.git import Clone, GitError
from safe_zone import load_settings
from sentinel import console
from sentinel.errors import EXIT_OK, ConfigurationError, SentinelError
from sentinel.process import run_as_script

log = logging.getLogger("sentinel.commit")

RETRIES = 5
MAX_WAIT_SECONDS = 16.0


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

    Raises ConfigurationError if the remote rejects the push or the file is damaged, and
    SentinelError if RETRIES more tries fail too.
    """
    path = path.resolve()
    try:
        ours = path.read_text(encoding="utf-8-sig")
        registry = CoinRegistry.from_text(ours)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be committed: {error}") from error
    clone = Clone(path, environ)
    if (head := clone.registry_at("HEAD")) and head.to_text() == registry.to_text():
        return None
    last = ""
    for retry in range(RETRIES + 1):
        if retry:
            sleep(random_between(0.0, min(2.0**retry, MAX_WAIT_SECONDS)))
        try:
            return _publish_once(clone, path, ours, now or datetime.now(UTC))
        except GitError as error:
            last = str(error)
            if error.is_refusal:
                raise ConfigurationError(
                    f"The remote rejects the registry's commit on {clone.branch}: allow "
                    "Actions to write contents and to push to this branch "
                    f"(docs/deploy-github-actions.md). Git's message: {last}"
                ) from error
            log.info("the registry was not pushed (%s): trying again", last)
    raise SentinelError(
        f"The registry could not be pushed in {RETRIES + 1} tries. The next run finds the same "
        f"changes again. Git's last message: {last}"
    )


def _publish_once(clone: Clone, path: Path, ours: str, now: datetime) -> str | None:
    """Merge with the remote's newest registry, commit and push. Raises GitError."""
    tip = clone.fetch()
    theirs = clone.registry_at(tip)
    merged = CoinRegistry.from_text(ours)
    if theirs is not None:
        theirs.discard_future_sync_time(now)
        merged.merge(clone.base_of(tip), theirs)
        if not merged.is_newer_by_a_day(theirs):
            merged.keep_health_only(theirs)
    before = theirs or CoinRegistry()
    subject = None
    if merged.to_text() != before.to_text():
        message = describe_changes(before, merged)
        subject = message.partition("\n")[0]
        tip = clone.commit(tip, merged.to_text(), message)
        clone.push(tip, ours)
    clone.follow(tip, path, ours)
    return subject


def main() -> int:
    """Publish the configured registry; return 0."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.commit_registry",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python -m pipeline.commit_registry; GITHUB_TOKEN is used if it is set",
    )
    parser.parse_args()
    console.configure_logging()
    subject = publish_registry(load_settings().registry_path, os.environ)
    print(subject or "nothing to commit: the registry has not changed")
    return EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
