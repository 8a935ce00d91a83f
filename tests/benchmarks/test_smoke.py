"""Each benchmark still runs: a tiny size of each one. Their limits are for `make bench` only."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import NAMES, load_benchmark
from benchmarks.results import Unavailable


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_benchmark_runs_in_a_small_size(name: str) -> None:
    try:
        results = list(load_benchmark(name)(True))
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert results
    assert len({result.name for result in results}) == len(results)
