"""Where both halves publish their status documents: SENTINEL_PUBLISH_URL.

A folder or an object store holds them as files. An address that ends in `.git` is a repository,
whose branch `gh-pages` holds them beside the public page.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from pipeline.pages_branch import BRANCH, PagesBranch
from safe_zone import Settings
from sentinel.errors import ConfigurationError
from sentinel.fields import complete_path
from sentinel.file_store import FileStore, find_folder
from sentinel.site.other_half import MAX_BYTES

VARIABLE = "SENTINEL_PUBLISH_URL"
_PASSWORD = re.compile(r"https://[^/]*@|[a-z]+://[^/@]*:[^/@]*@")
_REMOTE = re.compile(r"(https|ssh)://|[^/\\:]+@[^/\\:]+:")  # or a path


class PublishPlace(Protocol):
    """A place that both halves write to. Its methods raise SentinelError and OSError."""

    @property
    def location(self) -> str:
        """The address, for messages."""

    def read(self, name: str) -> bytes | None:
        """Return a file; None if it is missing. It may be cut after MAX_BYTES."""

    def exchange(self, name: str, content: bytes, other: str) -> bytes | None:
        """Write a file and return another one; None if that is missing."""


@dataclass(frozen=True, slots=True)
class StorePlace:
    """A folder or an object store."""

    store: FileStore

    @property
    def location(self) -> str:
        """The folder or the address."""
        return self.store.location

    def read(self, name: str) -> bytes | None:
        """Return a file; None if it is missing."""
        return self.store.read_file(name, MAX_BYTES + 1)

    def exchange(self, name: str, content: bytes, other: str) -> bytes | None:
        """Write a file and return another one; None if that is missing."""
        self.store.write_file(name, content)
        return self.read(other)


@dataclass(frozen=True, slots=True)
class BranchPlace:
    """The branch of the public page in a repository."""

    branch: PagesBranch

    @property
    def location(self) -> str:
        """The branch and the address of the repository."""
        return f"{BRANCH} of {self.branch.address}"

    def read(self, name: str) -> bytes | None:
        """Return a file; None if it is missing or too large."""
        return self.branch.read_files([name]).get(name)

    def exchange(self, name: str, content: bytes, other: str) -> bytes | None:
        """Replace one file of the branch and return another one; None if that is missing."""
        found: bytes | None = None

        def make(read: Mapping[str, bytes]) -> Mapping[str, bytes]:
            nonlocal found
            found = read.get(other)
            return {name: content}

        self.branch.replace_files(make)
        return found


def open_place(settings: Settings, environ: Mapping[str, str] = os.environ) -> PublishPlace | None:
    """Return the place of SENTINEL_PUBLISH_URL, or None if it is not set.

    Sends no request. Raises ConfigurationError.
    """
    url = settings.publish_url
    if not url:
        return None
    if url.endswith(".git"):
        address = _check_repository(url)
        return BranchPlace(PagesBranch(address, _git_environ(settings, address, environ)))
    if re.match("https?://", url):
        raise ConfigurationError(
            f"{VARIABLE} is a web address: add .git if it is that of a repository"
        )
    return StorePlace(FileStore(url, find_folder(VARIABLE, url)))


def _check_repository(url: str) -> str:
    """Return the address of a repository as git takes it. Raises ConfigurationError."""
    if shutil.which("git") is None:
        raise ConfigurationError(f"{VARIABLE} names a repository, but git is not installed")
    if url.startswith("http://"):
        raise ConfigurationError(f"{VARIABLE} would send the token openly: write https://")
    if _PASSWORD.match(url):
        raise ConfigurationError(
            f"{VARIABLE} holds a user or a password: set SENTINEL_PUBLISH_TOKEN instead"
        )
    if _REMOTE.match(url):
        return url
    try:
        return str(complete_path(Path(url)))  # git runs in another folder
    except ValueError as error:
        raise ConfigurationError(f"{VARIABLE} {error}") from error


def _git_environ(settings: Settings, address: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return git's environment. The token is sent to the address's own server alone."""
    own = {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes", **environ}
    if settings.publish_token:
        parts = urlsplit(address)
        own["GITHUB_TOKEN"] = settings.publish_token
        own["GITHUB_SERVER_URL"] = f"{parts.scheme}://{parts.netloc}"
    return own
