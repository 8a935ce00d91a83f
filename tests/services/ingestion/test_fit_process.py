"""The lines of the forecasts, fitted in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from safe_zone import ROOT
from sentinel.analytics import forecast
from sentinel.analytics.forecast_band import Floats
from sentinel.storage.connection import Session
from services.ingestion import fit_process, forecasting
from services.ingestion.fit_process import FitFailed
from tests.conftest import NOW, FreshDatabase
from tests.support.monitor import load, minutes

AT = forecast.build_time_grid(0.0, 3600.0, timedelta(minutes=5))
LOGS = np.cumsum(np.random.default_rng(3).normal(0, 0.01, (len(AT), 40)), axis=0)


@pytest.mark.slow
def test_the_process_returns_what_a_fit_in_this_process_returns() -> None:
    assert np.array_equal(fit_process.fit_slopes(AT, LOGS), forecast.fit_slopes(AT, LOGS))


@pytest.mark.slow
def test_the_loop_itself_imports_neither_scikit_learn_nor_scipy() -> None:
    code = (
        "import sys, services.ingestion.__main__; "
        "print(sorted({'sklearn', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo No module named sklearn >&2; exit 3", "code 3: No module named sklearn"),
        ("kill -9 $$", "code -9: no message"),
        ("exec sleep 60", "longer than"),
        (None, "did not start"),
    ],
)
def test_a_process_that_fails_is_reported(
    script: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "python"
    if script:
        interpreter.write_text(f"#!/bin/sh\n{script}\n")
        interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    if message == "longer than":
        monkeypatch.setattr(fit_process, "TIMEOUT_SECONDS", 0.2)
    with pytest.raises(FitFailed, match=message):
        fit_process.fit_slopes(AT, LOGS)


def test_a_failed_fit_costs_the_forecasts_of_one_tick_and_leaves_a_warning(
    fresh: FreshDatabase, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    prices = [(NOW - minutes(5 * n), "bitcoin", 100.0 + n) for n in range(14)]
    load(fresh.address(), prices, NOW)

    def fail(_at: Floats, _logs: Floats) -> Floats:
        raise FitFailed("The process ended.")

    def update(fit_slopes: forecasting.FitSlopes) -> int:
        return session.use(lambda c: forecasting.update_forecasts(c, minutes(5), NOW, fit_slopes))

    assert update(fail) == 0
    assert "this tick makes no forecasts: The process ended." in caplog.text
    assert update(lambda _at, logs: np.zeros(logs.shape[1])) == 1
