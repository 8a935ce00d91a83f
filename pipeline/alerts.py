"""Alerts never fail a run: what goes wrong with them is a warning in its report."""

from __future__ import annotations

import logging

from pipeline.run import Run
from sentinel.errors import Interrupted, SentinelError
from sentinel.process import describe_error
from sentinel.storage.connection import Session

log = logging.getLogger("sentinel.alerts")

NOT_INSTALLED = (
    "Alerts are off, because the package {name} is not installed: python -m pip install "
    "--require-hashes -r requirements/alerts.txt."
)


def send_alerts_of_run(run: Run, session: Session) -> None:
    """Run the alert stage if the run has alert targets, after its rows are committed.

    Raises Interrupted only.
    """
    if run.alert_settings is None:
        return
    try:
        from pipeline.alert_stage import send_alerts  # which needs packages that others lack

        run.alerts = send_alerts(session, run.alert_settings, run.trusted_clocks, run.warnings)
        run.warnings += run.alerts.problems
    except Interrupted:
        raise
    except ModuleNotFoundError as error:
        run.warnings.append(NOT_INSTALLED.format(name=error.name))
    except SentinelError as error:
        run.warnings.append(f"Alerts wait for the next run: {error}")
    except Exception as error:
        # The rows are stored. An error here must cost neither the backfill nor the report.
        log.info("the alert stage failed", exc_info=True)
        run.warnings.append(f"Alerts wait for the next run: {describe_error(error)}")
