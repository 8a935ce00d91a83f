"""The words of the public page for codes. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from sentinel.site.status import Maker


def describe_maker(maker: Maker) -> str:
    """Return who made a document."""
    return "the scheduled job" if maker == "schedule" else "the monitor"


def name_repository(url: str) -> str:
    """Return OWNER/NAME of a repository's address."""
    return urlsplit(url).path.strip("/")
