"""Alerts never fail a run: what goes wrong with them is a warning in its report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pipeline.optional_stage import errors_as_warnings
from pipeline.run import Run
from sentinel.storage.connection import Session

NOT_INSTALLED = (
    "Alerts are off, because the package {name} is not installed: python -m pip install "
    "--require-hashes -r requirements/alerts.txt."
)


def prepare_alerts(run: Run) -> None:
    """Import what alerts need and read the addresses of the targets, if the run has any.

    It takes half a second, so it comes before the database is opened.
    """
    if run.alert_settings:
        with _errors_as_warnings(run):
            from pipeline.alert_stage import prepare_targets  # needs packages that others lack

            run.alert_targets = prepare_targets(run.alert_settings)


def send_alerts(run: Run, session: Session) -> None:
    """Run the alert stage if the run has alert targets. Its rows must be committed.

    Raises Interrupted only.
    """
    if run.alert_settings and run.alert_targets:
        from pipeline import alert_stage

        # An error in the summary must not hold back the alerts.
        with _errors_as_warnings(run, "The daily summary waits for the next run: "):
            alert_stage.queue_summary(run, session, run.alert_settings)
        with _errors_as_warnings(run):
            run.alerts = alert_stage.send_alerts(run, session, run.alert_settings)
            run.warnings += run.alerts.problems


@contextlib.contextmanager
def _errors_as_warnings(run: Run, start: str = "Alerts wait for the next run: ") -> Iterator[None]:
    with errors_as_warnings(run, start):
        try:
            yield
        except ModuleNotFoundError as error:
            run.warnings.append(NOT_INSTALLED.format(name=error.name))
