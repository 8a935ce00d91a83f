"""What is on its way from CoinGecko to the database, on disk.

A run writes what it fetched here before it connects, and removes it after the commit. So a kill, a
sleeping database or a full quota loses nothing: the next run finds the file and drains it. Each
file is what one run fetched, a JSON line an item, written whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from records import FxRate, MarketRow, Rejection

if sys.platform != "win32":
    import fcntl

log = logging.getLogger("sentinel.spool")

Item = MarketRow | Rejection | FxRate


class Spool:
    """The files of one folder. A file that its run still works on is locked, and left alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: tuple[Path, int] | None = None
        self._damaged: set[Path] = set()

    def write(self, run_id: str, items: Iterable[Item]) -> Path:
        """Keep what a run fetched, locked until `close` or the end of the process.

        Raises OSError where there is no room or no right to write.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path, draft = self._folder / f"{run_id}.jsonl", self._folder / f".{run_id}.draft"
        handle = os.open(draft, os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            _lock(handle)
            with draft.open("w", encoding="utf-8") as file:
                file.writelines(f"{_to_line(item)}\n" for item in items)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
        except BaseException:
            os.close(handle)
            draft.unlink(missing_ok=True)
            raise
        self._own = (path, handle)
        return path

    def close(self) -> None:
        """Let go of this run's own file, so that another run may drain it."""
        if self._own:
            os.close(self._own[1])
            self._own = None

    @contextlib.contextmanager
    def claim(self) -> Iterator[list[Path]]:
        """Yield the files that earlier runs left behind, locked meanwhile, the oldest first."""
        with contextlib.ExitStack() as stack:
            claimed = []
            for path in sorted((*self._folder.glob("*.jsonl"), *self._folder.glob(".*.draft"))):
                if self._own and path == self._own[0]:
                    continue
                with contextlib.suppress(OSError):
                    handle = os.open(path, os.O_RDONLY)
                    stack.callback(os.close, handle)
                    _lock(handle)
                    if path.suffix == ".draft":
                        path.unlink()  # its run was killed while it wrote
                    else:
                        claimed.append(path)
            yield claimed

    def read(self, paths: Iterable[Path]) -> Iterator[Item]:
        """Stream what is in these files; a damaged line is passed over with a warning."""
        for path in paths:
            with path.open(encoding="utf-8", errors="replace") as file:
                for number, line in enumerate(file, start=1):
                    try:
                        yield _from_line(line)
                    except (ValueError, TypeError, KeyError):
                        log.warning("%s: line %d is damaged and passed over", path, number)
                        self._damaged.add(path)

    def discard(self, paths: Iterable[Path]) -> None:
        """Remove files whose content is in the database; damaged ones are kept under `.damaged`."""
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                if path in self._damaged:
                    path.rename(path.with_suffix(".damaged"))
                else:
                    path.unlink()

    def waiting_rows(self) -> int:
        """How many rows lie in the spool."""
        count = 0
        for path in self._folder.glob("*.jsonl"):
            with contextlib.suppress(OSError), path.open("rb") as file:
                count += sum(line.startswith(b'["row"') for line in file)
        return count


def _lock(handle: int) -> None:
    """Raises BlockingIOError where another process holds the file. The kernel lets go of it when
    that process ends, however it ends. Windows has no such lock: there a drain may meet a run's
    own file, and the upsert makes that harmless."""
    if sys.platform != "win32":
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _to_line(item: Item) -> str:
    if isinstance(item, MarketRow):
        return json.dumps(["row", item.coin_id, item.observed_at.isoformat(), *item[2:]])
    if isinstance(item, Rejection):
        at = item.rejected_at.isoformat()
        return json.dumps(["rejection", item.coin_id, item.reason, item.raw, item.run_id, at])
    return json.dumps(["rate", item.observed_at.isoformat(), item.currency, item.per_usd])


def _from_line(line: str) -> Item:
    kind, *fields = json.loads(line)
    return _READERS[kind](*fields)


def _row(
    coin_id: str, at: str, price: float, cap: float | None, volume: float | None, source: Any
) -> MarketRow:
    if source not in ("observed", "backfilled"):
        raise ValueError(f"{source!r} is no source")
    known_cap, known_volume = (None if x is None else float(x) for x in (cap, volume))
    observed_at = datetime.fromisoformat(at)
    return MarketRow(str(coin_id), observed_at, float(price), known_cap, known_volume, source)


def _rejection(coin_id: str, reason: str, raw: str, run_id: str, at: str) -> Rejection:
    return Rejection(coin_id, reason, raw, run_id, datetime.fromisoformat(at))


def _rate(at: str, currency: str, per_usd: float) -> FxRate:
    return FxRate(datetime.fromisoformat(at), currency, float(per_usd))


_READERS: dict[str, Callable[..., Item]] = {"row": _row, "rejection": _rejection, "rate": _rate}
