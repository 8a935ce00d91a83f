"""`usage_log.json`: what this month's runs used. A JSON list with one object per run.

Two keys are required: `timestamp` (start of the run; UTC if it has no offset) and `duration_sec`.
The others are written only if they differ from their default: `api_credits`, `db_seconds`,
`backfill_credits`, `db_bytes`, `egress_bytes` (what all readers together had received from the
database since the month began), `tail_seconds` (how long the compute stayed awake afterwards),
`runs` (number of runs that the entry sums up), `exit_code` (1 until the run has ended), `skipped`,
`stored` (false: the run did not reach the database), `metered` (false: no Neon database),
`recorded` (read from the database: the run of another machine, or one that the log lost) and
`after_loss` (earlier runs are missing from the log and were not read from the database yet).
"""

from __future__ import annotations

import functools
import itertools
import json
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from safe_zone import IDLE_TAIL_SECONDS
from sentinel.files import exclusive_lock, replace_atomically

log = logging.getLogger("sentinel.usage")
# The problem of each log that was not read well the last time.
_last_warnings: dict[Path, str] = {}
# Larger values are damage or a clock error; such an entry is unreadable.
_LONGEST_SECONDS = 32 * 86_400.0
_MOST_CREDITS = 1e7
_MOST_BYTES = 1e15
_MOST_EXIT_CODE = 255
_YEARS = range(2000, 2200)
# A loop with one run a minute makes 43,000 runs a month, and each run writes the file. Above this
# number, runs older than a day are summed up by the hour. The schedule's 96 runs a day stay below.
MAX_SINGLE_RUNS = 3_000
SUM_UP_AFTER = timedelta(hours=26)


class Usage(NamedTuple):
    """What one run used, or the runs of one hour together."""

    started_at: datetime
    duration_seconds: float
    # CoinGecko credits, those of the backfill included.
    api_credits: int = 0
    # How long the run held the database; None: unknown, so its whole duration counts; 0: it did not
    # connect.
    db_seconds: float | None = None
    backfill_credits: int = 0
    # How long Neon's compute stays awake after the run.
    tail_seconds: float = IDLE_TAIL_SECONDS
    # Size of the database after the run; None: not measured.
    db_bytes: int | None = None
    # What all readers had received from the database between the first of the month (UTC) and the
    # end of the run; None: the run did not ask.
    egress_bytes: int | None = None
    # Whether the budget check ended the run.
    is_skipped: bool = False
    # Whether the run reached the database.
    is_stored: bool = True
    # Whether the database is Neon's.
    is_metered: bool = True
    # Whether the log lost earlier runs that were not read from the database yet.
    is_after_loss: bool = False
    # Whether the database alone knew the run: another machine made it, or the log lost it.
    is_recorded: bool = False
    # How many runs the entry sums up.
    runs: int = 1
    # Of ingest.py; 1 if a run that was killed left the entry.
    exit_code: int = 0

    @property
    def awake(self) -> tuple[datetime, datetime] | None:
        """From when to when Neon's compute was awake for this run; None if it was not."""
        if not self.is_metered or self.is_skipped or self.db_seconds == 0:
            return None
        held = self.duration_seconds if self.db_seconds is None else self.db_seconds
        return self.started_at, self.started_at + timedelta(seconds=held + self.tail_seconds)


class UsageLog(NamedTuple):
    """The content of a log."""

    # In order of time.
    usages: Sequence[Usage]
    # False if the file is missing or damaged, or if it says that it lost runs.
    is_complete: bool


