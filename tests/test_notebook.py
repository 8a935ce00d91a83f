"""The notebook in docs runs from its first cell to its last."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from safe_zone import ROOT
from tests.conftest import FreshDatabase
from tests.support.monitor import load

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


@pytest.mark.slow  # pandas and Matplotlib take two seconds to start
def test_the_notebook_runs_and_is_stored_without_its_output(
    fresh: FreshDatabase, script_environment: dict[str, str], tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    points = [
        (now - n * timedelta(minutes=15), coin_id, 100.0 + (n * n) % 37)
        for n in range(14 * 96)
        for coin_id in ("btc", "eth", "sol")
    ]
    load(fresh.address(), points, now)
    cells = [c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    code = "\n".join("".join(cell["source"]) for cell in cells)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=NOTEBOOK.parent,
        env=script_environment
        | {"DATABASE_URL": fresh.url, "MPLBACKEND": "Agg", "MPLCONFIGDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sma-cross ")
