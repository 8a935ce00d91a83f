"""`/status/`: the public page, with the market, from the monitor's database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from fastapi import APIRouter, HTTPException
from fastapi.responses import RedirectResponse, Response

from pipeline.site_figures import read_monitor_figures
from sentinel.site.site_files import SiteFigures, render_site
from services.api.dependencies import ApiContext, RequestContext
from services.web_access import NO_FRAMES, POLICY_HEADER

# Not in the OpenAPI description: these are pages for people.
router = APIRouter(prefix="/status", include_in_schema=False)

MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".xml": "application/atom+xml",
}


@router.get("")
def redirect_to_folder() -> Response:
    """Lead to the folder: the links of the pages are relative."""
    return RedirectResponse("/status/")


@router.get("/{path:path}")
def get_file(context: RequestContext, path: str) -> Response:
    """Return a file; the folder itself is its first page."""
    path = path or "index.html"
    content = context.site.get_files(context.now(), lambda: _render(context)).get(path)
    media_type = MEDIA_TYPES.get(PurePosixPath(path).suffix)
    if content is None or media_type is None:
        raise HTTPException(404, f"There is no page '{path:.100}'. /status/ is the first one.")
    # A page carries its own policy, which cannot forbid frames; this header replaces the API's.
    headers = {POLICY_HEADER: NO_FRAMES} if media_type == "text/html" else None
    return Response(content, media_type=media_type, headers=headers)


def _render(context: ApiContext) -> Mapping[str, bytes]:
    monitor = context.monitor
    status, market = context.pool.read(
        lambda connection: read_monitor_figures(
            *(connection, monitor.settings, monitor.options, context.now()),
            interval=context.site.interval,
            with_market=True,
        )
    )
    return render_site(SiteFigures(status, market))
