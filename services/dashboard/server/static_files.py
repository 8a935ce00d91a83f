"""`/assets/`: the scripts of the dashboard's own table and chart.

A component's script travels in every message to the browser. So that script is one line, which
imports the file from here. Its name contains its hash: browsers keep it for good.
"""

from __future__ import annotations

import functools
import hashlib
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sentinel import static_files

FOLDER = Path(__file__).parents[1] / "static"
# The sources of each script: files of FOLDER, or of `sentinel`.
SOURCES = {
    "table": ("escape.js", "table_cells.js", "table_rows.js", "table.js"),
    "chart": static_files.CHART_SCRIPTS,
    "navigation": ("navigation.js",),
}
HASH_DIGITS = 16
# For a year, the longest time that browsers keep a file.
CACHE_CONTROL = "public, max-age=31536000, immutable"


def make_routes() -> list[Route]:
    """Return the route of the scripts."""
    return [Route("/assets/{name}", _get_script, methods=["GET"])]


def make_loader(script: str) -> str:
    """Return a component's script, which imports one of SOURCES from this server and calls it.

    The address is absolute, because the component's script has none of its own.
    """
    path = _find_path(script)
    return f"""const source = new URL("{path}", location.origin).href;
export default async (component) => (await import(source)).default(component);
"""


def list_paths() -> list[str]:
    """Return the paths of all scripts, for a page to load them early."""
    return [_find_path(script) for script in SOURCES]


def _find_path(script: str) -> str:
    return f"/assets/{script}-{_hash_script(script)}.js"


@functools.cache
def _read_script(script: str) -> bytes:
    paths = ((FOLDER / name, static_files.FOLDER / name) for name in SOURCES[script])
    return b"\n".join((own if own.exists() else shared).read_bytes() for own, shared in paths)


@functools.cache
def _hash_script(script: str) -> str:
    return hashlib.sha256(_read_script(script)).hexdigest()[:HASH_DIGITS]


def _get_script(request: Request) -> Response:
    """Return a script; one of another version has another name."""
    script = {_find_path(script): script for script in SOURCES}.get(request.url.path)
    if script is None:
        return PlainTextResponse("There is no such file.\n", HTTPStatus.NOT_FOUND)
    return Response(
        _read_script(script),
        media_type="text/javascript",
        headers={"Cache-Control": CACHE_CONTROL},
    )
