"""Which web pages may talk to the API and the dashboard: names, origins, frames.

A browser lets a page of a stranger send requests to 127.0.0.1. Three checks stop them:

- The name in `Host` must be one of ours. A page whose name is rebound to 127.0.0.1 counts as the
  same origin for the browser; only its name gives it away (DNS rebinding). No DNS answer leads to
  an IP address as the name, so addresses are accepted.
- `Origin`, if there is one, must be the address that the request was sent to, or one that the
  settings allow: SENTINEL_API_ORIGINS, for the API only. Streamlit itself accepts a WebSocket of
  every page on `localhost`, whatever its port.
- The response forbids frames: a page that shows ours in a frame makes people click in it.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Of a WebSocket that is refused: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
POLICY_VIOLATION = 1008
REMEMBERED_PAIRS = 100
POLICY_HEADER = "Content-Security-Policy"
NO_FRAMES = "frame-ancestors 'none'"
RESPONSE_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Pages of other origins cannot load a response as an image or a script either. A request with
    # CORS is not affected: https://fetch.spec.whatwg.org/#cross-origin-resource-policy-header
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}


class WebAccessMiddleware:
    """Refuse requests with a foreign name or from a foreign page; forbid frames.

    `hosts` are the accepted names besides IP addresses, in lower case. A proxy in front may replace
    `Host` by a name of its own; then `Origin` still has one of `public_hosts`. `origins` are other
    pages that may send requests; what they may read is up to the app. `content_policy` is
    the Content-Security-Policy of responses that set none; NO_FRAMES is added to it. `refuse` makes
    a response of a status and a sentence.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        public_hosts: Collection[str],
        content_policy: str,
        refuse: Callable[[int, str], Response],
        origins: Collection[str] = (),
    ) -> None:
        self._app = app
        self._origins = origins
        self._hosts = hosts
        self._public_hosts = public_hosts
        self._refuse = refuse
        # Most requests have the same two headers as the one before.
        self._find_problem = functools.lru_cache(REMEMBERED_PAIRS)(self._explain_refusal)
        # A response may set another value of each.
        policy = {POLICY_HEADER: f"{content_policy}; {NO_FRAMES}"}
        self._headers = encode_headers(RESPONSE_HEADERS | policy)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with 403."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                added = [pair for pair in self._headers if pair[0] not in own]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        headers = Headers(scope=scope)
        problem = self._find_problem(headers.get("host", ""), headers.get("origin"))
        if problem is None:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            response = self._refuse(HTTPStatus.FORBIDDEN, problem)
            await response(scope, receive, send_with_headers)

    def _explain_refusal(self, address: str, origin: str | None) -> str | None:
        """Return why a request is refused; None if it is not."""
        host = parse_host(f"//{address}")
        if not (_is_ip_address(host) or host in self._hosts):
            return (
                f"This server does not go by the name {host!r:.100}. If the name is yours, add it "
                "to SENTINEL_PUBLIC_HOSTS and start again."
            )
        if origin is None or origin.lower().partition("://")[2] == address.lower():
            return None
        if parse_host(origin) in self._public_hosts or origin in self._origins:
            return None
        return (
            f"A page of {origin!r:.100} sent this request to {address!r:.100}. If the page is "
            "yours, add its name to SENTINEL_PUBLIC_HOSTS and start again."
        )


def parse_host(url: str) -> str:
    """Return the host of a URL in lower case, without brackets and last dot; "" if it has none."""
    try:
        parts = urlsplit(url)
        is_plain = parts.port != 0 and parts.username is None and not parts.path
        host = parts.hostname or ""
    except ValueError:
        return ""
    return host.rstrip(".") if is_plain else ""


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def encode_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI has them."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
