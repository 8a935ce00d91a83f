"""Commands of git, and the clone that holds the registry's file.

A change of the registry is committed locally before it is merged, and the branch moves to the
merged commit before the push. So the difference between branch and remote is always what the remote
lacks: a kill at any point, or a push whose response is lost, neither loses a health change nor
counts it twice.
"""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from coin_registry import CoinRegistry
from sentinel.errors import ConfigurationError
from sentinel.files import exclusive_lock
from sentinel.process import defer_signals

GIT_TIMEOUT_SECONDS = 60
MAX_QUOTED_CHARACTERS = 300  # of git's message
MERGED = "refs/sentinel/merged"  # the commit that `commit_onto` created last
# The remote's messages if a retry does not help, and not those of a lost race.
_REFUSALS = re.compile(
    r"^(?!.*(?:fetch first|non-fast-forward|cannot lock ref)).*(?:protected branch|hook declined"
    r"|rule violations|permission|denied|forbidden|\b40[13]\b|not allowed|read.only|archived"
    r"|Authentication failed|could not read Username|repository\s+not found"
    r"|does not appear to be a git repository|couldn't find remote ref)",
    re.IGNORECASE,
)
# Addresses, paths and quoted names in a message: a branch may be called "denied".
_NAMES = re.compile(r"'[^']*'|\S*[/\\]\S*")
# Variables that a surrounding git command sets, for example in a hook. They concern its own clone.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
_NONE: Mapping[str, str] = MappingProxyType({})
BOT_NAME = "github-actions[bot]"
BOT_EMAIL = "41898282+github-actions[bot]@users.noreply.github.com"


class GitError(Exception):
    """A git command failed. The message is its output on one line, without secrets."""


class GitRefusal(GitError):
    """The remote refuses, or git is missing, and a retry does not help."""


class Git:
    """Runs git in a folder. Its methods raise GitError.

    `configuration` holds settings of git by name, such as an address with a password.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str], configuration: Mapping[str, str] = _NONE
    ) -> None:
        own = {name: value for name, value in environ.items() if name not in _FOREIGN}
        self._environ = own | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        self._environ |= _configure(environ, {**_credentials(environ), **configuration})
        self._root = folder

    def git(self, *arguments: str, content: str | bytes = "") -> str:
        """Run git with `content` as input and return its output."""
        return self.run(*arguments, content=content).decode(errors="replace").rstrip("\n")

    def run(self, *arguments: str, content: str | bytes = "") -> bytes:
        """Run git with `content` as input and return its output, which may be a file's bytes."""
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self._root,
                env=self._environ,
                input=content.encode() if isinstance(content, str) else content,
                capture_output=True,
                check=False,
                timeout=GIT_TIMEOUT_SECONDS,
            )
        except FileNotFoundError as error:
            raise GitRefusal(f"git {arguments[0]} did not run: {error}") from error
        except subprocess.TimeoutExpired as error:
            raise GitError(f"git {arguments[0]} did not end: {error}") from error
        if done.returncode:
            output = (done.stdout + done.stderr).decode(errors="replace")
            # A remote's address may hold a password.
            text = " ".join(re.sub(r"//[^/\s]*@", "//***@", output).split())
            kind = GitRefusal if _REFUSALS.search(_NAMES.sub("", text)) else GitError
            raise kind(text[:MAX_QUOTED_CHARACTERS])
        return done.stdout


