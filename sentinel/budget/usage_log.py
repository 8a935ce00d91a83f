"""`usage_log.json`: what this month's runs used. One JSON list, an object a run.

Two keys are required: `timestamp` (when the run began, UTC where it has no offset) and
`duration_sec`. The others are written where they say something: `api_credits`, `db_seconds`,
`backfill_credits`, `db_bytes`, `tail_seconds` (how long the database stayed awake afterwards,
where that is not Neon's usual tail), `runs` (how many runs the entry stands for), `skipped`,
`stored` (false: the run did not reach the database), `metered` (false: no Neon database) and
`after_loss` (runs before this one were lost and not read from the database yet).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from safe_zone import IDLE_TAIL_SECONDS
from sentinel.files import exclusive_lock, replace_atomically

log = logging.getLogger("sentinel.usage")
# No run, and no mistake of a clock worth counting, is longer, dearer, larger or from another time.
_LONGEST_SECONDS = 32 * 86_400.0
_MOST_CREDITS = 1e7
_MOST_BYTES = 1e15
_YEARS = range(2000, 2200)
# A loop of a minute makes 43,000 runs a month, and the file is written with each: what is older
# than a day is gathered by the hour. The schedule's 96 runs a day never come to so many.
MOST_SINGLE_RUNS = 3_000
GATHER_AFTER = timedelta(hours=26)


class Usage(NamedTuple):
    """What one run used. `db_seconds` None: unknown, so the whole run counts; 0: it woke nothing.

    `db_bytes` is the size of the database after the run, None where it was not measured. Where
    `runs` is above 1 it is the sum of so many, of one hour.
    """

    started_at: datetime
    duration_seconds: float
    api_credits: int = 0
    db_seconds: float | None = None
    backfill_credits: int = 0
    tail_seconds: float = IDLE_TAIL_SECONDS
    db_bytes: int | None = None
    is_skipped: bool = False
    is_stored: bool = True
    is_metered: bool = True
    is_after_loss: bool = False
    runs: int = 1

    @property
    def awake(self) -> tuple[datetime, datetime] | None:
        """From when to when Neon's compute was awake for this run, None where it was not."""
        if not self.is_metered or self.is_skipped or self.db_seconds == 0:
            return None
        held = self.duration_seconds if self.db_seconds is None else self.db_seconds
        return self.started_at, self.started_at + timedelta(seconds=held + self.tail_seconds)


class UsageLog(NamedTuple):
    """The runs of a log in order of time, and whether it knows all of them."""

    usages: Sequence[Usage]
    is_whole: bool


