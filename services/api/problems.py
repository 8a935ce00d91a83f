"""Errors as application/problem+json: https://www.rfc-editor.org/rfc/rfc9457"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from sentinel.errors import SentinelError, StorageUnavailable
from services.api.schemas import Problem

log = logging.getLogger("sentinel.api")
MEDIA_TYPE = "application/problem+json"


def problem(
    status: int,
    detail: str,
    errors: list[dict[str, Any]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer that says what went wrong."""
    content = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors
    ).model_dump(exclude_none=True)
    return Response(
        json.dumps(content), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses for a route's OpenAPI entry."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}}
        for status in statuses
    }


def _methods(app: FastAPI, request: Request) -> set[str]:
    """What a path takes: the framework names the methods of its first route only."""
    return {
        method.upper()
        for path, methods in app.openapi()["paths"].items()
        if re.fullmatch(re.sub(r"\\{.*?\\}", "[^/]+", re.escape(path)), request.url.path)
        for method in methods
    }


def handle_errors(app: FastAPI) -> None:
    """Let every error of the app end in a problem."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(sorted(_methods(app, request)))
        return problem(error.status_code, str(error.detail), headers=headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        found = [
            {"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in error.errors()
        ]
        detail = "; ".join(f"{one['where']}: {one['what']}" for one in found)
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail[:1000], found)

    @app.exception_handler(StorageUnavailable)
    async def away(_request: Request, error: StorageUnavailable) -> Response:
        log.warning("%s", error)
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": "5"})

    @app.exception_handler(SentinelError)
    async def troubled(_request: Request, error: SentinelError) -> Response:
        log.warning("%s", error)
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    @app.exception_handler(Exception)
    async def unforeseen(_request: Request, error: Exception) -> Response:
        # The server logs the traceback; who asked learns nothing of our inside.
        log.error("unforeseen %s", type(error).__name__)
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Please report it, with the log's lines.")
