"""A stage that never fails a run: what goes wrong with it is a warning in the run's report."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from pipeline.run import Run
from sentinel.errors import Interrupted, SentinelError
from sentinel.process import describe_error

log = logging.getLogger("sentinel.ingest")


@contextlib.contextmanager
def errors_as_warnings(run: Run, start: str) -> Iterator[None]:
    """Note an error of the block as a warning that begins with `start`. Raises Interrupted only."""
    try:
        yield
    except Interrupted:
        raise
    except SentinelError as error:
        run.warnings.append(f"{start}{error}")
    except Exception as error:
        # The rows are stored. An error here must cost neither the next stage nor the report.
        log.info("an optional stage failed", exc_info=True)
        run.warnings.append(f"{start}{describe_error(error)}")
