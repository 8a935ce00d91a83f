"""Coins: their newest observation, their history, who moved."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from safe_zone import RETENTION
from sentinel.archive import export
from sentinel.storage.connection import Connection
from services.api import queries, schemas, transactions
from services.api.dependencies import (
    CoinId,
    Here,
    Limit,
    Offset,
    as_utc,
    conflict,
    no_such_coin,
)
from services.api.problems import described
from services.api.schemas import NO_NUL

router = APIRouter(tags=["coins"])
Resolution = Literal["auto", "raw", "5m", "15m", "30m", "1h", "4h", "1d"]

MOST_POINTS = 20_000
MOST_HOURS = 24 * 366 * 20
FINEST = timedelta(minutes=1)  # observations do not come closer
DAY = timedelta(days=1)
FEW_POINTS = 400  # that `auto` aims at: more than a chart has pixels for is waste
MOVERS_AMONG = 500  # ranked coins
DEFAULT_SPAN = timedelta(days=7)
SPARKLINE_STEPS = 24


@router.get("/coins", responses=described(422, 503))
def coins(
    here: Here,
    search: Annotated[
        str | None, Query(min_length=1, max_length=100, pattern=NO_NUL, examples=["bit"])
    ] = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> schemas.Page[schemas.Coin]:
    """Coins with their newest observation, by rank; `search` looks into id, symbol and name."""
    rows = here.store.read(
        lambda c: queries.coins(c, search=search, limit=limit + 1, offset=offset)
    )
    following = str(offset + limit) if len(rows) > limit else None
    return schemas.Page[schemas.Coin].model_validate({"items": rows[:limit], "next": following})


@router.get("/coins/{coin_id}", responses=described(404, 422, 503))
def coin(here: Here, coin_id: CoinId) -> schemas.CoinDetail:
    """One coin with its newest observation, and the marks that the alerts watch."""
    row = here.store.read(lambda c: queries.coin(c, coin_id))
    if row is None:
        raise no_such_coin(coin_id)
    return schemas.CoinDetail.model_validate(row)


@router.get("/coins/{coin_id}/history", responses=described(404, 409, 422, 503))
def history(
    here: Here,
    coin_id: CoinId,
    start: Annotated[schemas.Moment | None, Query(description="default: seven days ago")] = None,
    end: Annotated[schemas.Moment | None, Query(description="not included; default: now")] = None,
    hours: Annotated[
        int | None, Query(ge=1, le=MOST_HOURS, description="so many before the end, not start")
    ] = None,
    resolution: Annotated[Resolution, Query(description="the step; auto: by the span")] = "auto",
) -> schemas.History:
    """A coin's history in steps; `raw` is every observation. What is older than sixty days comes
    from the archive, where there is one.

    Where the span is too long for the step, a longer one is taken; the answer says which.
    """
    # The minute that is under way counts whole, so that the answer stays the same within it.
    now = here.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    stop = min(as_utc(end), now) if end else now
    if start and hours:
        raise conflict("start and hours: give one of them")
    span = timedelta(hours=hours) if hours else DEFAULT_SPAN
    begin = as_utc(start) if start else stop - span
    if begin >= stop:
        raise conflict(f"start {begin.isoformat()} is not before end {stop.isoformat()}")
    kept = now - RETENTION - DAY
    archive = export.archive_of(here.monitor.settings) if begin < kept else None
    if archive is None:  # what is older is not there: nothing is asked for it
        begin = max(begin, kept)
    step = _choose(stop - begin, resolution)

    def read(connection: Connection) -> list[queries.Row]:
        if archive:
            rows = queries.long_history(connection, archive, coin_id, begin, stop, step)
        else:
            rows = queries.history(connection, coin_id, begin, stop, step)
        if not rows and not queries.is_known(connection, coin_id):
            raise no_such_coin(coin_id)
        return rows

    rows = here.store.read(read, copies=archive is not None)
    return schemas.History.model_validate(
        {
            "coin_id": coin_id,
            "start": begin,
            "end": stop,
            "resolution": step,
            "step_seconds": queries.STEPS[step].total_seconds(),
            "points": rows,
        }
    )


def _choose(span: timedelta, wish: Resolution) -> str:
    """The step that is wished for, or the next longer one that makes no more than MOST_POINTS;
    `auto` is the shortest that makes few."""
    most, least = (
        (FEW_POINTS, timedelta()) if wish == "auto" else (MOST_POINTS, queries.STEPS[wish])
    )
    for name, step in queries.STEPS.items():
        if step >= least and span / max(step, FINEST) <= most and (step or wish == "raw"):
            return name
    return list(queries.STEPS)[-1]


@router.get("/sparklines", responses=described(422, 503))
def sparklines(
    here: Here,
    hours: Annotated[int, Query(ge=1, le=168)] = 24,
    limit: Limit = 100,
    offset: Offset = 0,
) -> schemas.Sparklines:
    """The last hours of every coin in a few points, in the order of `/coins`."""
    stop = here.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    start = stop - timedelta(hours=hours)
    rows = here.store.read(
        lambda c: queries.sparklines(c, start, stop, SPARKLINE_STEPS, limit, offset)
    )
    return schemas.Sparklines.model_validate({"start": start, "end": stop, "items": rows})


@router.get("/rates", responses=described(503))
def rates(here: Here) -> schemas.Rate:
    """What one USD costs in rupiah, as observed with the prices."""
    found = here.store.read(lambda c: transactions.rate_at(c, here.now(), DAY))
    return schemas.Rate(
        idr_per_usd=float(found.idr_per_usd) if found else None,
        observed_at=found.observed_at if found else None,
    )


@router.get("/movers", responses=described(422, 503))
def movers(
    here: Here,
    hours: Annotated[int, Query(ge=1, le=168)] = 24,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> schemas.Movers:
    """Who rose most and who fell most, among the 500 best ranked coins."""
    rows = here.store.read(lambda c: queries.movers(c, here.now(), hours, MOVERS_AMONG))
    gainers = [row for row in rows if row["change"] > 0]
    losers = [row for row in reversed(rows) if row["change"] < 0]
    return schemas.Movers.model_validate(
        {"hours": hours, "gainers": gainers[:limit], "losers": losers[:limit]}
    )
