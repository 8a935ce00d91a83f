"""A git clone that holds the registry's file: reading it anywhere, committing beside the work tree,
pushing, and following the remote without costing anybody's work."""

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
LONGEST_QUOTE = 300  # characters of what git said
# The last commit that was pushed from here, and the registry's file as it was then: what the file
# holds besides that is new, whatever became of the answer to the push.
PUSHED = "refs/sentinel/pushed"
AS_PUSHED = "refs/sentinel/as-pushed"
# What a remote says when another push was faster, and when asking again will not help.
_RACES = re.compile(r"fetch first|non-fast-forward|stale info|cannot lock ref|failed to update ref")
_REFUSALS = re.compile(
    r"protected branch|hook declined|permission|denied|forbidden|\b40[13]\b|not allowed"
    r"|could not read Username|Authentication failed|read.only|archived"
    r"|does not appear to be a git repository|No such remote",
    re.IGNORECASE,
)
# What a surrounding git command leaves in the environment, a hook for instance: not about us.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
_BOT = {
    "GIT_AUTHOR_NAME": "github-actions[bot]",
    "GIT_AUTHOR_EMAIL": "41898282+github-actions[bot]@users.noreply.github.com",
}


class GitError(Exception):
    """A git command failed; the message is all that it said, on one line, without secrets."""

    def __str__(self) -> str:
        said = super().__str__()
        return said if len(said) <= LONGEST_QUOTE else f"{said[:LONGEST_QUOTE]}…"

    @property
    def is_lost_race(self) -> bool:
        """Whether a push did not land because another was faster."""
        return bool(_RACES.search(self._words()))

    @property
    def is_refusal(self) -> bool:
        """Whether asking again will not help."""
        return bool(_REFUSALS.search(self._words())) and not self.is_lost_race

    def _words(self) -> str:
        """What was said without addresses and paths, whose words say nothing."""
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
                f"{path} lies in no git clone with a branch checked out and a commit on it: there "
                f"is nothing to commit to ({error})."
            ) from error
        self._environ |= self._identity() | _credentials(environ)

    def git(self, *arguments: str, content: str | None = None, **environ: str) -> str:
        """Run git and return what it says. Raises GitError."""
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
            raise GitError(f"git {arguments[0]} took too long") from error
        if done.returncode:
            raise GitError(_without_secrets(done.stdout + done.stderr))
        return done.stdout.rstrip("\n")

    def _agrees(self, *arguments: str) -> bool:
        """Whether git answers a question with yes."""
        try:
            self.git(*arguments)
        except GitError:
            return False
        return True

    def _identity(self) -> dict[str, str]:
        """Who commits: whoever the clone says, else the Actions bot."""
        if self._agrees("config", "user.email"):
            return {}
        return _BOT | {name.replace("AUTHOR", "COMMITTER"): _BOT[name] for name in _BOT}

    def registry_at(self, commit: str) -> CoinRegistry | None:
        """The registry of a commit; None where it has none or a damaged one. Raises GitError."""
        if not self.git("ls-tree", commit, "--", self.file):
            return None
        try:
            return CoinRegistry.from_text(self.git("show", f"{commit}:{self.file}"))
        except ValueError:
            return None

    def fetch(self) -> str:
        """Fetch the remote's branch and return its newest commit; ours where it has none yet."""
        try:
            self.git("fetch", "--quiet", REMOTE, f"refs/heads/{self.branch}")
        except GitError as error:
            if "couldn't find remote ref" in str(error):
                return self.git("rev-parse", "HEAD")
            raise
        return self.git("rev-parse", "FETCH_HEAD")

    def has_landed(self, tip: str) -> bool:
        """Whether the last push from here is part of what the remote has."""
        return self._agrees("merge-base", "--is-ancestor", PUSHED, tip)

    def base_of(self, tip: str) -> CoinRegistry:
        """What the registry's file and the remote have in common; empty where that is nothing."""
        if self.has_landed(tip):
            return CoinRegistry.from_text(self.git("cat-file", "blob", AS_PUSHED))
        try:
            common = self.git("merge-base", "HEAD", tip)
        except GitError:
            common = "HEAD"
        return self.registry_at(common) or CoinRegistry()

    def commit(self, parent: str, text: str, message: str) -> str:
        """A commit on `parent` that changes the registry's file and nothing else."""
        blob = self.git("hash-object", "-w", "--stdin", content=text)
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            self.git("read-tree", parent, **index)
            self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{self.file}", **index)
            tree = self.git("write-tree", **index)
        return self.git("commit-tree", tree, "-p", parent, "-F", "-", content=message)

    def push(self, commit: str, ours: str) -> None:
        """Make a commit the remote's newest; `ours` is the file it came from. Raises GitError."""
        before = {ref: self._value(ref) for ref in (PUSHED, AS_PUSHED)}
        blob = self.git("hash-object", "-w", "--stdin", content=ours)
        self._remember({PUSHED: commit, AS_PUSHED: blob})
        target = f"{commit}:refs/heads/{self.branch}"
        try:
            self.git("push", "--porcelain", "--no-verify", "--no-follow-tags", REMOTE, target)
        except GitError as error:
            if error.is_lost_race:
                self._remember(before)
            raise

    def _value(self, ref: str) -> str:
        """What a ref of ours points to, empty where there is none."""
        return self.git("for-each-ref", "--format=%(objectname)", ref)

    def _remember(self, values: Mapping[str, str]) -> None:
        """Set refs of ours; those without a value go."""
        for ref, value in values.items():
            self.git("update-ref", *((ref, value) if value else ("-d", ref)))

    def follow(self, tip: str, path: Path, ours: str) -> None:
        """Bring the clone to what the remote has, if it has nothing of its own; what else was
        changed here stays."""
        if path.read_text(encoding="utf-8-sig") != ours:
            log.info("%s was written meanwhile: the next commit takes it from there", path)
            return
        if not self._agrees("merge-base", "--is-ancestor", "HEAD", tip):
            log.warning("the clone has commits that the remote has not: git pull --rebase")
            return
        try:
            with defer_signals():  # half-way through, the old file would look like new verdicts
                self._reset(tip, path)
        except GitError as error:
            path.write_text(ours, encoding="utf-8")
            log.warning(
                "the clone stays behind the remote (%s): git pull brings it there",
                error,
            )
            return
        self._remember({PUSHED: "", AS_PUSHED: ""})

    def _reset(self, tip: str, path: Path) -> None:
        """Move branch and work tree; git refuses where that would cost somebody's changes."""
        path.unlink()
        if self.git("ls-tree", "HEAD", "--", self.file):
            self.git("checkout", "--quiet", "HEAD", "--", self.file)
        self.git("reset", "--quiet", "--keep", tip)


def _credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """A token of the environment as a header for git, through its environment: arguments can be
    seen by every process."""
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


def _without_secrets(said: str) -> str:
    """What git said, on one line; a remote's address may hold a password."""
    return " ".join(re.sub(r"//[^/\s]*@", "//***@", said).split())
