"""The git clone that holds the registry's file.

It reads the file of any commit, commits beside the work tree, pushes, and updates the clone without
losing local work.
"""

from __future__ import annotations

import base64
import logging
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from coin_registry import CoinRegistry
from sentinel.errors import ConfigurationError
from sentinel.process import defer_signals

log = logging.getLogger("sentinel.clone")

REMOTE = "origin"
GIT_TIMEOUT_SECONDS = 60
MAX_QUOTED_CHARACTERS = 300  # of git's message
# The last commit that this clone pushed, and the registry's file at that time. Every difference
# from that file is new, even if the response to the push was lost.
PUSHED = "refs/sentinel/pushed"
AS_PUSHED = "refs/sentinel/as-pushed"
# The remote's messages if another push was faster, and if a retry does not help.
_RACES = re.compile(r"fetch first|non-fast-forward|stale info|cannot lock ref|failed to update ref")
_REFUSALS = re.compile(
    r"protected branch|hook declined|permission|denied|forbidden|\b40[13]\b|not allowed"
    r"|could not read Username|Authentication failed|read.only|archived"
    r"|does not appear to be a git repository|No such remote",
    re.IGNORECASE,
)
# Variables that a surrounding git command sets, for example in a hook. They concern its own clone.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
_BOT = {
    "GIT_AUTHOR_NAME": "github-actions[bot]",
    "GIT_AUTHOR_EMAIL": "41898282+github-actions[bot]@users.noreply.github.com",
}


class GitError(Exception):
    """A git command failed. The message is its output on one line, without secrets."""

    def __str__(self) -> str:
        text = super().__str__()
        is_short = len(text) <= MAX_QUOTED_CHARACTERS
        return text if is_short else f"{text[:MAX_QUOTED_CHARACTERS]}…"

    @property
    def is_lost_race(self) -> bool:
        """Whether a push failed because another one was faster."""
        return bool(_RACES.search(self._text_without_paths()))

    @property
    def is_refusal(self) -> bool:
        """Whether a retry does not help."""
        return bool(_REFUSALS.search(self._text_without_paths())) and not self.is_lost_race

    def _text_without_paths(self) -> str:
        """Return the message without addresses and paths: a branch may be called "denied"."""
        return re.sub(r"'[^']*'|\S*[/\\]\S*", "", super().__str__())


