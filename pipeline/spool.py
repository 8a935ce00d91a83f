"""The spool: fetched data on disk, on its way from CoinGecko to the database.

A run writes each response here as soon as it is validated, and removes it after the commit. A kill,
a database that is down or a full quota therefore loses nothing: the next run drains the file.
Each file is one response and is written whole or not at all. A line is a row, a rejection or an
exchange rate as a JSON list.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, FiniteFloat, TypeAdapter

from sentinel import files
from sentinel.models import FxRate, MarketRow, Rejection, Source
from sentinel.process import defer_signals

log = logging.getLogger("sentinel.spool")

Item = MarketRow | Rejection | FxRate
_CLASSES: dict[str, type[Item]] = {"row": MarketRow, "rejection": Rejection, "rate": FxRate}
_KINDS = {item_class: kind for kind, item_class in _CLASSES.items()}
_ROW_PREFIX = b'["row"'
LEFT_OUT = "%s: %d entries beyond the retention or in the future were not loaded; the file %s"
# PostgreSQL cannot store NUL characters. Lone surrogates are no valid JSON for pydantic.
_Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
_Moment = Annotated[AwareDatetime, AfterValidator(lambda at: at.astimezone(UTC))]
_OptionalFloat = FiniteFloat | None
# Every field of a line is checked: a line may have been damaged on disk, and PostgreSQL would
# reject the whole transaction.
_LINE = TypeAdapter[tuple[Any, ...]](
    tuple[Literal["row"], _Text, _Moment, FiniteFloat, _OptionalFloat, _OptionalFloat, Source]
    | tuple[Literal["rejection"], _Text, _Text, _Text, _Text, _Moment]
    | tuple[Literal["rate"], _Moment, _Text, FiniteFloat],
    config=ConfigDict(strict=True),
)


class LoadWindow(NamedTuple):
    """Which rows and exchange rates of the spool are loaded: those observed within the window."""

    oldest: datetime
    newest: datetime
    # Whether CoinGecko confirmed the time. If not, a file with other rows waits for a later run.
    is_confirmed: bool

    def includes(self, item: Item) -> bool:
        """Whether an item is loaded; rejections always are."""
        return isinstance(item, Rejection) or self.oldest <= item.observed_at <= self.newest


def _to_line(item: Item) -> str:
    fields = item if isinstance(item, MarketRow) else dataclasses.astuple(item)
    return json.dumps([_KINDS[type(item)], *fields], default=datetime.isoformat) + "\n"


def _from_line(line: bytes) -> Item:
    """Return the item of a line. Raises ValueError or OverflowError if the line is damaged."""
    kind, *fields = _LINE.validate_json(line)
    return _CLASSES[kind](*fields)


class Spool:
    """The files of one folder. A run locks its own files, so that no other run drains them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # This run's files, each with its lock.
        self._own: dict[Path, contextlib.ExitStack] = {}
        self._damaged: set[Path] = set()
        # How many items of a file lie outside the window.
        self._left_out: Counter[Path] = Counter()
        # Files that stay for a later run.
        self._staying: set[Path] = set()

    def write(self, name: str, items: Iterable[Item]) -> Path:
        """Write a file and lock it until `close` or the end of the process.

        Raises OSError if the disk is full or the folder is read-only.
        """
        path = self._folder / f"{name}.jsonl"
        content = "".join(map(_to_line, items)).encode()
        with defer_signals(), contextlib.ExitStack() as stack:
            files.create_closed_folder(self._folder)
            stack.enter_context(self._try_lock(path))
            files.replace_atomically(path, content)
            self._own[path] = stack.pop_all()
        return path

    def close(self) -> None:
        """Unlock this run's own files, so that another run may drain them."""
        while self._own:
            self._own.popitem()[1].close()

    @contextlib.contextmanager
    def claim(self) -> Iterator[list[Path]]:
        """Yield the files of earlier runs, the oldest first; they are locked until the block ends.

        Files that another process holds are left out.
        """
        # A run that was killed while it wrote a file left only the lock file and a draft.
        locked = {self._folder / lock.stem[1:] for lock in self._folder.glob(".*.lock")}
        with contextlib.ExitStack() as stack:
            yield [
                path
                for path in sorted(locked.union(self._folder.glob("*.jsonl")) - self._own.keys())
                if not path.is_dir() and stack.enter_context(self._try_lock(path)) and path.exists()
            ]

    @contextlib.contextmanager
    def _try_lock(self, path: Path) -> Iterator[bool]:
        """Try to lock a file; afterwards, remove its lock file and drafts if it is gone."""
        has_lock = False
        try:
            with files.try_lock(path) as has_lock:
                yield has_lock
        finally:
            if has_lock and not path.exists():
                for left_over in self._folder.glob(f".{path.name}.*"):
                    with contextlib.suppress(OSError):
                        left_over.unlink()

    def read(self, paths: Iterable[Path], window: LoadWindow) -> Iterator[Item]:
        """Stream the items of these files that lie in the window.

        `discard` keeps a file with other items, and one that is damaged or cannot be read.
        """
        for path in paths:
            self._left_out[path] = 0
            for item in self._read_file(path):
                if window.includes(item):
                    yield item
                else:
                    self._left_out[path] += 1
            if self._left_out[path] and not window.is_confirmed:
                self._staying.add(path)

    def _read_file(self, path: Path) -> Iterator[Item]:
        """Stream the items of a file. Damaged lines are skipped with a warning."""
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            log.warning("%s cannot be read (%s): it waits in the spool", path, error.strerror)
            self._staying.add(path)
            return
        for number, line in enumerate(lines, start=1):
            try:
                yield _from_line(line)
            except (ValueError, OverflowError):
                log.warning("%s: line %d is damaged and is skipped", path, number)
                self._damaged.add(path)

    def discard(self, paths: Iterable[Path]) -> None:
        """Remove files whose content is in the database.

        Damaged ones are renamed to `.damaged`, and those with items outside the window to
        `.left-out`.
        """
        for path in paths:
            left_out, is_staying = self._left_out[path], path in self._staying
            if left_out:
                log.warning(LEFT_OUT, path, left_out, "waits" if is_staying else "is kept")
            if is_staying:
                continue
            try:
                if path in self._damaged:
                    path.rename(path.with_suffix(".damaged"))
                elif left_out:
                    path.rename(path.with_suffix(".left-out"))
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                # The load is an upsert, so loading the file a second time changes nothing.
                log.warning(
                    "%s cannot be removed (%s): the next run loads it again, which is harmless",
                    path,
                    error.strerror,
                )

    def waiting_rows(self) -> int:
        """Return how many rows wait in the spool."""
        count = 0
        for path in self._folder.glob("*.jsonl"):
            with contextlib.suppress(OSError), path.open("rb") as file:
                count += sum(line.startswith(_ROW_PREFIX) for line in file)
        return count


class RunSpool:
    """The spool as one run uses it: it names the files and counts the rows that wait in them."""

    def __init__(self, spool: Spool, run_id: str) -> None:
        # The folder, with the files of earlier runs too.
        self.shared_spool = spool
        # Rows of this run that are in the spool and not in the database.
        self.rows = 0
        self._run_id = run_id
        self._files: list[Path] = []
        self._written = 0

    def write(self, items: Sequence[Item]) -> None:
        """Write the items of one response. If that fails, log a warning and continue."""
        if not items:
            return
        try:
            path = self.shared_spool.write(f"{self._run_id}-{self._written:03}", items)
        except OSError as error:
            log.warning(
                "the spool cannot be written (%s): these rows are lost if the database fails too",
                error.strerror,
            )
            return
        self._written += 1
        self._files.append(path)
        self.rows += sum(isinstance(item, MarketRow) for item in items)

    def discard(self, drained: Sequence[Path] = ()) -> None:
        """Remove this run's files and those that it drained, after their commit."""
        self.shared_spool.discard([*drained, *self._files])
        self._files.clear()
        self.rows = 0
