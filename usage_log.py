"""`usage_log.json`: what this month's runs used. One JSON list, an object a run.

Two keys are required: `timestamp` (when the run began, UTC where it has no offset) and
`duration_sec`. The others are written where they say something: `api_credits`, `db_seconds`,
`backfill_credits`, `db_bytes`, `tail_seconds` (how long the database stayed awake afterwards, where
that is not Neon's usual tail), `skipped` and `metered` (false: no Neon database).
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from files import one_writer, replace_atomically
from safe_zone import IDLE_TAIL_SECONDS

log = logging.getLogger("sentinel.usage")
_LONGEST_SECONDS = 32 * 86_400.0  # no run, and no mistake of a clock worth counting, is longer


class Usage(NamedTuple):
    """What one run used. `db_seconds` None: unknown, so the whole run counts; 0: it woke nothing.

    `db_bytes` is the size of the database after the run, None where it was not measured.
    """

    started_at: datetime
    duration_seconds: float
    api_credits: int = 0
    db_seconds: float | None = None
    backfill_credits: int = 0
    tail_seconds: float = IDLE_TAIL_SECONDS
    db_bytes: int | None = None
    is_skipped: bool = False
    is_metered: bool = True

    @property
    def awake(self) -> tuple[datetime, datetime] | None:
        """From when to when Neon's compute was awake for this run, None where it was not."""
        if not self.is_metered or self.is_skipped or self.db_seconds == 0:
            return None
        held = self.duration_seconds if self.db_seconds is None else self.db_seconds
        return self.started_at, self.started_at + timedelta(seconds=held + self.tail_seconds)


class Reading(NamedTuple):
    """The runs of a log in order of time, and whether the file was there and whole."""

    usages: Sequence[Usage]
    is_whole: bool


def read(path: Path) -> Reading:
    """Read a log; what is damaged is passed over with a warning."""
    try:
        content = _list(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return Reading([], is_whole=False)
    except OSError as error:
        log.warning("the usage log %s cannot be read (%s): going on without", path, error.strerror)
        return Reading([], is_whole=False)
    except (ValueError, TypeError, RecursionError) as error:
        log.warning(
            "the usage log %s is damaged (%s): the next run rebuilds it from the database",
            path,
            error,
        )
        return Reading([], is_whole=False)
    usages = [usage for usage in map(_from_json, content) if usage]
    if lost := len(content) - len(usages):
        log.warning("the usage log %s: %d of %d runs are unreadable", path, lost, len(content))
    return Reading(sorted(usages), is_whole=not lost)


def _list(text: str) -> list[Any]:
    content = json.loads(text)
    if not isinstance(content, list):
        raise TypeError("it holds no list of runs")
    return content


def add(path: Path, usages: Iterable[Usage], since: datetime) -> None:
    """Add runs to a log, each once, and forget those whose traces ended before `since`.

    A failure costs the account of these runs and not the runs: it is a warning. A file that is
    damaged as a whole is replaced.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with one_writer(path):
            known = {usage.started_at: usage for usage in read(path).usages}
            # What a run wrote of itself says more than what the database remembers of it.
            merged = {usage.started_at: usage for usage in usages} | known
            kept = [usage for usage in sorted(merged.values()) if _reaches(usage, since)]
            replace_atomically(path, to_text(kept).encode())
    except OSError as error:
        log.warning("the usage log %s cannot be written (%s): this run is not in it", path, error)


def _reaches(usage: Usage, since: datetime) -> bool:
    """Whether a run, or the tail it left behind, lasted until `since`."""
    seconds = usage.duration_seconds + IDLE_TAIL_SECONDS
    return usage.started_at + timedelta(seconds=seconds) > since


def to_text(usages: Sequence[Usage]) -> str:
    """The whole file, one run a line."""
    lines = ",\n".join(json.dumps(_to_json(usage)) for usage in usages)
    return f"[\n{lines}\n]\n" if lines else "[]\n"


def _to_json(usage: Usage) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "timestamp": usage.started_at.isoformat(),
        "duration_sec": round(usage.duration_seconds, 3),
        "api_credits": usage.api_credits,
    }
    if usage.db_seconds is not None:
        entry["db_seconds"] = round(usage.db_seconds, 3)
    if usage.backfill_credits:
        entry["backfill_credits"] = usage.backfill_credits
    if usage.tail_seconds != IDLE_TAIL_SECONDS:
        entry["tail_seconds"] = usage.tail_seconds
    if usage.db_bytes is not None:
        entry["db_bytes"] = usage.db_bytes
    if usage.is_skipped:
        entry["skipped"] = True
    if not usage.is_metered:
        entry["metered"] = False
    return entry


def _from_json(entry: Any) -> Usage | None:
    """A run of the file, None where it is unreadable."""
    try:
        at = datetime.fromisoformat(entry["timestamp"])
        held, size = entry.get("db_seconds"), entry.get("db_bytes")
        return Usage(
            at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC),
            _seconds(entry["duration_sec"]),
            int(_number(entry.get("api_credits", 0))),
            None if held is None else _seconds(held),
            int(_number(entry.get("backfill_credits", 0))),
            _seconds(entry.get("tail_seconds", IDLE_TAIL_SECONDS)),
            None if size is None else int(_number(size)),
            is_skipped=entry.get("skipped") is True,
            is_metered=entry.get("metered") is not False,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _number(value: Any) -> float:
    """A number of 0 or more: a clock that was set back makes negative ones."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return max(0.0, float(value))


def _seconds(value: Any) -> float:
    seconds = _number(value)
    if seconds > _LONGEST_SECONDS:
        raise ValueError(f"{value!r} seconds are no run")
    return seconds
