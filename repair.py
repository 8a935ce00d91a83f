"""The repair stage of a run: look for gaps, spend this run's share of credits on them, load that.

It runs inside the wake that the run has paid for anyway.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import NamedTuple

import backfill
import database
import history
import tables
from backfill import Plan, Task
from errors import ApiUnavailable, CoinUnknown, signals_held
from meters import Allowance
from postgres import Connection, Session
from records import Gap, MarketRow, Rejection
from run_state import Loaded, Run
from safe_zone import BACKFILL_MINUTES, REPAIR_CALLS, Settings
from spool import Item
from transform import validate_chart

log = logging.getLogger("sentinel.repair")
Keep = Callable[[Sequence[Item]], None]


class _Repair(NamedTuple):
    """What one coin's call came to."""

    rows: list[MarketRow]
    rejections: list[Rejection]
    given_up: list[Gap]


def repair_gaps(
    run: Run, settings: Settings, session: Session, allowance: Allowance, keep: Keep
) -> None:
    """Repair what the allowance pays for: a normal run what is due, a backfill all it can.

    What each answer came to is handed to `keep` at once. A CoinGecko that fails ends the repairs;
    only a backfill run calls that a trouble, the others have done their work by then.

    Raises StorageUnavailable.
    """
    is_patient = run.mode != "backfill"
    plan = backfill.plan_backfill(
        _look(run, settings, session),
        run.targets,
        run.started_at,
        calls=_calls_left(run),
        allowance=allowance,
        is_patient=is_patient,
    )
    run.waiting_coins = plan.waiting
    repairs = list(_ask(run, plan, keep))
    if repairs or plan.given_up:
        _store(run, session, [*repairs, _Repair([], [], plan.given_up)])


def _look(run: Run, settings: Settings, session: Session) -> list[Gap]:
    """Read what the database knows: the gaps, and for the ledger what runs used and its size."""
    seen = session.use(
        lambda connection: history.look_back(
            connection,
            run.started_at,
            cadence=timedelta(minutes=settings.cadence_minutes),
            coin_ids=run.targets,
            until=run.started_at if run.mode == "backfill" else None,
            usages_since=run.usages_wanted_since,
        )
    )
    run.db_bytes, run.known_usages = seen.database_bytes, seen.usages
    return seen.gaps


def _calls_left(run: Run) -> int:
    """As many calls as the plan's minute still has; a backfill run may wait for the next ones."""
    minute = run.client.plan.calls_per_minute
    if run.mode == "backfill":
        return max(0, BACKFILL_MINUTES * minute - run.client.calls)
    return max(0, min(REPAIR_CALLS, minute - run.client.calls))


def _ask(run: Run, plan: Plan, keep: Keep) -> Iterator[_Repair]:
    """One call a task, until CoinGecko fails."""
    for task in plan.tasks:
        before = run.client.credits
        try:
            repair = _ask_for(run, task, keep)
        except ApiUnavailable as trouble:
            if run.mode == "backfill":
                run.troubles.append(trouble)
            else:
                log.warning("gaps wait for the next run: %s", trouble)
            return
        finally:
            run.backfill_credits += run.client.credits - before
        run.rejections += repair.rejections
        yield repair


def _ask_for(run: Run, task: Task, keep: Keep) -> _Repair:
    try:
        body = run.client.market_chart(task.coin_id, task.days)
    except CoinUnknown:
        return _Repair([], [], backfill.unknown(task))
    points, rejections = validate_chart(body, task.coin_id, run.started_at, run.run_id)
    rows, left = backfill.fill(task, points, run.started_at)
    if rejections and not points:  # a sick answer is no verdict on the gap
        left = []
    with signals_held():  # an answer that arrived is kept, whoever wants us to stop
        keep([*rows, *rejections])
    return _Repair(rows, rejections, left)


def _store(run: Run, session: Session, repairs: Sequence[_Repair]) -> None:
    """Load the rows, keep what stays open, and record the run again with what this changed."""
    rows = [row for repair in repairs for row in repair.rows]
    before = run.loaded or Loaded()

    def load(connection: Connection, days: tables.Days) -> Loaded:
        # The coins are known: gaps lie between their observations.
        counts = database.load_batch(connection, rows, lambda _coin_id: None, days)
        rejections = [rejection for repair in repairs for rejection in repair.rejections]
        database.record_rejections(connection, rejections)
        gaps = [gap for repair in repairs for gap in repair.given_up]
        database.give_up_gaps(connection, gaps, run.started_at)
        loaded = dataclasses.replace(before, rows_backfilled=counts.inserted)
        run.db_seconds = session.seconds
        database.record_run(connection, asdict(run.report(loaded)), run.runs_skipped)
        return loaded

    run.loaded = database.write(session, load, run.started_at)
    reasons = Counter(gap.reason for repair in repairs for gap in repair.given_up)
    for reason, count in reasons.items():
        log.info("%d gaps stay: %s", count, reason)
