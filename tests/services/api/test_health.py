"""The health check."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from psycopg.types.json import Jsonb

from safe_zone import ROOT, Settings
from services.api.shown_paths import shorten_paths
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.services.api.client import ApiSession, StartApi
from tests.support.monitor import load, minutes


def test_health_checks_the_database_the_freshness_of_prices_and_the_loop(
    api: ApiSession, fresh: FreshDatabase, time_: FakeTime
) -> None:
    response = api.get("/health")
    assert response.status_code == 503
    assert "start the ingestion" in response.json()["checks"]["freshness"]["message"]
    assert response.json()["last_run_at"] is None
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    state = {"interval_seconds": 300, "message": "all well", "errors": []}
    fresh.query(
        "INSERT INTO sentinel.service_status VALUES ('ingestion', %s, %s)", NOW, Jsonb(state)
    )
    assert api.get_json("/health")["status"] == "ok"
    time_.at += minutes(16)
    stale = api.get("/health")
    assert stale.status_code == 503
    assert stale.json()["missed_runs"] == 2
    assert datetime.fromisoformat(stale.json()["last_run_at"]) == NOW
    assert not stale.json()["checks"]["freshness"]["is_ok"]
    assert not stale.json()["checks"]["last_run"]["is_ok"]


def test_a_loop_with_an_interval_of_weeks_becomes_unhealthy(
    api: ApiSession, fresh: FreshDatabase, time_: FakeTime
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    state = {"interval_seconds": 14 * 86_400, "message": "", "errors": []}
    fresh.query(
        "INSERT INTO sentinel.service_status VALUES ('ingestion', %s, %s)", NOW, Jsonb(state)
    )
    assert api.get_json("/health")["status"] == "ok"
    time_.at += timedelta(hours=4)
    assert api.get("/health").status_code == 503


def test_an_error_of_the_loop_is_reported(api: ApiSession, fresh: FreshDatabase) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    state = {"interval_seconds": 300, "message": "", "errors": ["CoinGecko is away."]}
    fresh.query(
        "INSERT INTO sentinel.service_status VALUES ('ingestion', %s, %s)", NOW, Jsonb(state)
    )
    response = api.get("/health")
    assert response.status_code == 503
    last_run = response.json()["checks"]["last_run"]
    assert (
        last_run["message"]
        == "The loop's last run was 0 seconds ago and failed. CoinGecko is away."
    )


@pytest.mark.before_first_run
def test_a_database_that_cannot_be_used_fails_the_check_of_the_database(
    api: ApiSession, fresh: FreshDatabase
) -> None:
    fresh.query("CREATE TABLE market_data (price numeric)")
    response = api.get("/health")
    assert response.status_code == 503
    assert "of another program" in response.json()["checks"]["database"]["message"]


def test_missed_runs_are_a_warning_that_fails_nothing(
    api: ApiSession, fresh: FreshDatabase, time_: FakeTime
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    _record(fresh, "ingestion", {"interval_seconds": 60, "errors": []})
    time_.at += minutes(6)
    health = api.get_json("/health")
    freshness = health["checks"]["freshness"]
    assert (health["status"], health["missed_runs"]) == ("ok", 5)
    assert (freshness["is_ok"], freshness["state"]) == (True, "warning")
    assert "5 runs are missing" in freshness["message"]


def test_without_a_loop_a_scheduled_run_is_healthy(api: ApiSession, fresh: FreshDatabase) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    fresh.query(
        "INSERT INTO sentinel.pipeline_runs SELECT 'run', %s, %s, 'ingest', 'ok',"
        " 1, 1, 1, 0, 0, 0, 0, '{}', '{}', 1, 1, 0, 0",
        NOW,
        NOW,
    )
    health = api.get_json("/health")
    assert (health["status"], health["last_run_at"]) == ("ok", None)
    assert health["interval_seconds"] == 15 * 60


def test_only_a_caller_with_the_token_reads_names_and_paths(
    start_api: StartApi, fresh: FreshDatabase, tmp_path: Path
) -> None:
    api = start_api()
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    _record(fresh, "ingestion", {"errors": ["The database a on db.example cannot be used."]})
    problem = "The backup cannot be written to /mnt/nas."
    _record(fresh, "backup", {"verified_at": None, "problem": problem})
    owner = api.get("/health").text
    del api.headers["Authorization"]
    stranger = api.get("/health").text
    api.headers["Authorization"] = "Bearer wrong"
    for name in ("db.example", "/mnt/nas", "The folder is state."):
        assert name in owner
        assert name not in stranger
        assert name not in api.get("/health").text
    assert "The last backup failed" in stranger
    assert str(tmp_path) not in owner


def test_a_message_names_folders_by_their_place_in_the_project(settings: Settings) -> None:
    project = Path.cwd()
    own = dataclasses.replace(settings, state_dir=project / ".sentinel")
    text = f"{project}/.sentinel/spool is full, {project}/a.json and {project}-2/b stay, {project}."
    assert shorten_paths(text, own) == (
        f".sentinel/spool is full, ./a.json and {project}-2/b stay, .."
    )
    state = settings.state_dir
    assert shorten_paths(f"In {state}: /mnt/nas", settings) == f"In {state.name}: /mnt/nas"


def test_a_failing_delivery_is_unhealthy_and_in_the_metrics(
    api: ApiSession, fresh: FreshDatabase, time_: FakeTime
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    _record(fresh, "ingestion", {"interval_seconds": 3600, "targets": {"a1": "Telegram"}})
    fresh.query(
        "INSERT INTO sentinel.outbox (target, queue, message_key, title, body, kind, created_at,"
        " due_at, attempts, last_error) VALUES ('a1', 'q', 'k', 't', 'b', 'panic', %s, %s, 3,"
        " 'Telegram answered 401')",
        NOW,
        NOW,
    )
    assert api.get_json("/health")["status"] == "ok"
    time_.at += minutes(11)
    response = api.get("/health")
    assert response.status_code == 503
    message = response.json()["checks"]["delivery"]["message"]
    assert "Messages to Telegram have not arrived since" in message
    assert "Telegram answered 401" in message
    metrics = api.get("/metrics").text
    assert 'sentinel_health{check="delivery"} 2.0' in metrics
    assert 'sentinel_health{check="database"} 0.0' in metrics


def test_the_grafana_board_shows_metrics_that_exist_and_leaves_none_out(
    api: ApiSession, fresh: FreshDatabase
) -> None:
    load(fresh.address(), [(NOW, "bitcoin", 1.0)], NOW)
    _record(fresh, "ingestion", {"interval_seconds": 60})
    fresh.query(
        "INSERT INTO sentinel.pipeline_runs SELECT 'run', %s, %s, 'ingest', 'ok',"
        " 1, 1, 1, 0, 0, 0, 0, '{}', '{}', 1, 1, 0, 0",
        NOW,
        NOW,
    )
    board = json.loads((ROOT / "docs/grafana-dashboard.json").read_text())
    targets = [target for panel in board["panels"] for target in panel["targets"]]
    shown = {name for target in targets for name in re.findall(r"sentinel_\w+", target["expr"])}
    assert shown == set(re.findall(r"^(sentinel_\w+)", api.get("/metrics").text, re.MULTILINE))


def test_the_grafana_board_has_panels_side_by_side_of_one_schema_version() -> None:
    """The fields of schema version 39:
    https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
    """
    board = json.loads((ROOT / "docs/grafana-dashboard.json").read_text())
    assert (board["schemaVersion"], board["uid"]) == (39, "market-sentinel")
    [variable] = board["templating"]["list"]
    source = {"type": variable["query"], "uid": f"${{{variable['name']}}}"}
    cells: list[tuple[int, int]] = []
    for panel in board["panels"]:
        assert panel["type"] in {"stat", "state-timeline", "timeseries", "bargauge"}
        assert {"defaults", "overrides"} == panel["fieldConfig"].keys()
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == source
        x, y, w, h = (panel["gridPos"][name] for name in "xywh")
        assert x + w <= 24
        cells += [(x + column, y + row) for column in range(w) for row in range(h)]
    assert len(cells) == len(set(cells)), "panels overlap"
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def _record(fresh: FreshDatabase, service: str, state: dict[str, object]) -> None:
    fresh.query(
        "INSERT INTO sentinel.service_status VALUES (%s, %s, %s)", service, NOW, Jsonb(state)
    )
