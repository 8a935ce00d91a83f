"""Query parameters that a route does not know are refused: a mistyped filter would return all."""

from __future__ import annotations

from fastapi import Request
from fastapi.exceptions import RequestValidationError


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise RequestValidationError (422) that names unknown parameters and the known ones.

    Pages that are not in the OpenAPI description take what they are given.
    """
    if not request.query_params:
        return
    path, method = request.scope["route"].path_format, request.method.lower()
    operation = request.app.openapi()["paths"].get(path, {}).get(method)
    if operation is None:
        return
    parameters = operation.get("parameters", ())
    known = [one["name"] for one in parameters if one["in"] == "query"]
    has = f"this route has {', '.join(known)}" if known else "this route has no parameters"
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError(
            [{"loc": ("query", name), "msg": f"is no parameter: {has}"} for name in unknown]
        )
