"""`python -m services.ingestion`: keep the pipeline running, and watch what it brings."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from types import FrameType
from zoneinfo import ZoneInfo

from safe_zone import RUN_DEADLINE_SECONDS, ensure_state_dir
from sentinel import console, files
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.errors import EXIT_OK, ConfigurationError, Interrupted, SentinelError
from sentinel.notifications import messages
from sentinel.notifications.messages import MessageFormatter
from sentinel.notifications.senders import Notifier, make_targets
from sentinel.process import run_as_script
from sentinel.storage.connection import resolve_database
from services.ingestion.loop import Loop
from services.settings import MonitorSettings, load_monitor_settings

LONGEST_TICK_SECONDS = 2 * RUN_DEADLINE_SECONDS + 60  # a run, repairs, and what follows
LONGEST_INTERVAL = timedelta(days=1)
_DURATION = re.compile(r"(\d{1,6})\s*(s|m|h|)")
EPILOG = """examples:
  python -m services.ingestion                       until it is stopped
  python -m services.ingestion --once                one tick, for a cron
  python -m services.ingestion --interval 10m
  python -m services.ingestion --test-notification
It ends in 0 when it was asked to stop (the tick in hand is finished), and with the code of the last
trouble after five failed ticks in a row."""


class StopSign:
    """SIGTERM and Ctrl-C ask to end after the tick in hand; asked again, it ends at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._has_asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._raise)

    def _raise(self, number: int, _frame: FrameType | None) -> None:
        if self._has_asked:
            raise Interrupted(number)
        self._has_asked = True
        # Not by print: the signal may have come in the middle of one.
        os.write(sys.stderr.fileno(), b"stopping after this tick\n")
        self._event.set()

    def is_up(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until somebody asks."""
        self._event.wait(seconds)


def main() -> int:
    """Run as the command line says; returns 0."""
    arguments = _parse()
    console.configure_logging(verbose=arguments.verbose)
    monitor = load_monitor_settings(config=arguments.config)
    asked = _interval(arguments.interval)
    notifier = Notifier(make_targets(monitor.alert_urls), SYSTEM_CLOCKS)
    formatter = MessageFormatter(monitor.options.language, ZoneInfo(monitor.options.time_zone))
    if arguments.test_notification:
        return _test(notifier, formatter)
    stop = StopSign()
    with _alone(monitor), resolve_database(monitor.settings):
        loop = Loop(
            monitor, notifier, formatter, SYSTEM_CLOCKS, asked, stop.is_up, _deadline, stop.sleep
        )
        if arguments.once:
            with _deadline():
                report = loop.tick()
            print(report.message)
            if loop.troubles:
                raise loop.troubles[-1]
        else:
            loop.run()
    return EXIT_OK


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m services.ingestion",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--once", action="store_true", help="one tick, then leave")
    parser.add_argument(
        "--interval", help="such as 90s, 5m, 1h; the credits may ask for a longer one"
    )
    parser.add_argument(
        "--test-notification",
        action="store_true",
        help="send a message to every target, then leave",
    )
    parser.add_argument("--config", help="another file than ingest_config.json")
    parser.add_argument("--verbose", action="store_true", help="tell of every tick")
    return parser.parse_args()


def _interval(wish: str | None) -> timedelta | None:
    if wish is None:
        return None
    found = _DURATION.fullmatch(wish.strip())
    units = {"s": "seconds", "": "seconds", "m": "minutes", "h": "hours"}
    interval = timedelta(**{units[found[2]]: int(found[1])}) if found else timedelta()
    if not timedelta() < interval <= LONGEST_INTERVAL:
        raise ConfigurationError(
            f"--interval '{wish[:40]}' is no interval of up to a day: write 90s, 5m or 1h"
        )
    return interval


@contextlib.contextmanager
def _deadline() -> Iterator[None]:
    """End a tick that hangs, whatever it hangs on."""
    if not hasattr(signal, "alarm"):
        yield
        return
    signal.alarm(LONGEST_TICK_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def _test(notifier: Notifier, formatter: MessageFormatter) -> int:
    """Raises SentinelError where a target did not take the message."""
    message = messages.test_message(formatter, SYSTEM_CLOCKS.now())
    failed = notifier.send_past_outbox(message)
    if failed:
        raise SentinelError(f"The test message did not arrive: {'; '.join(failed)}.")
    print(f"The test message arrived at {', '.join(t.label for t in notifier.targets)}.")
    return EXIT_OK


@contextlib.contextmanager
def _alone(monitor: MonitorSettings) -> Iterator[None]:
    """Raises ConfigurationError where another loop works in the same state directory."""
    refusal = ConfigurationError(
        f"Another monitor runs in {monitor.settings.state_dir}: stop it first."
    )
    with files.lock_or_refuse(ensure_state_dir(monitor.settings.state_dir) / "monitor", refusal):
        yield


if __name__ == "__main__":
    run_as_script(main)
