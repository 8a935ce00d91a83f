"""Commit the registry's verdicts and push them, whoever else does so at the same time.

The commit is built beside the work tree, on top of what the remote has: when another run was
faster, the two registries are merged coin by coin and it is tried again. Nothing else in the clone
is touched.
"""

from __future__ import annotations

import argparse
import base64
import logging
import os
import random
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import console
from coin_registry import CoinRegistry
from errors import EXIT_OK, ConfigurationError, SentinelError, run_as_script
from registry_changes import describe
from safe_zone import load_settings

log = logging.getLogger("sentinel.commit")

REMOTE = "origin"
RETRIES = 5
LONGEST_WAIT_SECONDS = 16.0
GIT_TIMEOUT_SECONDS = 60
# What a remote says when asking again will not help.
_REFUSALS = re.compile(
    r"protected branch|hook declined|permission|denied|forbidden|\b40[13]\b|not allowed"
    r"|could not read Username|Authentication failed|read.only|archived",
    re.IGNORECASE,
)
# What actions/checkout would have left in the clone's settings, given to git for one call.
_BOT = {
    "GIT_AUTHOR_NAME": "github-actions[bot]",
    "GIT_AUTHOR_EMAIL": "41898282+github-actions[bot]@users.noreply.github.com",
}


class _GitError(Exception):
    """A git command failed; the message is what it said."""


class Clone:
    """The git clone that holds a registry's file."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self._environ = {**environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        self._root = path.parent
        try:
            self._root = Path(self.git("rev-parse", "--show-toplevel"))
            self.branch = self.git("symbolic-ref", "--short", "HEAD")
        except _GitError as error:
            raise ConfigurationError(
                f"{path} lies in no git clone with a branch checked out ({error}): there is "
                "nothing to commit it to."
            ) from error
        self.file = path.resolve().relative_to(self._root.resolve()).as_posix()
        self._environ |= self._identity() | _credentials(environ)

    def git(self, *arguments: str, content: str | None = None, **environ: str) -> str:
        """Run git and return what it says. Raises _GitError."""
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self._root,
                env={**self._environ, **environ},
                input=content,
                capture_output=True,
                text=True,
                check=False,
                timeout=GIT_TIMEOUT_SECONDS,
            )
        except FileNotFoundError as error:
            raise ConfigurationError("git is not installed: the registry stays local.") from error
        except subprocess.TimeoutExpired as error:
            raise _GitError(f"git {arguments[0]} took too long") from error
        if done.returncode:
            raise _GitError(_without_secrets(done.stderr + done.stdout))
        return done.stdout.rstrip("\n")

    def _identity(self) -> dict[str, str]:
        """Who commits: whoever the clone says, else the Actions bot."""
        try:
            self.git("config", "user.email")
        except _GitError:
            return _BOT | {name.replace("AUTHOR", "COMMITTER"): _BOT[name] for name in _BOT}
        return {}

    def registry_at(self, commit: str) -> CoinRegistry:
        """The registry of a commit; empty where it has none or a damaged one."""
        try:
            return CoinRegistry.from_text(self.git("show", f"{commit}:{self.file}"))
        except (_GitError, ValueError):
            return CoinRegistry()

    def fetch(self) -> str:
        """Fetch the remote's branch and return its newest commit; ours where it has none yet."""
        try:
            self.git("fetch", "--quiet", REMOTE, f"refs/heads/{self.branch}")
        except _GitError as error:
            if "couldn't find remote ref" in str(error):
                return self.git("rev-parse", "HEAD")
            raise
        return self.git("rev-parse", "FETCH_HEAD")

    def commit(self, parent: str, text: str, message: str) -> str:
        """A commit on `parent` that changes the registry's file and nothing else."""
        blob = self.git("hash-object", "-w", "--stdin", content=text)
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self.git("read-tree", parent, **index)
            self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{self.file}", **index)
            tree = self.git("write-tree", **index)
        return self.git("commit-tree", tree, "-p", parent, "-F", "-", content=message)

    def push(self, commit: str) -> None:
        """Make a commit the remote's newest. Raises _GitError."""
        self.git("push", "--porcelain", REMOTE, f"{commit}:refs/heads/{self.branch}")

    def follow(self, commit: str, path: Path) -> None:
        """Bring the clone to a commit that the remote has; what else was changed here stays."""
        try:
            path.unlink()
            self.git("checkout", "--quiet", "HEAD", "--", self.file)
        except (_GitError, OSError):
            log.info("%s is new in this clone", self.file)
        try:
            self.git("reset", "--quiet", "--keep", commit)
        except _GitError as error:
            log.warning("the clone stays behind the remote (%s): git pull brings it there", error)


def _credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """A token of the environment as a header for git, through its environment: arguments can be
    seen by every process."""
    token = environ.get("GITHUB_TOKEN")
    if not token:
        return {}
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{server}/.extraheader",
        "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {basic}",
    }


def _without_secrets(said: str) -> str:
    """What git said, on one line; a remote's address may hold a password."""
    return " ".join(re.sub(r"//[^/@\s]+@", "//***@", said).split())[:400]


def publish(
    path: Path,
    environ: Mapping[str, str],
    *,
    sleep: Callable[[float], None] = time.sleep,
    dice: Callable[[float, float], float] = random.uniform,
) -> str | None:
    """Commit and push the registry at `path`; returns the commit's subject, None where the remote
    has it all already.

    Raises ConfigurationError where the remote refuses or the file is damaged, SentinelError where
    RETRIES more tries were lost too.
    """
    try:
        ours = path.read_text(encoding="utf-8-sig")
        CoinRegistry.from_text(ours)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be committed: {error}") from error
    clone = Clone(path, environ)
    base = clone.registry_at("HEAD")
    if CoinRegistry.from_text(ours).to_text() == base.to_text():
        return None
    last = ""
    for retry in range(RETRIES + 1):
        if retry:
            sleep(dice(0.0, min(2.0**retry, LONGEST_WAIT_SECONDS)))
        try:
            return _publish_once(clone, path, base, CoinRegistry.from_text(ours))
        except _GitError as error:
            if _REFUSALS.search(str(error)):
                raise ConfigurationError(
                    f"The remote refuses the registry's commit on {clone.branch} ({error}). Allow "
                    "Actions to write contents and to push to this branch: docs/runbook.md."
                ) from error
            log.info("the registry was not pushed (%s): once more", error)
            last = str(error)
    raise SentinelError(
        f"The registry could not be pushed in {RETRIES + 1} tries ({last}). The next runs come to "
        "the same verdicts again."
    )


def _publish_once(clone: Clone, path: Path, base: CoinRegistry, merged: CoinRegistry) -> str | None:
    """Merge with the remote as it is now, commit, push. Raises _GitError."""
    tip = clone.fetch()
    theirs = clone.registry_at(tip)
    merged.merge(base, theirs)
    if not merged.is_newer_by_a_day(theirs):
        merged.keep_verdicts_only(theirs)
    message = describe(theirs, merged)
    if merged.to_text() != theirs.to_text():
        tip = clone.commit(tip, merged.to_text(), message)
        clone.push(tip)
    else:
        message = ""
    clone.follow(tip, path)
    return message.partition("\n")[0] or None


def main() -> int:
    """Publish the configured registry; returns 0."""
    parser = argparse.ArgumentParser(
        prog="commit_registry.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: python commit_registry.py; GITHUB_TOKEN is used where it is set",
    )
    parser.parse_args()
    console.speak_through_logging()
    subject = publish(load_settings().registry_path, os.environ)
    print(subject or "nothing to commit: the registry is as it was")
    return EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
