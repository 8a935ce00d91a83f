"""Each benchmark still runs: a tiny size of each one. Their limits are for `make bench` only."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from benchmarks.__main__ import NAMES, load_benchmark
from benchmarks.results import Unavailable
from tests.conftest import open_to_other_users


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_benchmark_runs_in_a_small_size(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_other_users(tmp_path)  # root's server runs as another user
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # in memory, where there is room
    try:
        results = list(load_benchmark(name)(True))
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert results
    assert len({result.name for result in results}) == len(results)
