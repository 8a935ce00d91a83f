"""Who may read and write: the token, compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.problems import problem

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# Probes and the description need no token: they tell how it fares, and nothing of what is stored.
OPEN_PATHS = frozenset({"/health", "/openapi.json", "/docs"})


class Head:
    """Answers HEAD as GET without a body: probes ask so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and of the answer its head."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


class Access:
    """Lets through what may pass: reads are open without a token set, writes never are."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403, or pass the request on."""
        if scope["type"] != "http" or self._may_pass(scope):
            await self._app(scope, receive, send)
            return
        if self._token is None:
            answer = problem(
                HTTPStatus.FORBIDDEN, "Nothing can be written until SENTINEL_API_TOKEN is set."
            )
        else:
            answer = problem(
                HTTPStatus.UNAUTHORIZED,
                "Send the token: Authorization: Bearer and what SENTINEL_API_TOKEN holds.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        await answer(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        is_read = scope["method"] in SAFE
        if is_read and (self._token is None or scope["path"] in OPEN_PATHS):
            return True
        return self._token is not None and _is_same(Headers(scope=scope), self._token)


def _is_same(headers: Mapping[str, str], token: bytes) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    sent = given.strip().encode("latin-1", "replace")
    return hmac.compare_digest(sent, token) and scheme.lower() == "bearer"
