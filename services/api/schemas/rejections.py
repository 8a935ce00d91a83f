"""Requests and responses about rejected entries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from sentinel.storage.quarantine import Resolution
from services.api.schemas.base import NO_NUL, ApiModel, Timestamp, example_config

_Text = Annotated[str, Field(min_length=1, max_length=300, pattern=NO_NUL)]


class RejectionSelection(BaseModel):
    """Which open entries a request is about: those that match all of these."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # RUN/COIN each; empty: any.
    ids: Annotated[
        list[_Text], Field(max_length=1_000, examples=[["20261120T120030Z-6a00/atlas-2"]])
    ] = []
    reason: Annotated[_Text | None, Field(examples=["price_too_high"])] = None
    coin_id: Annotated[_Text | None, Field(examples=["atlas-2"])] = None
    # Entries that were rejected at this time or later.
    since: Annotated[Timestamp | None, Field(examples=["2026-11-20T00:00:00Z"])] = None
    # Say what would happen, and change nothing.
    dry_run: StrictBool = False


class ReplayRequest(RejectionSelection):
    """Which entries are replayed; without a selection all open ones."""


class DiscardRequest(RejectionSelection):
    """Which entries are discarded; without a selection `all` must be true."""

    all: StrictBool = False
    # Why, kept with the entries.
    note: Annotated[str, Field(max_length=500, pattern=NO_NUL)] | None = None


class ReplayResponse(ApiModel):
    """What a replay did, or with `dry_run` would do, in entries."""

    model_config = example_config("""{"loaded": 12, "stored_before": 1,
        "refused": {"negative_price": 3}, "dry_run": false}""")

    loaded: int
    # Valid entries whose point is stored already.
    stored_before: int
    # Entries that stay open, by reason.
    refused: dict[str, int]
    dry_run: bool


class DiscardResponse(ApiModel):
    """How many open entries were discarded, or with `dry_run` would be."""

    discarded: Annotated[int, Field(examples=[3])]
    dry_run: bool


class RejectionResponse(ApiModel):
    """An invalid entry of a CoinGecko response: the reason, the run, and how the entry began."""

    model_config = example_config("""{"id": "20261120T120030Z-6a00/atlas-2",
        "rejected_at": "2026-11-20T12:00:30Z",
        "run_id": "20261120T120030Z-6a00", "coin_id": "atlas-2", "reason": "null_price",
        "raw": "{\\"usd\\": null}", "resolution": null, "resolved_at": null, "note": null}""")

    # What a replay or a discard calls the entry: RUN/COIN.
    id: str
    rejected_at: datetime
    run_id: str
    coin_id: str
    reason: str
    raw: str
    # Null: the entry is open.
    resolution: Resolution | None
    resolved_at: datetime | None
    # Why the user discarded it.
    note: str | None


class RejectionsResponse(ApiModel):
    """Rejections of the last seven days counted by reason, and one page of entries.

    `next` is the `before` of the next page.
    """

    by_reason: dict[str, int]
    items: list[RejectionResponse]
    next: str | None
