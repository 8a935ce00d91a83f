"""The operation ids of the OpenAPI description: the names of a generated client's functions."""

from __future__ import annotations

import typing

from fastapi.routing import APIRoute

# A client's function says what it does, not which method it sends.
VERBS = {"post": "add", "put": "update", "remove": "delete"}


def make_operation_id(route: APIRoute) -> str:
    """Return the name of the route's function: `list_…` where the response has `items`.

    A test asserts that they are unique.
    """
    verb, _, rest = route.name.partition("_")
    response = typing.get_type_hints(route.endpoint).get("return")
    if verb == "get" and "items" in getattr(response, "model_fields", {}):
        return f"list_{rest}"
    return f"{VERBS.get(verb, verb)}_{rest}"