def read(path: Path) -> UsageLog:
    """Read a log. Damaged entries are skipped with a warning."""
    try:
        runs = _parse(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return UsageLog([], is_complete=False)
    except OSError as error:
        _warn_once(
            path, "the usage log %s cannot be read (%s): continuing without it", error.strerror
        )
        return UsageLog([], is_complete=False)
    except (ValueError, TypeError, RecursionError) as error:
        _warn_once(
            path,
            "the usage log %s is damaged (%s): the next run rebuilds it from the database",
            error,
        )
        return UsageLog([], is_complete=False)
    usages = {usage.started_at: usage for usage in runs if usage}
    if lost := runs.count(None):
        _warn_once(path, "the usage log %s: %d of %d runs are unreadable", lost, len(runs))
    else:
        _last_warnings.pop(path, None)
    is_complete = not lost and not any(usage.is_after_loss for usage in usages.values())
    return UsageLog([usages[at] for at in sorted(usages)], is_complete)


def _warn_once(path: Path, text: str, *details: object) -> None:
    """Log a problem of a log, unless it was the last one: a run reads its log several times."""
    problem = text % (path, *details)
    if _last_warnings.get(path) != problem:
        log.warning(problem)
    _last_warnings[path] = problem


@functools.lru_cache(maxsize=1)  # a run reads its log of up to 3,000 entries several times
def _parse(text: str) -> tuple[Usage | None, ...]:
    """Return the entries of a log's text, None for an unreadable one. Raises as json.loads."""
    content = json.loads(text)
    if not isinstance(content, list):
        raise TypeError("it holds no list of runs")
    return tuple(map(_from_json, content))


def add_run(
    path: Path,
    own: Usage,
    since: datetime,
    until: datetime,
    others: Iterable[Usage] | None = None,
) -> None:
    """Add a run to a log, or update its entry.

    `others` are runs that the database recorded; None: the run did not ask, so lost entries stay
    lost for now. Runs that ended before `since` are removed, except for the begin of an outage that
    lasts longer, and runs after `until`, which a wrong clock wrote. If the file cannot be written,
    the run logs a warning and continues.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(path):
            log_file = read(path)
            known = {usage.started_at: usage for usage in log_file.usages}
            if others is not None:
                known = {at: usage._replace(is_after_loss=False) for at, usage in known.items()}
            recorded = {usage.started_at: usage for usage in others or ()}
            hours = {_hour(at) for at in recorded.keys() - known.keys()}
            single = (u for at, u in known.items() if u.runs == 1 or _hour(at) not in hours)
            merged = merge_recorded(single, recorded.values())
            is_after_loss = others is None and not log_file.is_complete
            merged[own.started_at] = own._replace(is_after_loss=is_after_loss)
            kept = [merged[at] for at in sorted(merged) if at <= until]
            kept = _remove_old(kept, since)
            text = to_text(_sum_up(kept, own.started_at - SUM_UP_AFTER))
            replace_atomically(path, text.encode())
    except OSError as error:
        log.warning("the usage log %s cannot be written (%s): this run is not in it", path, error)


def merge_recorded(known: Iterable[Usage], recorded: Iterable[Usage]) -> dict[datetime, Usage]:
    """Merge a log's entries with what the database recorded of runs; by start.

    A run's own entry has more details. That of a killed run may be from before it spent credits.
    """
    merged = {usage.started_at: usage for usage in recorded}
    for own in known:
        if other := merged.get(own.started_at):
            own = own._replace(  # noqa: PLW2901
                api_credits=max(own.api_credits, other.api_credits),
                backfill_credits=max(own.backfill_credits, other.backfill_credits),
                is_stored=True,
            )
        merged[own.started_at] = own
    return merged


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _sum_up(usages: Sequence[Usage], before: datetime) -> Sequence[Usage]:
    """If there are too many, sum up by the hour the runs before `before` that did not use Neon."""
    if len(usages) <= MAX_SINGLE_RUNS:
        return usages
    found: list[Usage] = []
    for usage in usages:
        last = found[-1] if found else None
        if last and usage.started_at < before and _can_sum_up(last, usage):
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


def _can_sum_up(one: Usage, other: Usage) -> bool:
    """Whether two entries may become one: same hour, result and origin, and neither needs its own
    time or flags."""
    alike = [(_hour(u.started_at), u.exit_code, u.is_recorded) for u in (one, other)]
    return alike[0] == alike[1] and all(
        usage.is_stored and not (usage.is_metered or usage.is_skipped or usage.is_after_loss)
        for usage in (one, other)
    )


def _remove_old(usages: Sequence[Usage], since: datetime) -> list[Usage]:
    """Remove the runs that ended before `since`; an outage that lasts longer keeps its begin."""
    kept = [usage for usage in usages if _lasts_until(usage, since)]
    removed = usages[: len(usages) - len(kept)]
    failed = list(itertools.takewhile(lambda usage: usage.exit_code, reversed(removed)))
    if failed and kept and kept[0].exit_code:
        kept.insert(0, failed[-1]._replace(runs=sum(usage.runs for usage in failed)))
    return kept


def _lasts_until(usage: Usage, since: datetime) -> bool:
    """Whether a run or its tail lasted until `since`."""
    seconds = usage.duration_seconds + IDLE_TAIL_SECONDS
    return usage.started_at + timedelta(seconds=seconds) > since


def to_text(usages: Sequence[Usage]) -> str:
    """Return the whole file, one run per line."""
    lines = ",\n".join(json.dumps(_to_json(usage)) for usage in usages)
    return f"[\n{lines}\n]\n" if lines else "[]\n"


def _to_json(usage: Usage) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "timestamp": usage.started_at.isoformat(),
        "duration_sec": round(usage.duration_seconds, 3),
        "api_credits": usage.api_credits,
    }
    for name, default in Usage._field_defaults.items():
        if (value := getattr(usage, name)) != default:
            rounded = round(value, 3) if isinstance(value, float) else value
            entry[name.removeprefix("is_")] = rounded
    return entry


def _from_json(entry: Any) -> Usage | None:
    """Return a run of the file; None if it is unreadable."""
    try:
        at = _moment(entry["timestamp"])
        held, size = entry.get("db_seconds"), entry.get("db_bytes")
        received = entry.get("egress_bytes")
        return Usage(
            at,
            _seconds(entry["duration_sec"]),
            int(_number(entry.get("api_credits", 0), _MOST_CREDITS)),
            None if held is None else _seconds(held),
            int(_number(entry.get("backfill_credits", 0), _MOST_CREDITS)),
            _seconds(entry.get("tail_seconds", IDLE_TAIL_SECONDS)),
            None if size is None else int(_number(size, _MOST_BYTES)),
            None if received is None else int(_number(received, _MOST_BYTES)),
            is_skipped=entry.get("skipped") is True,
            is_stored=entry.get("stored") is not False,
            is_metered=entry.get("metered") is not False,
            is_after_loss=entry.get("after_loss") is True,
            is_recorded=entry.get("recorded") is True,
            runs=max(1, int(_number(entry.get("runs", 1), _MOST_CREDITS))),
            exit_code=int(_number(entry.get("exit_code", 0), _MOST_EXIT_CODE)),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _moment(text: Any) -> datetime:
    at = datetime.fromisoformat(text)
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    if at.year not in _YEARS:
        raise ValueError(f"{text!r} is not the time of a run")
    return at


def _number(value: Any, most: float) -> float:
    """Return a number of 0 or more: a clock that was set back causes negative ones."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value <= most:
        raise ValueError(f"{value!r} is not a number up to {most:g}")
    return max(0.0, float(value))


def _seconds(value: Any) -> float:
    return _number(value, _LONGEST_SECONDS)
