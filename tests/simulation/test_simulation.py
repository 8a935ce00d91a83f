"""The simulation keeps all promises, repeats itself, and finds a planted fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safe_zone import ROOT
from tests.mutations import Mutation
from tests.planted_faults import FAULTS, find_seed, simulate

SEEDS = range(101, 111)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_day_of_faults_breaks_no_promise(seed: int) -> None:
    result = simulate(ROOT, seed, days=1)
    assert result["problem"] is None, json.dumps(result, indent=1)
    assert result["checks"] > 3
    assert result["events"]
    assert result["footprints"][-1]["open descriptors"] < 20


@pytest.mark.slow
def test_a_seed_always_gives_the_same_events_and_prices() -> None:
    first, second = (_without_sizes(simulate(ROOT, 7, days=0.5)) for _ in range(2))
    assert first == second


@pytest.mark.slow
def test_the_simulation_finds_a_day_that_was_dropped_too_early() -> None:
    [fault] = [fault for fault in FAULTS if "no day inside" in fault.promise]
    found = find_seed(fault, days=0.2)
    assert found
    assert "was dropped within the retention" in found["problem"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.path)
def test_each_fault_to_be_planted_fits_the_product(fault: Mutation, tmp_path: Path) -> None:
    path = tmp_path / fault.path
    path.parent.mkdir(parents=True, exist_ok=True)
    source = (ROOT / fault.path).read_text(encoding="utf-8")
    path.write_text(source, encoding="utf-8")
    fault.apply(tmp_path)
    compile(path.read_text(encoding="utf-8"), fault.path, "exec")


def _without_sizes(result: dict[str, Any]) -> dict[str, Any]:
    """Leave out what depends on the machine."""
    return {name: value for name, value in result.items() if name != "footprints"}
