"""Read the large file with DuckDB, sorted by coin and time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.peers import tasks

READ = "SELECT * FROM read_csv($path) ORDER BY coin_id, timestamp"


def read_large(folder: Path) -> Mapping[str, Any]:
    """Return the CPU seconds of the query with its result as arrays."""
    parameters = {"path": str(folder / tasks.LARGE)}
    run = lambda: duckdb.execute(READ, parameters).fetchnumpy()  # noqa: E731
    return {"read": tasks.measure_once(run)}


if __name__ == "__main__":
    tasks.run_task("duckdb", {"large": read_large, "large-command": read_large})
