"""Responses about alerts, their outcomes and muted coins."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sentinel.analytics.crossings import Basis
from services.api.queries.alerts import Language, Outcome
from services.api.schemas.base import NO_NUL, AlertKind, ApiModel, Page, Timestamp, example_config
from services.api.schemas.price_targets import PriceTargetResponse


class AlertQuery(BaseModel):
    """Which alerts a request asks for."""

    model_config = ConfigDict(frozen=True)

    coin_id: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)]],
        Field(max_length=50, description="repeat it for several coins"),
    ] = []
    kind: AlertKind | None = None
    outcome: Outcome | None = None
    is_announced: Annotated[bool | None, Field(description="false: only alerts of muted coins")] = (
        None
    )
    since: Timestamp | None = None
    until: Annotated[Timestamp | None, Field(description="not included")] = None
    before: Annotated[int | None, Field(ge=1, lt=2**63, description="an alert_id")] = None
    limit: Annotated[int, Field(ge=1, le=500, description="the maximum number of items")] = 50
    language: Annotated[Language, Field(description="of `why`")] = "en"
    include: Annotated[
        list[Literal["mutes", "price_targets"]],
        Field(description="lists of the same coins to add to the response"),
    ] = []


class MuteRequest(BaseModel):
    """For how long a coin is muted."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    hours: Annotated[float, Field(gt=0, le=24 * 366, examples=[24])]


class MuteResponse(ApiModel):
    """A muted coin."""

    coin_id: Annotated[str, Field(examples=["bitcoin"])]
    muted_until: datetime


class AlertResponse(ApiModel):
    """An alert and its outcome."""

    model_config = example_config("""{"alert_id": 17, "coin_id": "bitcoin", "symbol": "btc",
        "name": "Bitcoin", "kind": "panic", "level": 1, "observed_at": "2026-11-20T12:00:12Z",
        "price_usd": 92140.12, "reference_usd": 97200.0, "reference_at": "2026-11-20T09:00:05Z",
        "move": -0.052, "threshold": 0.05, "basis": "window", "is_announced": true,
        "after_1h": -0.004, "after_24h": 0.013, "outcome": "recovered",
        "why": "It fell 5.2% in 3 hours from its high of $97,200.00; its alerts begin at 5.0%."}""")

    alert_id: int
    coin_id: str
    symbol: str
    name: str
    kind: AlertKind
    # The n-th alert in this direction since the window's mark.
    level: int
    observed_at: datetime
    price_usd: float
    # The mark that the move is measured from, and when it was observed.
    reference_usd: float
    reference_at: datetime
    # Both are fractions of the reference.
    move: Annotated[float, Field(examples=[-0.052])]
    threshold: Annotated[float, Field(examples=[0.05])]
    # What the mark is: the extreme of the window or of the week, the extreme before an outage, or
    # the peg.
    basis: Basis
    # False: the coin was muted, so no message was sent.
    is_announced: bool
    # How far the price moved on after the alert, as a fraction of its price; null until known.
    after_1h: float | None
    after_24h: float | None
    # A day later the price `went_on` in the alert's direction or it `recovered`; `unknown` before,
    # and where no price stands for that time.
    outcome: Outcome
    # The figures of the rule in one sentence.
    why: str


class AlertsResponse(Page[AlertResponse]):
    """One page of alerts, and the lists that the request asked for with `include`."""

    # The mutes of the same coins, the one that ends first at the top. Null: not asked for.
    mutes: list[MuteResponse] | None = None
    # Their price targets: open ones, then those that fired once or expired. Null: not asked for.
    price_targets: list[PriceTargetResponse] | None = None
