"""Access control: which requests need the token."""

from __future__ import annotations

import re

import pytest

from tests.services.api.client import (
    TOKEN,
    WRITES,
    ApiSession,
    StartApi,
    problem_detail,
)


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(
    "header",
    [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ü"],
)
def test_every_write_without_the_token_is_rejected(
    api: ApiSession, method: str, path: str, header: str | None
) -> None:
    session = ApiSession(api.base)
    if header:
        session.headers["Authorization"] = header.encode("latin-1")
    problem_detail(session.request(method, path, json={}), 401)


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_writes_are_forbidden_while_no_token_is_set(
    start_api: StartApi, method: str, path: str
) -> None:
    api = start_api(token=None)
    assert "SENTINEL_API_TOKEN" in problem_detail(api.request(method, path, json={}), 403)
    api.headers["Authorization"] = "Bearer "
    problem_detail(api.request(method, path, json={}), 403)


def test_the_openapi_description_has_no_other_writes(api: ApiSession) -> None:
    paths = api.get_json("/openapi.json")["paths"]
    found = {
        (method.upper(), re.sub(r"\{.*?\}", "1", path))
        for path, methods in paths.items()
        for method in methods
        if method not in ("get", "head", "options")
    }
    assert found == set(WRITES)


@pytest.mark.usefixtures("week")
def test_reads_need_the_token_only_if_one_is_set(start_api: StartApi, api: ApiSession) -> None:
    session = ApiSession(api.base)
    assert api.get_json("/coins")["items"]
    problem_detail(session.get("/coins"), 401)
    assert session.get("/health").status_code in (200, 503)
    assert start_api(token=None).get_json("/coins")["items"]