def read(path: Path) -> UsageLog:
    """Read a log; what is damaged is passed over with a warning."""
    try:
        content = _list(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return UsageLog([], is_whole=False)
    except OSError as error:
        log.warning("the usage log %s cannot be read (%s): going on without", path, error.strerror)
        return UsageLog([], is_whole=False)
    except (ValueError, TypeError, RecursionError) as error:
        log.warning(
            "the usage log %s is damaged (%s): the next run rebuilds it from the database",
            path,
            error,
        )
        return UsageLog([], is_whole=False)
    runs = list(map(_from_json, content))
    usages = {usage.started_at: usage for usage in runs if usage}
    if lost := runs.count(None):
        log.warning("the usage log %s: %d of %d runs are unreadable", path, lost, len(content))
    is_whole = not lost and not any(usage.is_after_loss for usage in usages.values())
    return UsageLog([usages[at] for at in sorted(usages)], is_whole)


def _list(text: str) -> list[Any]:
    content = json.loads(text)
    if not isinstance(content, list):
        raise TypeError("it holds no list of runs")
    return content


def add(
    path: Path,
    own: Usage,
    since: datetime,
    until: datetime,
    others: Iterable[Usage] | None = None,
) -> None:
    """Add a run to a log, or bring its account up to date.

    `others` are runs that the database knows; None: it could not be asked, so what was lost stays
    lost for now. Runs whose traces ended before `since`, and those that a wrong clock put after
    `until`, are forgotten. A failure costs the account and not the run: it is a warning.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(path):
            reading = read(path)
            known = {usage.started_at: usage for usage in reading.usages}
            if others is not None:
                known = {at: usage._replace(is_after_loss=False) for at, usage in known.items()}
            # What a run wrote of itself says more than what the database remembers of it.
            told = {usage.started_at: usage for usage in others or ()}
            hours = {_hour(at) for at in told.keys() - known.keys()}
            merged = told | {
                at: u for at, u in known.items() if u.runs == 1 or _hour(at) not in hours
            }
            is_after_loss = others is None and not reading.is_whole
            merged[own.started_at] = own._replace(is_after_loss=is_after_loss)
            kept = [merged[at] for at in sorted(merged) if at <= until]
            kept = [usage for usage in kept if _reaches(usage, since)]
            text = to_text(_gathered(kept, own.started_at - GATHER_AFTER))
            replace_atomically(path, text.encode())
    except OSError as error:
        log.warning("the usage log %s cannot be written (%s): this run is not in it", path, error)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _gathered(usages: Sequence[Usage], before: datetime) -> Sequence[Usage]:
    """Where there are too many, one entry an hour for runs before that moment that woke no Neon."""
    if len(usages) <= MOST_SINGLE_RUNS:
        return usages
    found: list[Usage] = []
    for usage in usages:
        last = found[-1] if found else None
        if last and usage.started_at < before and _are_alike(last, usage):
            found[-1] = last._replace(
                duration_seconds=last.duration_seconds + usage.duration_seconds,
                api_credits=last.api_credits + usage.api_credits,
                db_seconds=(last.db_seconds or 0.0) + (usage.db_seconds or 0.0),
                backfill_credits=last.backfill_credits + usage.backfill_credits,
                db_bytes=usage.db_bytes if usage.db_bytes is not None else last.db_bytes,
                runs=last.runs + usage.runs,
            )
        else:
            found.append(usage)
    return found


def _are_alike(one: Usage, other: Usage) -> bool:
    """Whether two entries may be one: of one hour, and neither is judged by itself."""
    return _hour(one.started_at) == _hour(other.started_at) and all(
        usage.is_stored and not (usage.is_metered or usage.is_skipped or usage.is_after_loss)
        for usage in (one, other)
    )


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
    if usage.runs > 1:
        entry["runs"] = usage.runs
    if usage.is_skipped:
        entry["skipped"] = True
    if not usage.is_stored:
        entry["stored"] = False
    if not usage.is_metered:
        entry["metered"] = False
    if usage.is_after_loss:
        entry["after_loss"] = True
    return entry


def _from_json(entry: Any) -> Usage | None:
    """A run of the file, None where it is unreadable."""
    try:
        at = _moment(entry["timestamp"])
        held, size = entry.get("db_seconds"), entry.get("db_bytes")
        return Usage(
            at,
            _seconds(entry["duration_sec"]),
            int(_number(entry.get("api_credits", 0), _MOST_CREDITS)),
            None if held is None else _seconds(held),
            int(_number(entry.get("backfill_credits", 0), _MOST_CREDITS)),
            _seconds(entry.get("tail_seconds", IDLE_TAIL_SECONDS)),
            None if size is None else int(_number(size, _MOST_BYTES)),
            is_skipped=entry.get("skipped") is True,
            is_stored=entry.get("stored") is not False,
            is_metered=entry.get("metered") is not False,
            is_after_loss=entry.get("after_loss") is True,
            runs=max(1, int(_number(entry.get("runs", 1), _MOST_CREDITS))),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _moment(text: Any) -> datetime:
    at = datetime.fromisoformat(text)
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    if at.year not in _YEARS:
        raise ValueError(f"{text!r} is no time of a run")
    return at


def _number(value: Any, most: float) -> float:
    """A number of 0 or more: a clock that was set back makes negative ones."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value <= most:
        raise ValueError(f"{value!r} is no number up to {most:g}")
    return max(0.0, float(value))


def _seconds(value: Any) -> float:
    return _number(value, _LONGEST_SECONDS)
