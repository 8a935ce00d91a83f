"""`/status/` and `/share/TOKEN`: the API's pages for a browser, which cannot send its token."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

import requests
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from services.settings import MonitorSettings

# To connect, and between two packets: the API needs four seconds to read and render the pages of
# 500 coins, and ten if it has a price of each per minute.
TIMEOUT_SECONDS = (2.0, 30.0)
FORWARDED = (
    *("Content-Type", "Content-Security-Policy", "ETag", "Cache-Control"),
    *("Referrer-Policy", "X-Robots-Tag"),
)


def make_routes(monitor: MonitorSettings) -> list[Route]:
    """Return the routes. Who may open the dashboard may see them."""
    session = requests.Session()
    # Ignore proxies and .netrc: the token must reach the API only.
    session.trust_env = False
    if monitor.api_token:
        session.headers["Authorization"] = f"Bearer {monitor.api_token}"

    def fetch(path: str, etag: str = "") -> Response:
        try:
            found = session.get(
                f"{monitor.api_url}{path}",
                headers={"If-None-Match": etag},
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException:
            reason = f"The API at {monitor.api_url} does not respond. Try again in a minute.\n"
            return PlainTextResponse(reason, HTTPStatus.SERVICE_UNAVAILABLE)
        headers = {name: found.headers[name] for name in FORWARDED if name in found.headers}
        return Response(found.content, found.status_code, headers)

    async def get_file(request: Request) -> Response:
        path = request.path_params["path"]
        if {".", ".."} & set(path.split("/")):  # would lead to other routes of the API
            return PlainTextResponse("There is no such page.\n", HTTPStatus.NOT_FOUND)
        etag = request.headers.get("If-None-Match", "")
        return await run_in_threadpool(fetch, f"/status/{quote(path)}", etag)

    async def get_share(request: Request) -> Response:
        token = quote(request.path_params["token"], safe="")
        if token in (".", ".."):
            return PlainTextResponse("There is no such page.\n", HTTPStatus.NOT_FOUND)
        language = quote(request.query_params.get("lang", "en"), safe="")
        return await run_in_threadpool(fetch, f"/share/{token}?lang={language}")

    async def redirect_to_folder(_request: Request) -> Response:
        return RedirectResponse("/status/")

    return [
        Route("/status", redirect_to_folder),
        Route("/status/{path:path}", get_file),
        Route("/share/{token}", get_share),
    ]
