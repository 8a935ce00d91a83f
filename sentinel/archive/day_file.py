"""The name of an archived day's file: its day, its number of rows and the SHA-256 of its bytes.

`observations-2026-09-21-48000-<64 hex digits>.parquet`: a listing therefore shows what the archive
holds, and a reader recognizes a damaged file before it uses a number from it. The module `parquet`
describes the columns of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

_NAME = re.compile(r"observations-(\d{4}-\d\d-\d\d)-(\d+)-([0-9a-f]{64})\.parquet")


class DayFile(NamedTuple):
    """The file of one day, as its name describes it."""

    day: date
    rows: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's name."""
        return f"observations-{self.day.isoformat()}-{self.rows}-{self.sha256}.parquet"


def index_by_day(files: Iterable[DayFile]) -> dict[date, DayFile]:
    """Return files by their day; of a day with two files the one with more rows."""
    return {file.day: file for file in sorted(files)}


def parse_name(name: str) -> DayFile | None:
    """Return the day file with this name; None if the name is not one of a day file."""
    found = _NAME.fullmatch(name)
    if not found:
        return None
    try:
        return DayFile(date.fromisoformat(found[1]), int(found[2]), found[3])
    except ValueError:
        return None
