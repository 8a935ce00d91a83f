"""The branch `gh-pages` of a remote, which holds the public page in one commit without history.

Each writer owns some files: the scheduled run the pages, the monitor `monitor.json`, the nightly
workflow `simulation.json`. A writer replaces its own files and force-pushes the whole as a new
commit, so the branch never grows. It works in a temporary repository that has neither the history
nor the content of other files: it needs no clone, and changes none.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pipeline.git import BOT_EMAIL, BOT_NAME, Git, GitError, GitRefusal
from sentinel import leftovers
from sentinel.errors import ConfigurationError, SentinelError
from sentinel.site.other_half import FILES, MAX_BYTES
from sentinel.site.status import SIMULATION_FILE

log = logging.getLogger("sentinel.publish")

BRANCH = "gh-pages"
# A branch with none of these files belongs to another page. GitHub itself commits CNAME.
KNOWN_FILES = {*FILES.values(), SIMULATION_FILE}
HARMLESS_FILES = {"CNAME", ".nojekyll"}
RETRIES = 4  # at most three writers meet
MAX_WAIT_SECONDS = 16.0
_REF = f"refs/heads/{BRANCH}"
_COMMIT = "refs/sentinel/page"
_FETCH = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-auto-maintenance")


@dataclass(frozen=True, slots=True)
class PagesBranch:
    """The branch of one remote.

    Its methods raise ConfigurationError if the remote refuses, and SentinelError if git fails.
    """

    # As git takes it. Neither messages nor process lists show a user and a password in it.
    address: str = field(repr=False)
    # git's environment; GITHUB_TOKEN in it is sent to GitHub alone.
    environ: Mapping[str, str] = field(repr=False)
    # Where a relative address begins.
    folder: Path = field(default_factory=Path.cwd)

    @classmethod
    def of_clone(cls, folder: Path, environ: Mapping[str, str]) -> PagesBranch:
        """Return the branch of the remote `origin` of a clone."""
        clone = Git(folder, environ)
        try:
            root = clone.git("rev-parse", "--show-toplevel")
            return cls(clone.git("remote", "get-url", "origin"), environ, Path(root))
        except GitError as error:
            raise ConfigurationError(
                f"{folder} is not in a git clone with a remote: no page can be published from "
                f"there ({error})."
            ) from error

    def read_files(self, names: Collection[str]) -> dict[str, bytes]:
        """Return the content of files by name; missing and oversized ones are left out."""
        with self._errors_explained(), _repository(self) as repository:
            repository.fetch()
            found = {name: repository.get(name) for name in names}
            return {name: content for name, content in found.items() if content is not None}

    def replace_files(
        self,
        make_files: Callable[[Mapping[str, bytes]], Mapping[str, bytes]],
        *,
        keeps: Collection[str] | None = None,
        now: datetime | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random_between: Callable[[float, float], float] = random.uniform,
    ) -> Mapping[str, bytes]:
        """Publish and return the files of `make_files`, which gets those at the top of the branch.

        A file is downloaded when it is read. `keeps` names the files that stay; None: all. If
        another writer was faster, this one fetches the branch and calls `make_files` again, up to
        RETRIES times.
        """
        last = ""
        with self._errors_explained(), _repository(self) as repository:
            for retry in range(RETRIES + 1):
                if retry:
                    sleep(random_between(0.0, min(2.0**retry, MAX_WAIT_SECONDS)))
                try:
                    repository.fetch()
                    repository.refuse_other_page()
                    files = make_files(repository)
                    repository.commit(files, keeps, now or datetime.now(UTC))
                    repository.push()
                except GitRefusal:
                    raise
                except GitError as error:
                    last = str(error)
                    log.info("the page was not pushed (%s): trying again", last)
                else:
                    return files
        raise SentinelError(
            f"The page could not be pushed in {RETRIES + 1} tries. Git's last message: {last}"
        )

    @contextlib.contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except GitRefusal as error:
            raise ConfigurationError(
                f"The remote rejects the page: check its address, and allow Actions, or the owner "
                f"of the token, to write contents and to force-push to {BRANCH} "
                f"(docs/deploy-github-actions.md). Git's message: {error}"
            ) from error
        except GitError as error:
            raise SentinelError(f"The branch {BRANCH} could not be read: {error}") from error


class _Repository(Git, Mapping[str, bytes]):
    """A bare repository that fetches from the branch what is asked for.

    It maps the names at the top of the branch to contents; `get` returns None for a folder, a link
    and an oversized file.
    """

    def __init__(self, branch: PagesBranch, folder: Path) -> None:
        # A remote with this mark sends the content of a file when git needs it.
        remote = {"remote.origin.url": branch.address, "remote.origin.promisor": "true"}
        super().__init__(branch.folder, branch.environ, remote)
        self._environ["GIT_DIR"] = str(folder)
        self.git("init", "--quiet", "--bare", "--template=")
        # The branch's commit and its tree; empty: there is no branch.
        self._tip = self._tree = ""
        # Mode and hash of the files and folders at the top of the branch, by name.
        self._entries: dict[str, str] = {}

    def fetch(self) -> None:
        """Read the newest commit of the branch and the names of its files."""
        self._tip, self._tree, self._entries = "", "", {}
        try:
            self.git(*_FETCH, "--filter=blob:none", "origin", _REF)
        except GitRefusal as error:
            if "couldn't find remote ref" not in str(error):
                raise
            return
        self._tip, self._tree = self.git("rev-parse", "FETCH_HEAD", "FETCH_HEAD^{tree}").split()
        for line in self.git("ls-tree", self._tip).splitlines():
            described, _, name = line.partition("\t")
            mode, _kind, sha = described.split()
            self._entries[name] = f"{mode} {sha}"

    def refuse_other_page(self) -> None:
        """Raise ConfigurationError if the branch holds another page, which would be lost."""
        others = sorted(self._entries.keys() - HARMLESS_FILES)
        if others and not self._entries.keys() & KNOWN_FILES:
            raise ConfigurationError(
                f"The branch {BRANCH} holds another page ({others[0]}), which would be replaced: "
                "delete the branch if you do not need that page, or unset SENTINEL_PUBLIC_PAGE."
            )

    def __getitem__(self, name: str) -> bytes:
        if self._entries[name].startswith("100"):  # no folder, link or submodule
            content = self.run("cat-file", "blob", f"{self._tip}:{name}")
            if len(content) <= MAX_BYTES:
                return content
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def commit(
        self, files: Mapping[str, bytes], keeps: Collection[str] | None, now: datetime
    ) -> None:
        """Create a commit without parent: the files, and what stays of the branch."""
        committer = f"{BOT_NAME} <{BOT_EMAIL}> {now.timestamp():.0f} +0000"
        parts = [f"commit {_COMMIT}\ncommitter {committer}\n".encode(), _data(b"Publish the page")]
        parts.append(self._describe_kept(keeps).encode())
        for path, content in files.items():
            name = json.dumps(path, ensure_ascii=False)  # with the escapes that git knows
            parts += (f"M 100644 inline {name}\n".encode(), _data(content))
        self.git("fast-import", "--quiet", "--force", content=b"".join(parts))

    def _describe_kept(self, keeps: Collection[str] | None) -> str:
        """Return what stays of the branch, as commands of git's fast-import."""
        if keeps is None:
            return f"M 040000 {self._tree} \n" if self._tree else ""
        kept = self._entries.keys() & {*keeps}
        return "".join(f"M {self._entries[name]} {name}\n" for name in sorted(kept))

    def push(self) -> None:
        """Push the commit; GitError if another writer was faster."""
        lease = f"--force-with-lease={_REF}:{self._tip}"
        self.git("push", "--porcelain", "--no-verify", lease, "origin", f"{_COMMIT}:{_REF}")


@contextlib.contextmanager
def _repository(branch: PagesBranch) -> Iterator[_Repository]:
    with leftovers.temporary_folder() as folder:
        yield _Repository(branch, folder)


def _data(content: bytes) -> bytes:
    """Return a content as git's fast-import reads it: its size, then itself."""
    return b"data %d\n%s\n" % (len(content), content)
