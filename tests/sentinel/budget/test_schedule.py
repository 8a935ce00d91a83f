"""The coverage of the schedule: expected slots and delivered slots."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import yaml

from demo.schedule import delivered_runs
from safe_zone import CADENCE_MINUTES, ROOT
from sentinel.budget.schedule import SLOT_OFFSET, measure_coverage

QUARTER = timedelta(minutes=15)
START = datetime(2026, 11, 20, 0, 7, 10, tzinfo=UTC)


def test_a_punctual_scheduler_delivers_every_slot() -> None:
    runs = [START + QUARTER * n for n in range(96)]
    found = measure_coverage(runs, QUARTER, runs[-1])
    assert (found.expected, found.delivered, found.share) == (96, 96, 1.0)
    assert (found.longest_silence, found.missed_in_a_row) == (QUARTER, 0)


def test_late_runs_count_for_the_slot_in_which_they_come() -> None:
    found = measure_coverage(
        [START, START + timedelta(minutes=29)], QUARTER, START + timedelta(minutes=29)
    )
    assert (found.expected, found.delivered) == (2, 2)


def test_two_missed_slots_are_counted_in_a_row() -> None:
    found = measure_coverage([START, START + 3 * QUARTER], QUARTER, START + 3 * QUARTER)
    assert (found.expected, found.delivered, found.missed_in_a_row) == (4, 2, 2)
    assert found.longest_silence == 3 * QUARTER


def test_the_current_pause_counts_and_the_current_slot_does_not() -> None:
    found = measure_coverage([START], QUARTER, START + timedelta(hours=2))
    assert (found.expected, found.delivered) == (8, 1)
    assert found.longest_silence == timedelta(hours=2)


def test_several_runs_in_a_slot_count_once() -> None:
    runs = [START + timedelta(minutes=n) for n in range(10)]
    assert measure_coverage(runs, QUARTER, runs[-1]).delivered == 1


def test_skipped_runs_count_as_delivered() -> None:
    found = measure_coverage(
        [START, START + 3 * QUARTER], QUARTER, START + 3 * QUARTER, unrecorded_runs=2
    )
    assert (found.expected, found.delivered) == (4, 4)


def test_without_runs_no_slot_is_expected() -> None:
    found = measure_coverage([START], QUARTER, START - timedelta(days=1))
    assert (found.expected, found.delivered, found.share) == (0, 0, None)
    assert str(found) == "0 of 0 slots, longest silence 0 minutes"


def test_the_stand_ins_schedule_is_as_bad_as_the_measured_one() -> None:
    runs = list(delivered_runs(START, START + timedelta(days=12)))
    found = measure_coverage(runs, QUARTER, runs[-1])
    assert found.share is not None
    assert 0.4 < found.share < 0.56
    assert timedelta(minutes=100) < found.longest_silence < timedelta(minutes=120)


def test_the_workflow_keeps_the_cadence_that_the_code_expects() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/etl.yml").read_text())
    [cron] = [entry["cron"] for entry in workflow[True]["schedule"]]  # YAML reads `on` as true
    minutes = [int(minute) for minute in re.split(",", cron.split()[0])]
    assert minutes == [7 + CADENCE_MINUTES * n for n in range(60 // CADENCE_MINUTES)]
    assert timedelta(minutes=minutes[0]) == SLOT_OFFSET
