"""`/docs`: Swagger UI from our own server. `/` leads there.

FastAPI's own page loads the newest script of a CDN into the place where a person enters the token.
The wheel `fastapi-offline` has the files of npm's `swagger-ui-dist`, byte for byte, and pip checks
its hash.
"""

from __future__ import annotations

import importlib.resources

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.web_access import NO_FRAMES, POLICY_HEADER

router = APIRouter(include_in_schema=False)

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Market Sentinel API</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body>
</html>
"""
# Without a validator: Swagger UI would send the description's address to swagger.io.
START = """SwaggerUIBundle({url: "/openapi.json", dom_id: "#swagger-ui", validatorUrl: null})
"""
POLICY = f"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; {NO_FRAMES}"
# The files of the page by name, and their media types.
FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "start.js": "text/javascript",
}
# They are open without the token, and need no database.
PATHS = frozenset({"/", "/docs", *(f"/docs/{name}" for name in FILES)})


@router.get("/")
def redirect_to_page() -> Response:
    """Lead to the page."""
    return RedirectResponse("/docs")


@router.get("/docs")
def get_page() -> HTMLResponse:
    """Return the page."""
    return HTMLResponse(PAGE, headers={POLICY_HEADER: POLICY})


@router.get("/docs/{name}")
def get_file(name: str) -> Response:
    """Return a file of the page."""
    if name not in FILES:
        raise HTTPException(404)
    if name == "start.js":
        return Response(START, media_type=FILES[name])
    static = importlib.resources.files("fastapi_offline") / "static"
    headers = {"Cache-Control": "max-age=3600"}
    return Response((static / name).read_bytes(), media_type=FILES[name], headers=headers)
