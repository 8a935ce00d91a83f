"""Streamlit's page and files, compressed; the page names what this dashboard needs, and no more.

Streamlit sends its files as they are, 4.5 MB for a first page, because it would compress them for
each request. Here each file is compressed once, when it is first asked for, and kept: all of them
have 6 MB. A range, and a client without gzip, get the file as it is.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import mimetypes
import re
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import file_util

from services.dashboard.server.static_files import list_paths

FOLDER = Path(file_util.get_static_dir())
# By the path that the page names. There are no others, whatever an address contains.
FILES = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()}
PREFIX = "/static/"
# Fonts and pictures are compressed already.
COMPRESSIBLE = {".js", ".css", ".json", ".svg", ".html"}
# The name of a file contains a hash of its content: browsers keep it for a year.
FOREVER, CHECKED = "public, immutable, max-age=31536000", "no-cache"
# Of Streamlit's own font, which the theme does not use: 171 kB.
_FONT_PRELOAD = re.compile(r'<link\s+rel="preload"[^>]*\bas="font"[^>]*>')
# Every page needs these scripts. Streamlit's client asks for them only when it draws the first part
# of that kind; named in the page, they arrive while the client starts.
_LATE_SCRIPTS = ("Html.", "BidiComponent.")
_IMPORT = re.compile(r'(?:from|import)"\./([\w.-]+\.js)"')
_HEAD_END = "</head>"


class Content(NamedTuple):
    """What a client gets."""

    plain: bytes
    compressed: bytes
    etag: str


def make_routes() -> list[Route]:
    """Return the routes of the page. They come after all others of this server."""
    # Streamlit has one document for all pages.
    return [Route("/", _get_page), Route("/{page}", _get_page)]


class StaticFilesMiddleware:
    """Answer requests for Streamlit's files. It lets no route begin with /static/."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond with a file, or pass the request on."""
        app = self._app
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            app = await _get_file(Request(scope))
        await app(scope, receive, send)


async def _get_page(request: Request) -> Response:
    name = request.path_params.get("page", "")
    if name in FILES and name != "index.html":
        return FileResponse(FILES[name], headers={"Cache-Control": CHECKED})
    return _respond(request, await run_in_threadpool(_read_page), "text/html", CHECKED)


async def _get_file(request: Request) -> Response:
    path = FILES.get(request.url.path.removeprefix("/"))
    if path is None:
        return PlainTextResponse("There is no such file.\n", HTTPStatus.NOT_FOUND)
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    is_plain = "Range" in request.headers or not _accepts_gzip(request)
    if is_plain or path.suffix not in COMPRESSIBLE:
        return FileResponse(path, headers=headers)
    content = await run_in_threadpool(_read_file, path)
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _respond(request, content, media_type, FOREVER)


def _respond(request: Request, content: Content, media_type: str, cache: str) -> Response:
    headers = {"Cache-Control": cache, "Vary": "Accept-Encoding"}
    is_compressed = _accepts_gzip(request)
    headers["ETag"] = f'"{content.etag}-gzip"' if is_compressed else f'"{content.etag}"'
    if headers["ETag"] in request.headers.get("If-None-Match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if not is_compressed:
        return Response(content.plain, headers=headers, media_type=media_type)
    headers["Content-Encoding"] = "gzip"
    return Response(content.compressed, headers=headers, media_type=media_type)


def _accepts_gzip(request: Request) -> bool:
    codings = request.headers.get("Accept-Encoding", "").lower()
    return re.search(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", codings) is not None


@functools.cache
def _read_file(path: Path) -> Content:
    """Return a file compressed. Its plain bytes are not kept: it is sent from the disk."""
    plain = path.read_bytes()
    return Content(b"", gzip.compress(plain, 9, mtime=0), _hash(plain))


@functools.cache
def _read_page() -> Content:
    text = FILES["index.html"].read_text(encoding="utf-8")
    text = _FONT_PRELOAD.sub("", text).replace("<title>Streamlit<", "<title>Market Sentinel<")
    late = [f".{PREFIX}js/{name}" for name in _list_late_scripts() if name not in text]
    links = [f'<link rel="modulepreload" href="{path}">' for path in (*late, *list_paths())]
    text = text.replace(_HEAD_END, "".join(links) + _HEAD_END)
    plain = text.encode()
    return Content(plain, gzip.compress(plain, 9, mtime=0), _hash(plain))


def _list_late_scripts() -> list[str]:
    """Return the names of _LATE_SCRIPTS and of all that they import, each once."""
    folder = FOLDER / "static" / "js"
    found = [
        path.name for path in sorted(folder.glob("*.js")) if path.name.startswith(_LATE_SCRIPTS)
    ]
    for name in found:  # it grows meanwhile
        imported = _IMPORT.findall((folder / name).read_text(encoding="utf-8"))
        found += [each for each in dict.fromkeys(imported) if each not in found]
    return found


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
