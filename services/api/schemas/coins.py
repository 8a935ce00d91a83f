"""Responses about coins: newest observation, history, sparklines, movers, exchange rate."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from services.api.schemas.base import ApiModel, PriceSource, example_config


class CoinResponse(ApiModel):
    """A coin with its newest observation."""

    coin_id: Annotated[str, Field(examples=["bitcoin"])]
    symbol: Annotated[str, Field(examples=["btc"])]
    name: Annotated[str, Field(examples=["Bitcoin"])]
    # By market capitalization; null if CoinGecko does not rank the coin.
    rank: Annotated[int | None, Field(examples=[1])]
    price_usd: Annotated[float, Field(examples=[92140.12])]
    market_cap_usd: float | None
    volume_24h_usd: float | None
    observed_at: datetime
    source: PriceSource
    # Whether the user starred the coin.
    is_starred: bool


class ListedCoinResponse(ApiModel):
    """A coin that CoinGecko lists, or that was ever stored."""

    coin_id: Annotated[str, Field(examples=["bitcoin"])]
    symbol: Annotated[str, Field(examples=["btc"])]
    name: Annotated[str, Field(examples=["Bitcoin"])]
    # By market capitalization; null if CoinGecko does not rank the coin.
    rank: Annotated[int | None, Field(examples=[1])]


class AlertTrackerResponse(ApiModel):
    """What the alert rule tracks for a coin: the window's extremes, the threshold, the rates."""

    # High-water and low-water mark of the window, and when each was observed.
    high_usd: float | None
    high_observed_at: datetime | None
    low_usd: float | None
    low_observed_at: datetime | None
    # The move from a mark that sends an alert, as a fraction.
    threshold: Annotated[float, Field(examples=[0.05])]
    # The threshold multiplier in force, in standard deviations. It is above the calibrated one for
    # a time after more alerts than the target rate allows.
    effective_multiplier: float
    # Alerts per week: the configured upper bound, and the rate that the calibration reached on the
    # coin's own history.
    target_rate: float | None
    actual_rate: float | None
    calibrated_at: datetime | None


class CoinDetailResponse(CoinResponse):
    """A coin and its alert tracker; `watch` is null if the monitor does not watch the coin."""

    watch: AlertTrackerResponse | None
    # Until then its alerts are recorded and not sent; null: the coin is not muted.
    muted_until: datetime | None


class StarredCoinResponse(ApiModel):
    """A coin that the user starred. A coin that no run has stored yet goes by its id."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    coin_id: Annotated[str, Field(examples=["solana"])]
    symbol: Annotated[str, Field(examples=["sol"])]
    name: Annotated[str, Field(examples=["Solana"])]
    starred_at: datetime


class HistoryPointResponse(ApiModel):
    """One step of a history. `observed_at` is the start of the step, `price_usd` its last price."""

    model_config = example_config("""{"observed_at": "2026-11-20T12:00:00Z", "open_usd": 92100.0,
        "price_usd": 92140.12, "low_usd": 92010.5, "high_usd": 92380.0,
        "volume_24h_usd": 61000000000.0, "observations": 3, "backfilled": 0}""")

    observed_at: datetime
    # The first price of the step.
    open_usd: float
    price_usd: float
    low_usd: float
    high_usd: float
    volume_24h_usd: float | None
    # How many observations the step has, and how many of them were backfilled.
    observations: int
    backfilled: int


class HistoryResponse(ApiModel):
    """A coin's history from `start` up to, not including, `end`, in steps of `resolution`."""

    coin_id: str
    start: datetime
    end: datetime
    resolution: Annotated[str, Field(examples=["1h"])]
    # 0 for `raw`, where every observation is a point.
    step_seconds: Annotated[float, Field(examples=[3600.0])]
    points: list[HistoryPointResponse]


class SparklineResponse(ApiModel):
    """A coin's prices at the times of the list; null for a step without an observation."""

    model_config = example_config("""{"coin_id": "bitcoin",
        "prices_usd": [92140.12, null, 92380.0]}""")

    coin_id: str
    prices_usd: list[float | None]


class SparklinesResponse(ApiModel):
    """Prices at evenly spaced times from `start` to `end`, for several coins."""

    start: datetime
    end: datetime
    items: list[SparklineResponse]


class ExchangeRateResponse(ApiModel):
    """The price of one USD in rupiah; null if no rate was observed in the last 24 hours."""

    model_config = example_config("""{"idr_per_usd": 16250.0,
        "observed_at": "2026-11-20T12:00:12Z"}""")

    idr_per_usd: float | None
    observed_at: datetime | None


class MoverResponse(ApiModel):
    """How far a coin's price moved; `change` is a fraction of `previous_price_usd`."""

    model_config = example_config("""{"coin_id": "solana", "symbol": "sol", "name": "Solana",
        "rank": 6, "price_usd": 141.2, "previous_price_usd": 135.5, "change": 0.042,
        "observed_at": "2026-11-20T12:00:12Z", "previous_observed_at": "2026-11-19T11:58:40Z"}""")

    coin_id: str
    symbol: str
    name: str
    rank: int | None
    price_usd: float
    previous_price_usd: float
    change: Annotated[float, Field(examples=[0.042])]
    observed_at: datetime
    previous_observed_at: datetime


class MoversResponse(ApiModel):
    """The coins that rose most and fell most in the last `hours`."""

    hours: int
    gainers: list[MoverResponse]
    losers: list[MoverResponse]
