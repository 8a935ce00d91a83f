"""`/status/`: the public page from the monitor's database."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import jsonschema_rs
import pytest
from starlette.applications import Starlette
from starlette.types import Message

from safe_zone import Settings
from services.api.status_site import StatusSite
from services.dashboard.server.status_page import make_routes
from services.settings import MonitorSettings
from tests.conftest import NOW
from tests.services.api.client import TOKEN, ApiSession, problem_detail


def test_status_leads_to_pages_whose_files_exist(open_api: ApiSession) -> None:
    page = open_api.get("/status")
    assert page.url == f"{open_api.base}/status/"
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert "Content-Security-Policy" in page.text  # its own, which allows no other host
    links = set(re.findall(r'(?:href|src)="([^":#]+)"', page.text))
    assert {"trust.html", "market.html", "site.js", "feed.xml", "status.json"} <= links
    kinds = {link: open_api.get(f"/status/{link}").headers["Content-Type"] for link in links}
    assert "coins/bitcoin.html" in open_api.get("/status/market.html").text
    assert open_api.get("/status/coins/bitcoin.html").status_code == 200
    assert kinds["feed.xml"] == "application/atom+xml"
    assert kinds["icon.svg"] == "image/svg+xml"
    assert "application/problem+json" not in kinds.values()


def test_the_status_document_is_the_monitors_and_valid(open_api: ApiSession) -> None:
    document = open_api.get_json("/status/status.json")
    assert (document["maker"], document["interval_seconds"]) == ("monitor", 60)
    assert document["storage"]["rows"] > 0
    schema = open_api.get_json("/status/status.schema.json")
    jsonschema_rs.Draft202012Validator(schema, validate_formats=True).validate(document)


@pytest.mark.parametrize(
    "path", ["nothing.html", ".nojekyll", "../health", "%2e%2e/health", "a%00"]
)
def test_a_path_outside_the_pages_is_not_found(open_api: ApiSession, path: str) -> None:
    connection = http.client.HTTPConnection(open_api.base.removeprefix("http://"))
    with contextlib.closing(connection):  # which leaves the dots in the path
        connection.request("GET", f"/status/{path}")
        response = connection.getresponse()
        assert response.status == 404
        assert "/status/ is the first one" in json.load(response)["detail"]


def test_the_pages_need_the_token_like_all_stored_data(week_api: ApiSession) -> None:
    stranger = ApiSession(week_api.base)
    for path in ("/status", "/status/", "/status/status.json"):
        problem_detail(stranger.get(path), 401)
    page = week_api.get("/status/")
    again = week_api.get("/status/", headers={"If-None-Match": page.headers["ETag"]})
    assert (page.status_code, again.status_code) == (200, 304)


def _visit_dashboard(monitor: MonitorSettings, path: str, etag: str = "") -> list[Message]:
    """Return what the dashboard's routes send to a browser, which has no token."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"if-none-match", etag.encode())]
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
    asyncio.run(Starlette(routes=make_routes(monitor))(scope, receive, send))
    return sent


def test_the_dashboard_shows_the_pages_and_no_other_route_of_the_api(week_api: ApiSession) -> None:
    monitor = MonitorSettings(settings=Settings(), api_token=TOKEN, api_url=week_api.base)
    start, body = _visit_dashboard(monitor, "/status/")
    assert b"<!doctype html>" in body["body"]
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    assert headers["content-type"] == "text/html; charset=utf-8"
    statuses = {
        path: _visit_dashboard(monitor, path, etag)[0]["status"]
        for path, etag in {
            "/status": "",
            "/status/": headers["etag"],
            "/status/../portfolio": "",
            "/status/nothing?.html": "",
        }.items()
    }
    assert list(statuses.values()) == [307, 304, 404, 404]
    gone = replace(monitor, api_url="http://127.0.0.1:9")
    start, body = _visit_dashboard(gone, "/status/")
    assert start["status"] == 503
    assert b"does not respond" in body["body"]


def test_the_files_are_rendered_once_a_minute_and_by_one_request_at_a_time() -> None:
    site = StatusSite()
    rendered: list[bytes] = []

    def render() -> dict[str, bytes]:
        assert not rendered or rendered[-1] == b"done"
        rendered.append(b"begun")
        time.sleep(0.01)  # the other threads come in between
        rendered[-1] = b"done"
        return {"index.html": b"%d" % len(rendered)}

    def get(now: datetime) -> bytes:
        return site.get_files(now, render)["index.html"]

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(get, [NOW] * 4)) == {b"1"}
    assert get(NOW + timedelta(seconds=59)) == b"1"
    assert get(NOW + timedelta(seconds=60)) == b"2"
    assert get(NOW) == b"3"  # the clock went back
    site = StatusSite.for_database("postgresql://me@ep-a-1.eu-central-1.aws.neon.tech/prices")
    assert get(NOW) == get(NOW + timedelta(minutes=59)) == b"4", "Neon's egress is limited"
