"""Fit the lines of the forecasts in a process of its own, which ends afterwards.

scikit-learn and scipy need more memory than the rest of the loop. Only the end of a process gives
it back. `python -m services.ingestion.fit_process` is that process.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from safe_zone import ROOT
from sentinel.analytics import forecast
from sentinel.analytics.forecast_band import Floats
from sentinel.errors import SentinelError

TIMEOUT_SECONDS = 60.0  # most of it is the import of scikit-learn: one to two seconds on a laptop


class FitFailed(SentinelError):
    """The lines of the forecasts could not be fitted."""


def fit_slopes(at: Floats, logs: Floats) -> Floats:
    """Return what `forecast.fit_slopes` returns. Raises FitFailed if the child process fails."""
    table = np.column_stack([at, logs])
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(table.shape[1])],
            input=table.tobytes(),
            capture_output=True,
            check=True,
            cwd=ROOT,
            timeout=TIMEOUT_SECONDS,
            start_new_session=True,  # Ctrl-C in a terminal lets the loop finish its tick
        )
    except subprocess.TimeoutExpired as error:
        raise FitFailed(f"The fit took longer than {TIMEOUT_SECONDS:.0f} s.") from error
    except subprocess.CalledProcessError as error:
        last_line = error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise FitFailed(
            f"The process that fits the forecasts ended with code {error.returncode}: "
            f"{last_line or 'no message'}"
        ) from error
    except OSError as error:
        raise FitFailed(
            f"The process that fits the forecasts did not start ({error.strerror})."
        ) from error
    return np.frombuffer(done.stdout)


def main() -> None:
    """Read a table of times and logarithms of prices from stdin, and write the slopes to stdout."""
    table = np.frombuffer(sys.stdin.buffer.read()).reshape(-1, int(sys.argv[1]))
    slopes = forecast.fit_slopes(table[:, 0], table[:, 1:])
    sys.stdout.buffer.write(slopes.tobytes())


if __name__ == "__main__":
    main()
