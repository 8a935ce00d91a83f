"""The request that creates a link to the portfolio, and the links."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.api.schemas.base import NO_NUL, ApiModel, Timestamp, example_config

_SHARE = """{"share_id": 1, "label": "family", "created_at": "2026-11-20T12:00:00Z",
    "expires_at": "2027-01-31T17:00:00Z", "last_used_at": null"""


class ShareRequest(BaseModel):
    """A link to the portfolio in percentages. Without `expires_at` it works until it is revoked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # For you: it is not on the page.
    label: Annotated[str, Field(max_length=100, pattern=NO_NUL, examples=["family"])] = ""
    expires_at: Annotated[Timestamp | None, Field(examples=["2027-01-31T17:00:00Z"])] = None


class ShareResponse(ApiModel):
    """A link, without its token."""

    model_config = example_config(_SHARE + "}") | ConfigDict(from_attributes=True)

    share_id: int
    label: str
    created_at: datetime
    expires_at: datetime | None
    # To the hour; null: never used.
    last_used_at: datetime | None


class NewShareResponse(ShareResponse):
    """A new link. Keep the token: it is shown only once."""

    model_config = example_config(
        _SHARE + ', "token": "Zk3yVb1nQy2TtG5rP8wXaA", "path": "/share/Zk3yVb1nQy2TtG5rP8wXaA"}'
    )

    token: str
    # Of the page, at the API and at the dashboard.
    path: str
