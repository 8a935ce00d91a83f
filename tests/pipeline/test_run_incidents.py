"""When failed runs are an incident, by the usage log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from demo.server import Fault, StandIn
from ingest import run_pipeline
from pipeline.run_incidents import find_incidents, find_recordable, find_reportable
from safe_zone import Settings
from sentinel.budget import usage_log
from sentinel.budget.usage_log import Usage
from tests.conftest import FakeTime, FreshDatabase

NOON = datetime(2026, 11, 20, 12, 7, tzinfo=UTC)
DOWN = [(0, 4), (15, 4), (30, 4), (45, 4), (60, 4)]


def _runs(*runs: tuple[int, int], skipped: tuple[int, ...] = ()) -> list[Usage]:
    """Return runs of (minute after noon, exit code); the minutes `skipped` were by the budget."""
    entries = [(minute, code, False) for minute, code in runs] + [(m, 0, True) for m in skipped]
    return [
        Usage(_at(minute), 1.0, exit_code=code, is_skipped=is_skipped)
        for minute, code, is_skipped in sorted(entries)
    ]


def _at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def test_an_incident_begins_with_the_first_run_after_an_hour_and_ends_with_the_first_good_one() -> (
    None
):
    assert find_incidents(_runs((-15, 0), *DOWN[:-1])) == []
    [incident] = find_incidents(_runs((-15, 0), *DOWN))
    assert (incident.began_at, incident.ended_at, incident.failed_runs) == (_at(0), None, 5)
    [incident] = find_incidents(_runs(*DOWN, (75, 0), (90, 4), (105, 0)))
    assert incident.ended_at == _at(75)
    assert incident.to_incident()._asdict() == {
        "source": "schedule",
        "incident": "database_unavailable",
        "began_at": _at(0),
        "ended_at": _at(75),
        "summary": "Scheduled runs failed: the database was unavailable.",
    }


@pytest.mark.parametrize(
    ("usages", "found"),
    [
        (_runs((0, 3), (300, 3)), 1),  # GitHub started no run in between
        (_runs((0, 3), (300, 0)), 0),  # what one failed run before a pause means is unknown
        (_runs((0, 3), (90, 3), skipped=(30, 60)), 1),  # a skipped run is no good run
        (_runs((0, 5), (90, 5)), 1),  # an exhausted budget
        (_runs((0, 4), (15, 0), (75, 4)), 0),
        (_runs(skipped=(0, 60)), 0),
        ([], 0),
    ],
)
def test_pauses_and_skipped_runs_neither_begin_nor_end_an_incident(
    usages: list[Usage], found: int
) -> None:
    assert len(find_incidents(usages)) == found


def test_an_incident_stays_the_same_if_its_cause_changes() -> None:
    one, two = (find_incidents(_runs(*DOWN, (75, code)))[0].to_incident() for code in (4, 3))
    assert two._replace(summary=one.summary) == one
    assert two.summary == (
        "Scheduled runs failed: the database was unavailable; CoinGecko gave no usable answer."
    )
    [stopped] = find_incidents(_runs((0, 143), (60, 1)))
    assert stopped.causes == "a signal stopped the run; the run ended unexpectedly"


def test_only_some_runs_have_something_to_report() -> None:
    """They start a job, which costs a private repository a minute."""
    outage = [*DOWN, (75, 4), (90, 3), (105, 4), (120, 4), (135, 4)]
    whole = _runs((-15, 0), *outage, (150, 0), (165, 4), (195, 0), (210, 0), (225, 0))
    reported = [
        (usage.started_at - NOON) // timedelta(minutes=1)
        for count, usage in enumerate(whole, start=1)
        if find_reportable(whole[:count])
    ]
    # Its begin, a new cause, another hour, and the good runs of the hour after its end.
    assert reported == [60, 90, 120, 150, 195]


def test_the_table_gets_what_goes_on_and_what_ended_within_a_day() -> None:
    [incident] = find_recordable(_runs(*DOWN, (75, 0)), _at(75))
    assert incident.ended_at == _at(75)
    assert find_recordable(_runs(*DOWN, (75, 0)), _at(75 + 24 * 60)) == []


def test_runs_of_one_hour_are_summed_up_only_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_log, "MAX_SINGLE_RUNS", 3)
    monkeypatch.setattr(usage_log, "SUM_UP_AFTER", timedelta(0))
    (tmp_path / "log.json").write_text("[]")
    runs = [u._replace(is_metered=False) for u in _runs((0, 3), (10, 3), (20, 3), (30, 0), (60, 0))]
    for usage in runs:
        usage_log.add_run(tmp_path / "log.json", usage, _at(-9), _at(99))
    usages = usage_log.read(tmp_path / "log.json").usages
    assert [(u.exit_code, u.runs) for u in usages] == [(3, 3), (0, 1), (0, 1)]


def test_an_outage_keeps_its_begin_when_the_log_drops_the_runs_of_the_last_month(
    tmp_path: Path,
) -> None:
    (tmp_path / "log.json").write_text(usage_log.to_text(_runs((-15, 0), *DOWN)))
    for at in (75, 90):  # it is dropped and kept each time
        usage_log.add_run(tmp_path / "log.json", _runs((at, 4))[0], _at(at - 40), _at(at))
    [incident] = find_incidents(usage_log.read(tmp_path / "log.json").usages)
    assert (incident.began_at, incident.failed_runs) == (_at(0), 7)


def test_good_runs_of_a_monitor_on_the_same_database_hide_no_incident(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text(usage_log.to_text(_runs(*DOWN)))
    loop = [u._replace(is_recorded=True) for u in _runs((5, 0), (35, 0), (65, 0))]
    usage_log.add_run(path, _runs((75, 0))[0], _at(-9), _at(99), loop)
    incident = find_reportable(usage_log.read(path).usages)
    assert incident
    assert (incident.began_at, incident.ended_at) == (_at(0), _at(75))


def test_the_first_run_that_reaches_the_database_records_the_outage(
    settings: Settings, time_: FakeTime, stand_in: StandIn, fresh: FreshDatabase
) -> None:
    def run(code: int) -> None:
        report = run_pipeline(settings, clocks=time_.clocks, is_scheduled=True)
        assert report.exit_code == code
        time_.at += timedelta(hours=1)

    run(0)
    began = time_.at
    stand_in.always = Fault(500, b"no")
    run(3)
    run(3)
    assert fresh.query("SELECT * FROM sentinel.incidents") == []  # nothing to store: no connection
    stand_in.always = None
    ended = time_.at
    for _ in range(2):
        run(0)
    found = fresh.query("SELECT incident, began_at, ended_at FROM sentinel.incidents")
    assert found == [("coingecko_unavailable", began, ended)]


def test_a_run_that_did_not_reach_its_end_counts_as_failed(
    settings: Settings, time_: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("pipeline.fetch.transform_and_validate", fail)
    with pytest.raises(RuntimeError):
        run_pipeline(settings, clocks=time_.clocks)
    [usage] = usage_log.read(settings.state_dir / "usage_log.json").usages
    assert usage.exit_code == 1
