"""Which pages of other origins may use the API in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.settings import MonitorSettings
from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import TOKEN, ApiSession, problem_detail, running_api
from tests.services.api.conftest import make_settings

PAGE = "https://app.example.org"
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "DELETE",
    "Access-Control-Request-Headers": "authorization,content-type",
}


@pytest.fixture(scope="module")
def api(
    week_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiSession]:
    settings = make_settings(week_database, tmp_path_factory.mktemp("cors"))
    monitor = MonitorSettings(settings=settings, api_token=TOKEN, api_origins=(PAGE,))
    with running_api(monitor, week_database.address(), lambda: NOW) as base:
        yield ApiSession(base, TOKEN)


def test_an_allowed_page_asks_without_the_token_and_reads_with_it(api: ApiSession) -> None:
    stranger = ApiSession(api.base)
    asked = stranger.options("/coins/bitcoin/mute", headers=PREFLIGHT)
    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert "DELETE" in asked.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    for session, status in ((api, 200), (stranger, 401), (api, 200)):  # the last one is cached
        response = session.get("/coins", headers={"Origin": PAGE})
        assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (
            *(status, PAGE),
        )
    assert "ETag" in response.headers["Access-Control-Expose-Headers"]
    assert "Origin" in response.headers["Vary"]
    assert "Access-Control-Allow-Origin" not in api.get("/coins").headers


def test_other_pages_are_refused_and_by_default_all_are(
    api: ApiSession, week_api: ApiSession
) -> None:
    for session, origin in ((api, "https://evil.example"), (api, "null"), (week_api, PAGE)):
        response = session.options("/coins", headers=PREFLIGHT | {"Origin": origin})
        problem_detail(response, 403)
        assert "Access-Control-Allow-Origin" not in response.headers
    assert TOKEN  # the sessions send it: it opens nothing to a foreign page
