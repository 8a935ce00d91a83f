"""The context that every route receives, and the request parameters that several routes share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

from anyio import to_thread
from fastapi import Depends, Path, Query, Request

from pipeline.site_figures import load_registry
from sentinel.archive.price_lookup import PriceLookup
from services.api.coin_names import find_coin_id
from services.api.connection_pool import ConnectionPool
from services.api.schemas.alert_scores import AlertScoreResponse
from services.api.schemas.base import NO_NUL
from services.api.status_site import StatusSite
from services.settings import MonitorSettings

# No coin had a price before 2009; times outside these years are clamped to them.
YEARS = range(2009, 2200)

CoinFilter = Annotated[
    str | None, Query(alias="coin_id", min_length=1, max_length=100, pattern=NO_NUL)
]
Offset = Annotated[int, Query(ge=0, le=100_000, description="items to skip")]
Limit = Annotated[int, Query(ge=1, le=500, description="the maximum number of items")]


@dataclass(frozen=True, slots=True)
class ApiContext:
    """The database, the settings and the clock."""

    pool: ConnectionPool
    monitor: MonitorSettings
    now: Callable[[], datetime]
    # By coin: the newest response of the route that costs most. At most one per watched coin.
    alert_scores: dict[str, AlertScoreResponse] = field(default_factory=dict)
    # Prices from the archive that the portfolio's history needed.
    past_prices: PriceLookup = field(default_factory=PriceLookup)
    # The pages of `/share/`, which are the same for all links.
    share_pages: StatusSite = field(default_factory=StatusSite)
    # The ids that paths named and the database knows.
    coin_ids: set[str] = field(default_factory=set)
    # The pages of `/status/`.
    site: StatusSite = field(default_factory=StatusSite)


async def _get_context(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


# The type of a route's first parameter: FastAPI fills it in from the app's state.
RequestContext = Annotated[ApiContext, Depends(_get_context)]


async def _resolve_coin(
    context: RequestContext,
    coin_id: Annotated[
        str,
        Path(
            min_length=1, max_length=100, pattern=NO_NUL, examples=["bitcoin"],
            description="CoinGecko's id, or a symbol that no other stored coin has",
        ),
    ],
) -> str:  # fmt: skip
    if coin_id in context.coin_ids:
        return coin_id
    found = await to_thread.run_sync(
        lambda: context.pool.read(lambda connection: find_coin_id(connection, coin_id))
    )
    if found == coin_id:
        context.coin_ids.add(coin_id)
        return coin_id
    # The id of a coin that no run has stored wins over a symbol.
    is_symbol = found and coin_id not in load_registry(context.monitor.settings).coins
    return found if found and is_symbol else coin_id


# The id of the coin in a path. One that no run has stored stays as it is.
CoinId = Annotated[str, Depends(_resolve_coin)]


def clamp_to_utc(time: datetime) -> datetime:
    """Return a time from a request in UTC (UTC is assumed without a zone), clamped to YEARS."""
    if time.year not in YEARS:
        return datetime(YEARS[0] if time.year < YEARS[0] else YEARS[-1], 1, 1, tzinfo=UTC)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
