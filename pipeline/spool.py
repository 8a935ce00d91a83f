"""What is on its way from CoinGecko to the database, on disk.

A run writes each answer here as soon as it is validated, and removes it after the commit. So a
kill, a sleeping database or a full quota loses nothing: the next run finds the file and drains it.
Each file is one answer, a JSON line an item, written whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sentinel.models import FxRate, MarketRow, Rejection
from sentinel.process import defer_signals

if sys.platform != "win32":
    import fcntl

log = logging.getLogger("sentinel.spool")

Item = MarketRow | Rejection | FxRate


class Spool:
    """The files of one folder. A file that its run still works on is locked, and left alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: dict[Path, int | None] = {}
        self._damaged: set[Path] = set()

    def write(self, name: str, items: Iterable[Item]) -> Path:
        """Keep what was fetched, locked until `close` or the end of the process.

        Raises OSError where there is no room or no right to write.
        """
        path, draft = self._folder / f"{name}.jsonl", self._folder / f".{name}.draft"
        with defer_signals():
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = _open_locked(draft, os.O_CREAT)
            try:
                with draft.open("w", encoding="utf-8") as file:
                    file.writelines(f"{_to_line(item)}\n" for item in items)
                    file.flush()
                    os.fsync(file.fileno())
                draft.rename(path)
            except BaseException:
                _close(handle)
                draft.unlink(missing_ok=True)
                raise
            self._own[path] = handle
        return path

    def close(self) -> None:
        """Let go of this run's own files, so that another run may drain them."""
        while self._own:
            _close(self._own.popitem()[1])

    @contextlib.contextmanager
    def claim(self) -> Iterator[list[Path]]:
        """Yield the files that earlier runs left behind, locked meanwhile, the oldest first."""
        with contextlib.ExitStack() as stack:
            claimed = []
            for path in sorted((*self._folder.glob("*.jsonl"), *self._folder.glob(".*.draft"))):
                if path in self._own:
                    continue
                with contextlib.suppress(OSError):
                    stack.callback(_close, _open_locked(path))
                    if path.suffix == ".draft":
                        path.unlink()  # its run was killed while it wrote
                    else:
                        claimed.append(path)
            yield claimed

    def read(self, paths: Iterable[Path]) -> Iterator[Item]:
        """Stream what is in these files; a damaged line is passed over with a warning."""
        for path in paths:
            for number, line in enumerate(path.read_bytes().splitlines(), start=1):
                try:
                    yield _from_line(line)
                except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
                    log.warning("%s: line %d is damaged and passed over", path, number)
                    self._damaged.add(path)

    def discard(self, paths: Iterable[Path]) -> None:
        """Remove files whose content is in the database; damaged ones are kept under `.damaged`."""
        for path in paths:
            try:
                if path in self._damaged:
                    path.rename(path.with_suffix(".damaged"))
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s stays and is loaded again, to no harm: %s", path, error.strerror)

    def waiting_rows(self) -> int:
        """How many rows lie in the spool."""
        count = 0
        for path in self._folder.glob("*.jsonl"):
            with contextlib.suppress(OSError), path.open("rb") as file:
                count += sum(line.startswith(b'["row"') for line in file)
        return count


def _open_locked(path: Path, flags: int = 0) -> int | None:
    """Open and lock a file. The kernel lets go of it when this process ends, however it ends.

    Raises BlockingIOError where another process holds it, FileNotFoundError where another process
    has just removed it. Windows has no such lock, and forbids renaming what is open: there a drain
    may meet a run's own file, and the upsert makes that harmless.
    """
    if sys.platform == "win32":
        return None
    handle = os.open(path, os.O_RDONLY | flags, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(handle), path.stat()):
            raise FileNotFoundError(path)
    except OSError:
        os.close(handle)
        raise
    return handle


def _close(handle: int | None) -> None:
    if handle is not None:
        os.close(handle)


def _to_line(item: Item) -> str:
    if isinstance(item, MarketRow):
        return json.dumps(["row", item.coin_id, item.observed_at.isoformat(), *item[2:]])
    if isinstance(item, Rejection):
        at = item.rejected_at.isoformat()
        return json.dumps(["rejection", item.coin_id, item.reason, item.raw, item.run_id, at])
    return json.dumps(["rate", item.observed_at.isoformat(), item.currency, item.per_usd])


def _from_line(line: bytes) -> Item:
    kind, *fields = json.loads(line)
    return _READERS[kind](*fields)


def _row(
    coin_id: str, at: str, price: float, cap: float | None, volume: float | None, source: Any
) -> MarketRow:
    if source not in ("observed", "backfilled"):
        raise ValueError(f"{source!r} is no source")
    known_cap, known_volume = (None if x is None else _number(x) for x in (cap, volume))
    return MarketRow(_text(coin_id), _moment(at), _number(price), known_cap, known_volume, source)


def _rejection(coin_id: str, reason: str, raw: str, run_id: str, at: str) -> Rejection:
    return Rejection(_text(coin_id), _text(reason), _text(raw), _text(run_id), _moment(at))


def _rate(at: str, currency: str, per_usd: float) -> FxRate:
    return FxRate(_moment(at), _text(currency), _number(per_usd))


def _text(value: object) -> str:
    """A text that PostgreSQL can store."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{value!r} is no text")
    value.encode()  # lone surrogates are no text either
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no zone")
    return at.astimezone(UTC)


_READERS: dict[str, Callable[..., Item]] = {"row": _row, "rejection": _rejection, "rate": _rate}
