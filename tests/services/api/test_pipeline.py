"""Routes of the pipeline: runs, gaps, schedule coverage, registry, backups."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from safe_zone import Settings
from tests.conftest import NOW, FakeTime, FreshDatabase
from tests.services.api.client import ApiSession
from tests.support.monitor import minutes


def test_runs_gaps_budget_and_metrics_describe_a_real_run(
    api: ApiSession, in_process: Any, settings: Settings, time_: FakeTime
) -> None:
    in_process(dataclasses.replace(settings, limit=5))
    time_.at += minutes(15)
    in_process(dataclasses.replace(settings, limit=5))
    page = api.get_json("/runs", limit=1)
    assert page["items"][0]["status"] == "ok"
    [older] = api.get_json("/runs", before=page["next"])["items"]
    assert older["started_at"] < page["items"][0]["started_at"]
    assert api.get_json("/gaps") == {"items": [], "next": None}
    assert api.get_json("/budget")["meters"]["coingecko_credits"]["used"] == 4
    text = api.get("/metrics").text
    assert "sentinel_coins 5.0" in text
    assert 'sentinel_quota_used{quota="coingecko_credits"} 4.0' in text


def test_schedule_coverage_uses_the_cadence_of_the_schedule_or_the_loops_own_interval(
    api: ApiSession,
    fresh: FreshDatabase,
    in_process: Callable[[Settings], Any],
    settings: Settings,
    time_: FakeTime,
) -> None:
    for _ in range(3):
        in_process(dataclasses.replace(settings, limit=5))
        time_.sleep(30 * 60)
    schedule = api.get_json("/schedule")
    assert (schedule["cadence_minutes"], schedule["delivered"]) == (15, 3)
    assert schedule["share"] == pytest.approx(0.5, abs=0.06)
    fresh.query(
        "INSERT INTO sentinel.service_status VALUES ('ingestion', %s, %s)", time_.now(), Jsonb({})
    )
    api.empty_cache()
    loop = api.get_json("/schedule")
    assert loop["cadence_minutes"] == pytest.approx(30, abs=0.1)
    assert loop["share"] >= 0.8


def test_the_registry_lists_inactive_coins_and_a_damaged_file_is_empty(
    api: ApiSession, settings: Settings
) -> None:
    lines = [
        {"id": "bitcoin", "symbol": "btc", "name": "Bitcoin", "rank": 1},
        {"id": "struck", "symbol": "s", "name": "Struck", "strikes": 2, "reason": "missing"},
        {"id": "gone", "symbol": "g", "name": "Gone", "status": "delisted", "strikes": 3},
        {
            "id": "inactive",
            "symbol": "i",
            "name": "Inactive",
            "status": "inactive",
            "strikes": 4,
            "reason": "null_price",
            "since": "2026-11-18T00:00:00Z",
            "next_probe": "2026-11-22T00:00:00Z",
        },
    ]
    settings.registry_path.write_text(
        json.dumps({"synced_at": "2026-11-20T00:00:00Z", "coins": lines})
    )
    found = api.get_json("/registry")
    assert (found["active"], found["inactive"], found["delisted"]) == (2, 1, 1)
    assert [coin["id"] for coin in found["coins"]] == ["inactive", "struck"]
    assert found["coins"][0]["next_probe"] == "2026-11-22T00:00:00Z"
    settings.registry_path.write_text("{")
    api.empty_cache()
    assert api.get_json("/registry")["coins"] == []


def test_the_page_of_the_pipeline_is_one_response(
    api: ApiSession,
    fresh: FreshDatabase,
    in_process: Callable[[Settings], Any],
    settings: Settings,
    time_: FakeTime,
) -> None:
    assert api.get_json("/pipeline")["slots"] is None
    for pause in (15, 60, 0):
        in_process(dataclasses.replace(settings, limit=5))
        time_.sleep(pause * 60)
    service = "INSERT INTO sentinel.service_status VALUES (%s, %s, %s)"
    fresh.query(service, "telegram", time_.now() - minutes(6), Jsonb({}))
    fresh.query(service, "summary", time_.now(), Jsonb({}))
    rejection = "INSERT INTO sentinel.rejections VALUES (%s, 'run', %s, %s, 'x')"
    fresh.query(rejection, NOW, "bad", "null_price")
    fresh.query(rejection, NOW, "bitcoin", "malformed")
    api.empty_cache()
    page = api.get_json("/pipeline")
    assert (page["slots"]["slot_minutes"], page["slots"]["states"]) == (15, "dd---d")
    assert page["slots"]["start"] == "2026-11-20T11:52:00Z"
    assert (len(page["schedule"]["hours"]), len(page["schedule"]["days"])) == (168, 60)
    assert page["schedule"]["totals"][0]["delivered"] == 3
    assert [run["status"] for run in page["runs"]] == ["ok", "ok", "ok"]
    late = {service["service"]: service["is_late"] for service in page["services"]}
    assert late == {"telegram": True, "summary": None}
    assert [each["open"] for each in page["quarantine"]] == [1, 1]
    assert {each["coin_id"]: each["name"] for each in page["rejections"]} == {
        "bitcoin": "Bitcoin",
        "bad": None,
    }
    [malformed] = api.get_json("/pipeline", reason="malformed")["rejections"]
    assert malformed["id"] == "run/bitcoin"
    [gap] = page["gaps"]
    assert (gap["reason"], gap["gaps"], gap["coins"], gap["longest_minutes"]) == ("waits", 5, 5, 60)
    assert [quota["name"] for quota in page["quotas"]] == ["coingecko_credits", "actions_minutes"]
    assert page["registry"]["active"] == 120
    assert (page["decision"], page["coverage"], page["backup"]["verified_at"]) == (
        "run",
        None,
        None,
    )
    assert page["health"]["checks"]["disk"]["message"].endswith("The folder is state.")


def test_the_last_verified_backup_has_an_age_and_a_failed_one_has_its_reason(
    api: ApiSession, fresh: FreshDatabase
) -> None:
    assert set(api.get_json("/backups").values()) == {None}
    state = {"verified_at": (NOW - timedelta(hours=9)).isoformat(), "file": "x.dump",
             "bytes": 5, "rows": 7, "problem": None}  # fmt: skip
    fresh.query("INSERT INTO sentinel.service_status VALUES ('backup', %s, %s)", NOW, Jsonb(state))
    api.empty_cache()
    assert api.get_json("/backups")["age_seconds"] == 9 * 3600
    fresh.query(
        "UPDATE sentinel.service_status SET state = state || %s",
        Jsonb({"problem": "the disk is full"}),
    )
    api.empty_cache()
    found = api.get_json("/backups")
    assert (found["problem"], found["rows"]) == ("the disk is full", 7)


@pytest.mark.usefixtures("week")
def test_a_gap_is_listed(api: ApiSession, fresh: FreshDatabase) -> None:
    fresh.query("DELETE FROM sentinel.observations WHERE observed_at BETWEEN %s AND %s",
                NOW - timedelta(hours=5), NOW - timedelta(hours=3))  # fmt: skip
    found = api.get_json("/gaps", coin_id="bitcoin")["items"]
    assert [(gap["coin_id"], gap["slot_minutes"]) for gap in found] == [("bitcoin", 15.0)]
