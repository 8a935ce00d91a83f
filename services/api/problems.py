"""Errors as application/problem+json: https://www.rfc-editor.org/rfc/rfc9457"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from sentinel.errors import SentinelError, StorageUnavailable
from services.api.schemas.base import NO_NUL
from services.api.shown_paths import shorten_paths

log = logging.getLogger("sentinel.api")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
MAX_DETAIL_CHARACTERS = 1_000


class Problem(BaseModel):
    """What went wrong, to what, and where the request has to change."""

    type: str = "about:blank"
    title: Annotated[str, Field(examples=["Not Found"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["There is no coin 'bitcoinn'."])]
    errors: list[dict[str, Any]] | None = None


def problem_response(
    status: int,
    detail: str,
    errors: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response that says what went wrong."""
    problem = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors
    ).model_dump(exclude_none=True)
    return Response(
        json.dumps(problem), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def conflict(detail: str) -> HTTPException:
    """Return the error for a valid request that contradicts itself or the stored data (409)."""
    return HTTPException(409, detail)


class UnknownCoin(HTTPException):
    """A coin id that was never stored (404)."""

    def __init__(self, coin_id: str) -> None:
        super().__init__(404, f"There is no coin '{coin_id}'. GET /coins?search= finds ids.")
        self.coin_id = coin_id


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entry of a route for the error statuses that it may return."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}}
        for status in statuses
    }


def _allowed_methods(app: FastAPI, request: Request) -> set[str]:
    """Return every method of a path; FastAPI itself names only those of the path's first route."""
    paths, path = app.openapi()["paths"], request.url.path
    # A path without parameters is not one of those that look like it: /price-targets/preview.
    matching = [path] if path in paths else [known for known in paths if _matches(known, path)]
    return {method.upper() for known in matching for method in paths[known]}


def _matches(known: str, path: str) -> bool:
    return bool(re.fullmatch(re.sub(r"\\{.*?\\}", "[^/]+", re.escape(known)), path))


# pydantic's kinds of errors in our words; `ctx` has the values.
# https://docs.pydantic.dev/latest/errors/validation_errors/
MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is no field of this request",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be {le} or less",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters or fewer",
    "string_pattern_mismatch": "must match {pattern}",
    "list_type": "must be a list",
    "too_long": "must have {max_length} entries or fewer",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "value_error": "{error}",
    "json_invalid": "is not valid JSON: {error}",
}


def describe_error(error: Mapping[str, Any]) -> str:
    """Return what is wrong with a field; pydantic's own words for a rare kind of error."""
    values = error.get("ctx", {})
    if values.get("pattern") == NO_NUL:
        return "has a character that cannot be stored"
    template = MESSAGES.get(error.get("type", ""))
    return template.format(**values) if template else str(error["msg"])


def register_error_handlers(app: FastAPI) -> None:
    """Return every error of the app as a problem."""

    @app.exception_handler(HTTPException)
    async def handle_http_error(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(sorted(_allowed_methods(app, request)))
        return problem_response(error.status_code, str(error.detail), headers=headers)

    @app.exception_handler(RequestValidationError)
    async def handle_invalid_request(_request: Request, error: RequestValidationError) -> Response:
        errors = [
            {"where": ".".join(map(str, one["loc"])), "what": describe_error(one)}
            for one in error.errors()
        ]
        detail = "; ".join(f"{one['where']}: {one['what']}" for one in errors)
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return problem_response(status, detail[:MAX_DETAIL_CHARACTERS], errors)

    @app.exception_handler(SentinelError)
    async def handle_known_error(request: Request, error: SentinelError) -> Response:
        log.warning("%s", error)
        is_temporary = isinstance(error, StorageUnavailable)
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if is_temporary else None
        detail = shorten_paths(str(error), request.app.state.context.monitor.settings)
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=headers)

    @app.exception_handler(Exception)
    async def handle_unexpected_error(_request: Request, error: Exception) -> Response:
        # The server logs the traceback; the client must not learn internals from it.
        log.error("unexpected %s", type(error).__name__)
        detail = "This is a defect. Please report it with the lines of the API's log."
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
