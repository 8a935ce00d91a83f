"""The place and name of an archived day's file: its day, number of rows and SHA-256.

`observations/month=2026-09/observations-2026-09-21-48000-<64 hex digits>.parquet`: a listing
therefore shows what the archive holds, and a reader recognizes a damaged file before it uses a
number from it. Other tools skip months by the folder's name. Version 1 kept all files in one
folder. The module `parquet` describes the columns of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

FOLDER = "observations"  # of the archive; the folders of the months are in it
_NAME = re.compile(r"observations-(\d{4}-\d\d-\d\d)-(\d+)-([0-9a-f]{64})\.parquet")


class DayFile(NamedTuple):
    """The file of one day, as its name describes it."""

    day: date
    rows: int
    sha256: str
    # Whether it lies in the folder of its month. Archives of version 1 have all files in one.
    is_in_month: bool = True

    @property
    def name(self) -> str:
        """The file's name."""
        return f"observations-{self.day.isoformat()}-{self.rows}-{self.sha256}.parquet"

    @property
    def path(self) -> str:
        """The file's path in the archive."""
        return f"{FOLDER}/month={self.day:%Y-%m}/{self.name}" if self.is_in_month else self.name


def index_by_day(files: Iterable[DayFile]) -> dict[date, DayFile]:
    """Return files by their day; of a day with two files the one with more rows."""
    return {file.day: file for file in sorted(files)}


def parse_path(path: str) -> DayFile | None:
    """Return the day file at a path in the archive; None if that is not the path of a day file."""
    found = _NAME.fullmatch(path.rpartition("/")[2])
    if not found:
        return None
    try:
        file = DayFile(date.fromisoformat(found[1]), int(found[2]), found[3], "/" in path)
    except ValueError:
        return None
    return file if file.path == path else None
