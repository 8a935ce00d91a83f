"""The response that describes an error (RFC 9457, application/problem+json)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """What went wrong, to what, and where the request has to change."""

    type: str = "about:blank"
    title: Annotated[str, Field(examples=["Not Found"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["There is no coin 'bitcoinn'."])]
    errors: list[dict[str, Any]] | None = None
