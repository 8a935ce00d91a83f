"""Access control: which requests need the token."""

from __future__ import annotations

import re

import pytest

from tests.services.api.client import TOKEN, WRITES, ApiSession, problem_detail


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(
    "header",
    [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ü"],
)
def test_every_write_without_the_token_is_rejected(
    week_api: ApiSession, method: str, path: str, header: str | None
) -> None:
    session = ApiSession(week_api.base)
    if header:
        session.headers["Authorization"] = header.encode("latin-1")
    problem_detail(session.request(method, path, json={}), 401)


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_writes_are_forbidden_while_no_token_is_set(
    open_api: ApiSession, method: str, path: str
) -> None:
    for headers in ({}, {"Authorization": "Bearer "}):
        response = open_api.request(method, path, json={}, headers=headers)
        assert "SENTINEL_API_TOKEN" in problem_detail(response, 403)


def test_the_openapi_description_has_no_other_writes(week_api: ApiSession) -> None:
    paths = week_api.get_json("/openapi.json")["paths"]
    found = {
        (method.upper(), re.sub(r"\{.*?\}", "1", path))
        for path, methods in paths.items()
        for method in methods
        if method not in ("get", "head", "options")
    }
    assert found == set(WRITES)


def test_reads_need_the_token_only_if_one_is_set(
    open_api: ApiSession, week_api: ApiSession
) -> None:
    session = ApiSession(week_api.base)
    assert week_api.get_json("/coins")["items"]
    problem_detail(session.get("/coins"), 401)
    assert session.get("/health").status_code in (200, 503)
    assert open_api.get_json("/coins")["items"]
