"""HTTP behavior of the API: caching, compression, errors, paging, the OpenAPI description."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis
import jsonschema_rs
import psycopg
import pytest
from psycopg.types.json import Jsonb

from services.api.caching import VERSION_CHECK_SECONDS
from services.api.connection_pool import MAX_CONNECTIONS
from tests.conftest import NOW, FreshDatabase
from tests.services.api.client import (
    TOKEN,
    ApiSession,
    add_transaction,
    problem_detail,
)
from tests.support.commands import Module
from tests.support.monitor import load, minutes


@pytest.mark.usefixtures("week")
def test_an_etag_saves_the_body_until_the_data_changes(
    api: ApiSession, fresh: FreshDatabase
) -> None:
    first = api.get("/coins")
    again = api.get("/coins", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    load(fresh.address(), [(NOW + minutes(1), "bitcoin", 91_000.0)], NOW)
    until = time.monotonic() + 10
    while again.status_code == 304:
        assert time.monotonic() < until
        again = api.get("/coins", headers={"If-None-Match": first.headers["ETag"]})
    assert again.json()["items"][0]["price_usd"] == 91_000


def test_a_cached_response_waits_for_no_slow_read(
    week_api: ApiSession, week_database: FreshDatabase
) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation::regclass::text = %s"
    with (
        ThreadPoolExecutor(2 * MAX_CONNECTIONS) as threads,
        psycopg.connect(week_database.url) as other,
    ):
        other.execute("LOCK TABLE sentinel.coins IN ACCESS EXCLUSIVE MODE")
        week_api.get_json("/rates")
        reads = [
            threads.submit(ApiSession(week_api.base, TOKEN).get, f"/coins?limit={n + 1}")
            for n in range(2 * MAX_CONNECTIONS)
        ]
        until = time.monotonic() + 10
        while week_database.query(waiting, "sentinel.coins")[0][0] < MAX_CONNECTIONS - 1:
            assert time.monotonic() < until
        # Long enough that the data version is read again.
        until = time.monotonic() + 1.2 * VERSION_CHECK_SECONDS
        while time.monotonic() < until:
            assert week_api.get("/rates").status_code == 200
        assert not any(read.done() for read in reads)


def test_a_client_reads_its_own_writes(portfolio_api: ApiSession) -> None:
    for n in range(1, 6):
        add_transaction(portfolio_api, quantity="1", price="1")
        assert len(portfolio_api.get_json("/portfolio/transactions")["items"]) == n


def test_responses_are_compressed_for_clients_that_accept_gzip(week_api: ApiSession) -> None:
    packed = week_api.get("/coins/bitcoin/history")
    plain = week_api.get("/coins/bitcoin/history", headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.json()["points"] == plain.json()["points"]
    assert int(packed.headers["Content-Length"]) < len(plain.content) / 4


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/coins/bitcoinn", 404, "no coin 'bitcoinn'"),
        ("/coins/bitcoinn/history", 404, "no coin"),
        ("/coins/bitcoinn/forecast", 404, "no coin"),
        ("/coins/bitcon/history", 404, "Near ids: bitcoin."),
        ("/nowhere", 404, "Not Found"),
        ("/alerts?sinse=2026-11-20", 422, "query.sinse: is no parameter: this route has coin_id, "),
        ("/schedule?n=1", 422, "query.n: is no parameter: this route has no parameters"),
        ("/coins?limit=501", 422, "query.limit: must be 500 or less"),
        ("/coins?limit=x", 422, "query.limit: must be a whole number"),
        ("/alerts?kind=x", 422, "query.kind: must be 'panic' or 'reversal'"),
        ("/coins?search=%00", 422, "query.search"),
        ("/coins/%00", 422, "path.coin_id"),
        ("/coins/bitcoin/history?start=yesterday", 422, "query.start"),
        ("/coins/bitcoin/history?start=2026-11-20&end=2026-11-19", 409, "not before end"),
        ("/coins/bitcoin/history?start=1763600000", 422, "query.start"),
        ("/coins/bitcoin/history?end=-1.34e-135", 422, "query.end"),
        ("/coins/bitcoin/history?resolution=3h", 422, "query.resolution"),
        ("/alerts?before=99999999999999999999", 422, "query.before"),
        ("/runs?before=9999", 422, "query.before"),
    ],
)
def test_an_invalid_request_gets_a_problem_with_the_reason(
    week_api: ApiSession, path: str, status: int, message: str
) -> None:
    assert message in problem_detail(week_api.get(path), status)


def test_a_method_that_is_not_allowed_gets_a_problem(week_api: ApiSession) -> None:
    response = week_api.put("/portfolio/transactions", json={})
    problem_detail(response, 405)
    assert response.headers["Allow"] == "GET, POST"


def test_head_returns_the_headers_of_get(week_api: ApiSession) -> None:
    head, whole = week_api.head("/coins"), week_api.get("/coins")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["ETag"] == whole.headers["ETag"]


def test_a_request_body_above_the_limit_is_rejected(week_api: ApiSession) -> None:
    body = (b"x" * 100_000 for _ in range(100))
    response = week_api.post(
        "/portfolio/transactions.csv", data=body, headers={"Content-Type": "text/csv"}
    )
    assert response.status_code == 413


def test_a_long_list_names_its_next_page(portfolio_api: ApiSession) -> None:
    for _ in range(3):
        add_transaction(portfolio_api, quantity="1", price="1")
    page = portfolio_api.get_json("/portfolio/transactions", limit=2)
    assert (len(page["items"]), page["next"]) == (2, "2")
    rest = portfolio_api.get_json("/portfolio/transactions", limit=2, offset=page["next"])
    assert (len(rest["items"]), rest["next"]) == (1, None)


def test_operation_ids_are_verbs_with_objects_and_unique(week_api: ApiSession) -> None:
    paths = week_api.get_json("/openapi.json")["paths"].values()
    found = [operation["operationId"] for path in paths for operation in path.values()]
    assert len(found) == len(set(found))
    assert {"list_coins", "get_coin", "add_transaction", "update_transaction"} <= set(found)
    verbs = (
        "get|list|add|update|delete|star|unstar|mute|unmute|preview|replay|discard|import|export"
    )
    assert [name for name in found if not re.fullmatch(f"({verbs})(_[a-z]+)+", name)] == []


def test_the_root_leads_to_the_documents(week_api: ApiSession) -> None:
    redirect = ApiSession(week_api.base).get("/", allow_redirects=False)
    assert (redirect.status_code, redirect.headers["Location"]) == (307, "/docs")


def test_every_response_has_an_example_of_its_schema_and_every_class_a_description(
    week_api: ApiSession,
) -> None:
    description = week_api.get_json("/openapi.json")
    shared = {"components": description["components"]}
    found = 0
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                content = response.get("content", {}).get("application/json")
                if status.startswith("2") and content:
                    schema = jsonschema_rs.Draft202012Validator({**content["schema"], **shared})
                    problems = [error.message for error in schema.iter_errors(content["example"])]
                    assert problems == [], (path, method)
                    found += 1
    assert found > 40
    schemas = description["components"]["schemas"]
    assert [name for name, one in schemas.items() if not one.get("description")] == []
    alert = schemas["AlertResponse"]["properties"]
    assert alert["level"]["description"] == (
        "The n-th alert in this direction since the window's mark."
    )


def test_the_openapi_description_has_examples_and_the_token(week_api: ApiSession) -> None:
    description = week_api.get_json("/openapi.json")
    assert description["components"]["schemas"]["CoinResponse"]["properties"]["coin_id"]["examples"]
    assert description["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_the_docs_page_asks_no_other_server_and_needs_no_token(week_api: ApiSession) -> None:
    open_session = ApiSession(week_api.base)
    page = open_session.get("/docs")
    files = re.findall(r'(?:src|href)="(.*?)"', page.text)
    assert len(files) == 4
    for path in files:
        assert path == "data:," or open_session.get(path).status_code == 200, path
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    problem_detail(week_api.get("/docs/favicon.png"), 404)


def test_a_foreign_name_or_page_gets_a_problem_even_with_the_token(week_api: ApiSession) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        detail = problem_detail(week_api.get("/portfolio", headers=headers), 403)
        assert "SENTINEL_PUBLIC_HOSTS" in detail


def test_a_port_in_use_is_reported_in_one_line(
    live_module: Module, week_api: ApiSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = week_api.base.rpartition(":")[2]
    monkeypatch.setattr(sys, "setswitchinterval", lambda _seconds: None)  # of this process
    done = live_module("services.api", SENTINEL_API_PORT=port)
    assert done.returncode == 2
    assert f"The API cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("week")
def test_schemathesis_finds_no_server_error_and_no_breach_of_the_openapi_description(
    api: ApiSession, fresh: FreshDatabase, tmp_path: Path, dice: random.Random
) -> None:
    add_transaction(api, quantity="1", price="1")
    fresh.query("INSERT INTO sentinel.service_status VALUES ('ingestion', %s, %s)", NOW,
                Jsonb({"interval_seconds": 60}))  # fmt: skip
    examples = min(20, hypothesis.settings().max_examples // 3)  # `make test-soak` tries more
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "schemathesis", "run", f"{api.base}/openapi.json"),
            *("-H", f"Authorization: Bearer {TOKEN}", "--max-examples", str(examples)),
            *("--seed", str(dice.randrange(1_000_000))),
            *("--suppress-health-check", "all", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=570,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_a_scoreboard_without_forecasts_is_valid_json(week_api: ApiSession) -> None:
    assert json.loads(week_api.get("/forecasts/scoreboard").text)["coins"] == []
