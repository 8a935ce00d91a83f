"""Access control: the token, compared in constant time, and HEAD requests."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api import docs_page
from services.api.problems import problem_response

READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Health checks and the API description need no token: they show the status, never stored data.
OPEN_PATHS = docs_page.PATHS | {"/health", "/openapi.json"}
# The rest of the path is a token of its own.
SHARE_PREFIX = "/share/"


class HeadMiddleware:
    """Answer HEAD like GET without a body: some monitoring services check a URL that way."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and drop the body of the response to HEAD."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, send_without_body)


class TokenMiddleware:
    """Require the token for writes always, and for reads if a token is set."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond with 401 or 403, or pass the request on."""
        if scope["type"] != "http" or self._is_allowed(scope):
            await self._app(scope, receive, send)
            return
        if self._token is None:
            response = problem_response(
                HTTPStatus.FORBIDDEN, "Set SENTINEL_API_TOKEN to allow changes through the API."
            )
        else:
            response = problem_response(
                HTTPStatus.UNAUTHORIZED,
                "Send the value of SENTINEL_API_TOKEN in the header 'Authorization: Bearer TOKEN'.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        await response(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        is_read = scope["method"] in READ_METHODS
        is_open = scope["path"] in OPEN_PATHS or scope["path"].startswith(SHARE_PREFIX)
        if is_read and (self._token is None or is_open):
            return True
        return self._token is not None and has_token(Headers(scope=scope), self._token)


def has_token(headers: Mapping[str, str], token: bytes) -> bool:
    """Return whether a request has the token; the comparison takes constant time."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    # ASGI servers decode header bytes as latin-1; this restores the bytes.
    sent_token = credentials.strip().encode("latin-1", "replace")
    # The comparison comes first, so that its time does not depend on the scheme.
    return hmac.compare_digest(sent_token, token) and scheme.lower() == "bearer"