class Clone(Git):
    """The git clone that holds a registry's file."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        super().__init__(path.parent, environ)
        try:
            self._root = Path(self.git("rev-parse", "--show-toplevel", "HEAD").splitlines()[0])
            self.branch = self.git("symbolic-ref", "HEAD").removeprefix("refs/heads/")
            self.file = path.relative_to(self._root.resolve()).as_posix()
        except (GitError, ValueError) as error:
            raise ConfigurationError(
                f"{path} is not in a git clone with a commit on a checked-out branch: there is "
                f"nothing to commit to ({error})."
            ) from error
        if not self.git("config", "--get", "--default=", "user.email"):
            for role in ("AUTHOR", "COMMITTER"):
                self._environ |= {f"GIT_{role}_NAME": BOT_NAME, f"GIT_{role}_EMAIL": BOT_EMAIL}

    def registry_at(self, commit: str) -> CoinRegistry | None:
        """Return the registry of a commit; None if it is missing or damaged."""
        found = self.git("cat-file", "--batch", content=f"{commit}:{self.file}")
        header, _, text = found.partition("\n")
        if header.endswith(" missing"):
            return None
        try:
            return CoinRegistry.from_text(text.removeprefix("\ufeff"))
        except ValueError:
            return None

    def fetch(self) -> str:
        """Return the newest commit of the remote's branch.

        Raises ConfigurationError if the branch has commits of a person that the remote lacks.
        """
        self.git("fetch", "--quiet", "origin", f"refs/heads/{self.branch}")
        tip = self.git("rev-parse", "FETCH_HEAD")
        others = ("--", ".", f":(exclude){self.file}")
        if found := self.git("log", "-1", "--format=%h %s", f"{tip}..HEAD", *others):
            raise ConfigurationError(
                f"The branch {self.branch} has commits that the remote lacks ({found}): push them "
                "(git pull --rebase, git push), then commit the registry again."
            )
        return tip

    def commit_file(self) -> None:
        """Commit the registry's file to the branch; git then refuses to overwrite later changes."""
        if self.git("status", "--porcelain", "--", self.file):
            self.git("add", "--", self.file)
            options = ("--quiet", "--only", "--no-verify", "--no-gpg-sign", "--message=Registry")
            self.git("commit", *options, "--", self.file)

    def commit_onto(self, parent: str, text: str, message: str) -> str:
        """Create a commit that changes only the registry's file of `parent`; return its name."""
        header = f"commit {MERGED}\ncommitter {self.git('var', 'GIT_COMMITTER_IDENT')}\n"
        change = f"from {parent}\nM 100644 inline {self.file}\n"
        stream = header + _data(message) + change + _data(text)
        self.git("fast-import", "--quiet", "--force", content=stream)
        return MERGED

    def move_to(self, commit: str) -> None:
        """Move branch and work tree to a commit. Other local changes stay.

        Raises ConfigurationError if a file with local changes would be overwritten.
        """
        try:
            with exclusive_lock(self._root.resolve() / self.file), defer_signals():
                self.git("reset", "--quiet", "--keep", commit)
        except GitError as error:
            if f"'{self.file}'" in str(error):  # a run changed it meanwhile: try again
                raise
            raise ConfigurationError(
                "The remote changed a file that has local changes: commit or stash them, then "
                f"commit the registry again. Git's message: {error}"
            ) from error
        except OSError as error:
            raise GitError(f"{self.file} cannot be locked ({error.strerror})") from error

    def push(self) -> None:
        """Push the branch; GitError if another push was faster."""
        target = f"HEAD:refs/heads/{self.branch}"
        self.git("push", "--porcelain", "--no-verify", "--no-follow-tags", "origin", target)


def _data(text: str) -> str:
    """Return a text as git's fast-import reads it: its size in bytes, then itself."""
    return f"data {len(text.encode())}\n{text}\n"


def _credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Return GITHUB_TOKEN as a setting of git: an http header for GitHub alone."""
    if not (token := environ.get("GITHUB_TOKEN")):
        return {}
    server = environ.get("GITHUB_SERVER_URL", "https://github.com")
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {f"http.{server}/.extraheader": f"AUTHORIZATION: basic {basic}"}


def _configure(environ: Mapping[str, str], configuration: Mapping[str, str]) -> dict[str, str]:
    """Return settings of git in variables, because every process can read arguments."""
    count = int(environ.get("GIT_CONFIG_COUNT", "0"))
    variables = {"GIT_CONFIG_COUNT": str(count + len(configuration))}
    for number, (name, value) in enumerate(configuration.items(), count):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
