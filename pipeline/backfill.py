"""The repair stage of a run: look for gaps, spend this run's share of credits on them, load that.

It runs inside the wake that the run has paid for anyway.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import database
from pipeline import backfill_plan
from pipeline.backfill_plan import BackfillPlan, BackfillTask
from pipeline.run import Loaded, Run
from pipeline.spool import Item
from safe_zone import (
    BACKFILL_CALLS_PER_RUN,
    BACKFILL_MINUTES,
    RETRY_AFTER_FAILURE,
    RETRY_AFTER_REFUSAL,
    Settings,
)
from sentinel.budget.quotas import BackfillAllowance
from sentinel.errors import (
    ApiRefused,
    ApiUnavailable,
    CoinUnknown,
    ConfigurationError,
    SentinelError,
)
from sentinel.models import Gap, MarketRow, Rejection
from sentinel.process import defer_signals
from sentinel.storage import queries, schema
from sentinel.storage.connection import Connection, Session
from transform import validate_chart

log = logging.getLogger("sentinel.repair")
Keep = Callable[[Sequence[Item]], None]


class _Repair(NamedTuple):
    """What one coin's call came to; gaps in `unfillable` stay for good, or `until` then."""

    rows: Sequence[MarketRow] = ()
    rejections: Sequence[Rejection] = ()
    unfillable: Sequence[Gap] = ()
    until: datetime | None = None


def backfill_gaps(
    run: Run,
    settings: Settings,
    session: Session,
    grant: Callable[[], BackfillAllowance],
    keep: Keep,
    announce: Callable[[int], None],
) -> None:
    """Repair what is granted: a normal run what is due, a backfill all it can.

    The grant is asked for once it is known what runs used. How many credits will be spent is
    announced before, and each answer handed to `keep` at once. A CoinGecko that fails ends the
    repairs; only a backfill run calls that a trouble, the others have done their work by then.

    Raises StorageUnavailable.
    """
    gaps = _look(run, settings, session)
    plan = backfill_plan.plan_backfill(
        gaps,
        run.targets,
        run.started_at,
        calls=_calls_left(run),
        allowance=grant(),
        is_patient=run.mode != "backfill",
    )
    run.waiting_coins = plan.waiting
    if plan.tasks:
        announce(len(plan.tasks))
    repairs = [*_ask(run, plan, keep), _Repair(unfillable=plan.unfillable)]
    if plan.tasks or plan.unfillable:
        _store(run, session, repairs)


def _look(run: Run, settings: Settings, session: Session) -> list[Gap]:
    """Read what the database knows: the gaps, and for the ledger what runs used and its size."""
    seen = session.use(
        lambda connection: queries.load_recent_activity(
            connection,
            run.started_at,
            cadence=timedelta(minutes=settings.cadence_minutes),
            coin_ids=run.targets if run.detect_gaps else [],
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
    return max(0, min(BACKFILL_CALLS_PER_RUN, minute - run.client.calls))


def _ask(run: Run, plan: BackfillPlan, keep: Keep) -> Iterator[_Repair]:
    """One call a task, until CoinGecko fails as a whole."""
    for task in plan.tasks:
        before = run.client.credits
        try:
            repair = _ask_for(run, task, keep)
        except ConfigurationError as trouble:
            _complain(run, trouble)
            return
        except ApiUnavailable as trouble:
            _complain(run, trouble)
            repair = _set_aside(run, task, RETRY_AFTER_FAILURE)
        finally:
            run.backfill_credits += run.client.credits - before
        run.rejections += repair.rejections
        yield repair
        if run.client.is_exhausted:
            return


def _complain(run: Run, trouble: SentinelError) -> None:
    if run.mode == "backfill":
        run.troubles.append(trouble)
    else:
        log.warning("gaps wait for the next run: %s", trouble)


def _set_aside(run: Run, task: BackfillTask, pause: timedelta) -> _Repair:
    """Let the others go first for a while."""
    gaps = backfill_plan.unfillable(task, "unusable_chart")
    return _Repair(unfillable=gaps, until=run.started_at + pause)


def _ask_for(run: Run, task: BackfillTask, keep: Keep) -> _Repair:
    try:
        body = run.client.market_chart(task.coin_id, task.days, is_patient=run.mode == "backfill")
    except CoinUnknown:
        return _Repair(unfillable=backfill_plan.unfillable(task, "unknown_coin"))
    except ApiRefused as trouble:
        log.warning("the gaps of %s wait for a day: %s", task.coin_id, trouble)
        return _set_aside(run, task, RETRY_AFTER_REFUSAL)
    points, rejections = validate_chart(body, task.coin_id, run.started_at, run.run_id)
    rows, left = backfill_plan.fill(task, points, run.started_at)
    with defer_signals():  # an answer that arrived is kept, whoever wants us to stop
        keep([*rows, *rejections])
    if rejections and not points:  # a sick answer is no verdict on the gap
        return _set_aside(run, task, RETRY_AFTER_REFUSAL)._replace(rejections=rejections)
    return _Repair(rows, rejections, left)


def _store(run: Run, session: Session, repairs: Sequence[_Repair]) -> None:
    """Load the rows, keep what stays open, and record the run again with what this changed."""
    rows = [row for repair in repairs for row in repair.rows]
    before = run.loaded or Loaded()

    def load(connection: Connection, days: schema.Days) -> Loaded:
        # The coins are known: gaps lie between their observations.
        counts = database.load_batch(connection, rows, lambda _coin_id: None, days)
        rejections = [rejection for repair in repairs for rejection in repair.rejections]
        database.record_rejections(connection, rejections)
        for repair in repairs:
            database.record_unfillable_gaps(
                connection, repair.unfillable, run.started_at, repair.until
            )
        loaded = dataclasses.replace(before, rows_backfilled=counts.inserted)
        run.db_seconds = session.seconds
        run.record(connection, loaded)
        return loaded

    run.loaded = database.add(session, load)
    reasons = Counter(gap.reason for repair in repairs for gap in repair.unfillable)
    for reason, count in reasons.items():
        log.info("%d gaps stay: %s", count, reason)
