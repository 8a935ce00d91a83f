"""The base of all response classes: prices in USD, shares as fractions, times in UTC."""

from __future__ import annotations

import json
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")


class ApiModel(BaseModel):
    """The base of every response."""

    model_config = ConfigDict(frozen=True)


def example_config(text: str) -> ConfigDict:
    """Return a model configuration that puts an example into the OpenAPI description.

    The example is written as JSON, as a client receives it.
    """
    return ConfigDict(frozen=True, json_schema_extra={"examples": [json.loads(text)]})


class Page(ApiModel, Generic[T]):
    """One page of a list.

    `next` is the value of `before` or `offset` that requests the next page; null on the last page.
    """

    items: list[T]
    next: str | None = None
