"""The object `monitor` of ingest_config.json: watched coins, alert rules, language, zone."""

from __future__ import annotations

import zoneinfo
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from sentinel.alerting.target_options import CoinTerm, ConfiguredTarget
from sentinel.analytics.price_targets import MAX_OPEN_TARGETS
from sentinel.notifications.kinds import (
    ADJUSTABLE_KINDS,
    DEFAULT_LOUDNESS,
    AdjustableKind,
    Loudness,
    MessageKind,
    find_loudness,
)
from sentinel.notifications.quiet_hours import QuietHours, TimeOfDay


def _check_time_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{name!r:.60} is not a time zone: write one such as Asia/Jakarta"
        ) from error
    return name


def _check_max_threshold(value: float, info: ValidationInfo) -> float:
    if value < (least := info.data.get("min_threshold", value)):
        raise ValueError(
            f"{value} is below monitor.min_threshold {least}: raise it, or lower the other"
        )
    return value


def _add_default_loudness(
    loudness: dict[AdjustableKind, Loudness],
) -> dict[AdjustableKind, Loudness]:
    return {kind: loudness.get(kind, DEFAULT_LOUDNESS[kind]) for kind in ADJUSTABLE_KINDS}


class MonitorOptions(BaseModel):
    """The object `monitor` of ingest_config.json: watched coins, alert rules, language."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # Coins to watch, by id, symbol or name. Held coins and `top_coins` are watched too.
    watchlist: Annotated[list[CoinTerm], Field(max_length=500)] = []
    # This many of the best-ranked coins are watched.
    top_coins: Annotated[int, Field(ge=0, le=500)] = 20
    # Target rate, an upper bound: a coin with more alerts gets a larger threshold multiplier.
    # Null: every coin keeps `threshold_multiplier`.
    alerts_per_coin_week: Annotated[float, Field(gt=0, le=200)] | None = 2.0
    # The threshold in standard deviations of the price change; the target rate only raises it.
    threshold_multiplier: Annotated[float, Field(gt=0, le=100)] = 1.5
    # High-water and low-water marks are taken from this many hours.
    window_hours: Annotated[float, Field(ge=0.1, le=24 * 60)] = 24.0
    # The volatility is that of a price change over this many hours.
    horizon_hours: Annotated[float, Field(ge=0.1, le=24 * 60)] = 24.0
    # Older price changes lose half of their weight in the short volatility after this many hours.
    volatility_half_life_hours: Annotated[float, Field(ge=0.1, le=24 * 60)] = 72.0
    # Limits of the threshold, as fractions of the price.
    min_threshold: Annotated[float, Field(gt=0, lt=1)] = 0.01
    max_threshold: Annotated[
        float, Field(gt=0, lt=1, validate_default=True), AfterValidator(_check_max_threshold)
    ] = 0.25
    # Of each kind of message: loud, silent (no sound) or off. Missing kinds keep their defaults.
    loudness: Annotated[dict[AdjustableKind, Loudness], AfterValidator(_add_default_loudness)] = (
        Field(default={}, validate_default=True)
    )
    # Prices that the user wants to hear of. The API and the dashboard add others.
    price_targets: Annotated[list[ConfiguredTarget], Field(max_length=MAX_OPEN_TARGETS)] = []
    # Two times of the day between which messages wait: {"from": "23:00", "to": "07:00"}.
    quiet_hours: QuietHours | None = None
    # Of the messages: English or Indonesian.
    language: Literal["en", "id"] = "en"
    # Of the times in messages, by its IANA name.
    time_zone: Annotated[str, AfterValidator(_check_time_zone)] = "UTC"
    # When the daily summary is sent, in that zone. Null: never.
    daily_summary: TimeOfDay | None = "08:00"

    @property
    def named_coins(self) -> tuple[str, ...]:
        """The coins to fetch that the settings name, by id, symbol or name."""
        return tuple(
            dict.fromkeys([*self.watchlist, *(target.coin for target in self.price_targets)])
        )

    def is_off(self, kind: MessageKind) -> bool:
        """Return whether the user wants no messages of a kind."""
        return find_loudness(self.loudness, kind) == "off"
