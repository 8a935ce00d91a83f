"""The response about an alert."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.api.schemas.base import ApiModel, example_config
from services.api.schemas.fields import AlertKind


class AlertResponse(ApiModel):
    """An alert and its outcome."""

    model_config = example_config("""{"alert_id": 17, "coin_id": "bitcoin", "symbol": "btc",
        "name": "Bitcoin", "kind": "panic", "level": 1, "observed_at": "2026-11-20T12:00:12Z",
        "price_usd": 92140.12, "reference_usd": 97200.0, "reference_at": "2026-11-20T09:00:05Z",
        "move": -0.052, "threshold": 0.05, "after_1h": -0.004, "after_24h": null}""")

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
    # How far the price moved on after the alert, as a fraction of its price; null until known.
    after_1h: float | None
    after_24h: float | None
