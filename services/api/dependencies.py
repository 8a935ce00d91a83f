"""What every route has at hand, and the parameters that several of them take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, HTTPException, Path, Query, Request

from services.api.connection_pool import Store
from services.api.schemas import NO_NUL
from services.settings import MonitorSettings

YEARS = range(2009, 2200)  # there were no prices before

CoinId = Annotated[
    str, Path(min_length=1, max_length=100, pattern=NO_NUL, description="CoinGecko's id")
]
CoinFilter = Annotated[
    str | None, Query(alias="coin_id", min_length=1, max_length=100, pattern=NO_NUL)
]
Offset = Annotated[int, Query(ge=0, le=100_000)]
Limit = Annotated[int, Query(ge=1, le=500, description="the longest list")]


@dataclass(frozen=True, slots=True)
class Context:
    """The store, the settings and the clock."""

    store: Store
    monitor: MonitorSettings
    now: Callable[[], datetime]


def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Here = Annotated[Context, Depends(_context)]


def as_utc(at: datetime) -> datetime:
    """A moment somebody typed, UTC where it has no zone; brought into YEARS, outside of which there
    is nothing."""
    if at.year not in YEARS:
        return datetime(YEARS[0] if at.year < YEARS[0] else YEARS[-1], 1, 1, tzinfo=UTC)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def conflict(detail: str) -> HTTPException:
    """The refusal of what is well formed, but goes against what is stored or against itself."""
    return HTTPException(409, detail)


def no_such_coin(coin_id: str) -> HTTPException:
    """The refusal of an id that was never stored."""
    return HTTPException(404, f"There is no coin '{coin_id}'. GET /coins?search= finds ids.")
