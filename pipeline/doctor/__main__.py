"""Check everything that this deployment needs; one line each, with what to do.

It changes nothing and stores nothing. It asks CoinGecko for one price, which costs one credit.
"""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime

from pipeline.doctor import archive, coingecko, database, machine, monitor, publication
from safe_zone import Settings, load_settings
from sentinel.arguments import make_parser
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.errors import EXIT_OK, EXIT_UNHEALTHY, ConfigurationError, SentinelError
from sentinel.health.facts import CheckState, HealthCheck, find_failures
from sentinel.process import run_as_script

MARKS: dict[CheckState, str] = {"ok": "ok", "warning": "warning", "unhealthy": "FAILED"}
EPILOG = """examples:
  python -m pipeline.doctor             also: make doctor
  python -m pipeline.doctor --json
exit codes: 0 nothing failed (warnings may remain), 6 a check failed"""

# The subjects in order: one that fails often explains those after it.
SUBJECTS: dict[str, Callable[[Settings, datetime], Iterator[HealthCheck]]] = {
    "machine": machine.check,
    "coingecko": coingecko.check,
    "database": database.check,
    "archive": archive.check,
    "monitor": monitor.check,
    "publication": publication.check,
}


def examine(now: datetime) -> Iterator[HealthCheck]:
    """Yield the checks as they are done. With invalid settings only those that need none."""
    yield from machine.check_installation()
    try:
        settings = load_settings()
    except ConfigurationError as error:
        yield HealthCheck("settings", "unhealthy", str(error))
        return
    yield HealthCheck("settings", "ok", "The settings are valid.")
    for subject, check in SUBJECTS.items():
        try:
            yield from check(settings, now)
        except (SentinelError, OSError) as error:  # OSError: a file that this user may not read
            yield HealthCheck(subject, "unhealthy", str(error))


@contextlib.contextmanager
def _without_warnings_about_settings() -> Iterator[None]:
    """Silence the warnings about .env, which has a check: each reading of it would repeat them."""
    log = logging.getLogger("sentinel.config")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def main() -> int:
    """Print the checks; return 0, or 6 if one failed."""
    parser = make_parser("python -m pipeline.doctor", __doc__, EPILOG)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    checks = []
    with _without_warnings_about_settings():
        for check in examine(SYSTEM_CLOCKS.now()):
            checks.append(check)
            if not arguments.json:
                print(f"{MARKS[check.state]:8} {check.name:15} {check.message}", flush=True)
    failures = find_failures(checks)
    if arguments.json:
        listed = [{"name": c.name, "state": c.state, "message": c.message} for c in checks]
        print(json.dumps({"healthy": not failures, "checks": listed}))
    return EXIT_UNHEALTHY if failures else EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