class Clone:
    """The git clone that holds a registry's file."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        own = {name: value for name, value in environ.items() if name not in _FOREIGN}
        self._environ = {**own, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        self._root = path.parent
        try:
            self._root = Path(self.git("rev-parse", "--show-toplevel")).resolve()
            self.branch = self.git("symbolic-ref", "HEAD").removeprefix("refs/heads/")
            self.git("rev-parse", "--verify", "HEAD")
            self.file = path.relative_to(self._root).as_posix()
        except (GitError, ValueError) as error:
            raise ConfigurationError(
                f"{path} is not in a git clone with a commit on a checked-out branch: there is "
                f"nothing to commit to ({error})."
            ) from error
        self._environ |= self._identity() | _credentials(environ)

    def git(self, *arguments: str, content: str | None = None, **environ: str) -> str:
        """Run git and return its output. Raises GitError."""
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self._root,
                env={**self._environ, **environ},
                input=content,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                check=False,
                timeout=GIT_TIMEOUT_SECONDS,
            )
        except FileNotFoundError as error:
            raise ConfigurationError("git is not installed: the registry stays local.") from error
        except subprocess.TimeoutExpired as error:
            raise GitError(
                f"git {arguments[0]} took longer than {GIT_TIMEOUT_SECONDS} s"
            ) from error
        if done.returncode:
            raise GitError(_remove_secrets(done.stdout + done.stderr))
        return done.stdout.rstrip("\n")

    def _succeeds(self, *arguments: str) -> bool:
        """Whether a git command succeeds."""
        try:
            self.git(*arguments)
        except GitError:
            return False
        return True

    def _identity(self) -> dict[str, str]:
        """Return the committer's variables: none if the clone has a user, else the Actions bot."""
        if self._succeeds("config", "user.email"):
            return {}
        return _BOT | {name.replace("AUTHOR", "COMMITTER"): _BOT[name] for name in _BOT}

    def registry_at(self, commit: str) -> CoinRegistry | None:
        """Return the registry of a commit; None if it is missing or damaged. Raises GitError."""
        if not self.git("ls-tree", commit, "--", self.file):
            return None
        try:
            return CoinRegistry.from_text(self.git("show", f"{commit}:{self.file}"))
        except ValueError:
            return None

    def fetch(self) -> str:
        """Fetch the remote's branch and return its newest commit; ours if the branch is new."""
        try:
            self.git("fetch", "--quiet", REMOTE, f"refs/heads/{self.branch}")
        except GitError as error:
            if "couldn't find remote ref" in str(error):
                return self.git("rev-parse", "HEAD")
            raise
        return self.git("rev-parse", "FETCH_HEAD")

    def has_landed(self, tip: str) -> bool:
        """Whether the remote has the last commit that this clone pushed."""
        return self._succeeds("merge-base", "--is-ancestor", PUSHED, tip)

    def base_of(self, tip: str) -> CoinRegistry:
        """Return the last registry that file and remote had in common; empty if there is none."""
        if self.has_landed(tip):
            return CoinRegistry.from_text(self.git("cat-file", "blob", AS_PUSHED))
        try:
            common = self.git("merge-base", "HEAD", tip)
        except GitError:
            common = "HEAD"
        return self.registry_at(common) or CoinRegistry()

    def commit(self, parent: str, text: str, message: str) -> str:
        """Create a commit on `parent` that changes only the registry's file, and return its id."""
        blob = self.git("hash-object", "-w", "--stdin", content=text)
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self.git("read-tree", parent, **index)
            self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{self.file}", **index)
            tree = self.git("write-tree", **index)
        return self.git("commit-tree", tree, "-p", parent, "-F", "-", content=message)

    def push(self, commit: str, ours: str) -> None:
        """Push a commit. `ours` is the text of the file that it was made from. Raises GitError."""
        before = {ref: self._read_ref(ref) for ref in (PUSHED, AS_PUSHED)}
        blob = self.git("hash-object", "-w", "--stdin", content=ours)
        self._write_refs({PUSHED: commit, AS_PUSHED: blob})
        target = f"{commit}:refs/heads/{self.branch}"
        try:
            self.git("push", "--porcelain", "--no-verify", "--no-follow-tags", REMOTE, target)
        except GitError as error:
            if error.is_lost_race:
                self._write_refs(before)
            raise

    def _read_ref(self, ref: str) -> str:
        """Return what one of our refs points to; empty if it does not exist."""
        return self.git("for-each-ref", "--format=%(objectname)", ref)

    def _write_refs(self, values: Mapping[str, str]) -> None:
        """Write our refs; those with an empty value are deleted."""
        for ref, value in values.items():
            self.git("update-ref", *((ref, value) if value else ("-d", ref)))

    def follow(self, tip: str, path: Path, ours: str) -> None:
        """Update the clone to the pushed commit, unless it has commits of its own.

        Other local changes stay.
        """
        if path.read_text(encoding="utf-8-sig") != ours:
            log.info("%s was changed meanwhile: the next commit includes the changes", path)
            return
        if not self._succeeds("merge-base", "--is-ancestor", "HEAD", tip):
            log.warning("the clone has commits that the remote has not: run git pull --rebase")
            return
        try:
            with defer_signals():  # halfway, the old file would look like new changes
                self._reset(tip, path)
        except GitError as error:
            path.write_text(ours, encoding="utf-8")
            log.warning(
                "the clone stays behind the remote (%s): run git pull",
                error,
            )
            return
        self._write_refs({PUSHED: "", AS_PUSHED: ""})

    def _reset(self, tip: str, path: Path) -> None:
        """Move branch and work tree; git refuses if local changes would be lost."""
        path.unlink()
        if self.git("ls-tree", "HEAD", "--", self.file):
            self.git("checkout", "--quiet", "HEAD", "--", self.file)
        self.git("reset", "--quiet", "--keep", tip)


def _credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Return GITHUB_TOKEN as an http header for git, in variables.

    An argument would be visible to every process of the machine.
    """
    token = environ.get("GITHUB_TOKEN")
    if not token:
        return {}
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    count = environ.get("GIT_CONFIG_COUNT", "0")
    return {
        "GIT_CONFIG_COUNT": str(int(count) + 1),
        f"GIT_CONFIG_KEY_{count}": f"http.{server}/.extraheader",
        f"GIT_CONFIG_VALUE_{count}": f"AUTHORIZATION: basic {basic}",
    }


def _remove_secrets(text: str) -> str:
    """Return git's output on one line. A remote's address may hold a password."""
    return " ".join(re.sub(r"//[^/\s]*@", "//***@", text).split())
