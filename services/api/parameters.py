"""Query parameters that a route does not know are refused: a mistyped filter would return all."""

from __future__ import annotations

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise RequestValidationError (422) that names unknown parameters and the known ones.

    Pages that are not in the OpenAPI description take what they are given.
    """
    route = request.scope["route"]
    if not request.query_params or not route.include_in_schema:
        return
    known = _list_parameters(route.dependant)
    has = f"this route has {', '.join(known)}" if known else "this route has no parameters"
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError(
            [{"loc": ("query", name), "msg": f"is no parameter: {has}"} for name in unknown]
        )


def _list_parameters(dependant: Dependant) -> list[str]:
    """Return the names of the query parameters of a route; those of a class are its fields."""
    names: list[str] = []
    for field in dependant.query_params:
        fields = getattr(field.field_info.annotation, "model_fields", None)
        names += [field.alias] if fields is None else list(fields)
    return names + [name for part in dependant.dependencies for name in _list_parameters(part)]
