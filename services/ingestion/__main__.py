"""`python -m services.ingestion`: run the pipeline continuously, with alerts and forecasts."""

from __future__ import annotations

if __name__ == "__main__":
    import sentinel.startup  # noqa: F401 - before all other imports

import argparse
import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from safe_zone import RUN_DEADLINE_SECONDS
from sentinel import files
from sentinel.alerting.announcements import make_delivery_rules
from sentinel.arguments import interval, make_parser
from sentinel.clocks import SYSTEM_CLOCKS
from sentinel.config import ensure_state_dir
from sentinel.daily_summary.queueing import write_summary
from sentinel.errors import EXIT_OK, EXIT_UNHEALTHY, ConfigurationError, Interrupted, SentinelError
from sentinel.heartbeat import Heartbeat, report_errors, report_wrong_settings
from sentinel.notifications import messages
from sentinel.notifications.delivery import Notifier
from sentinel.notifications.messages import Message, MessageFormatter
from sentinel.notifications.targets import make_targets
from sentinel.paper_trading.strategy_process import STEP_SECONDS
from sentinel.process import configure_logging, run_as_script, write_in_signal_handler
from sentinel.storage.connection import Connection, Session, resolve_database
from services.ingestion import fit_process, stages
from services.ingestion.loop import Loop
from services.settings import MonitorSettings, load_monitor_settings

# A run, a backfill after an outage, the stages that follow, and the users' strategies.
TICK_DEADLINE_SECONDS = 2 * RUN_DEADLINE_SECONDS + 60 + int(STEP_SECONDS)
EPILOG = """examples:
  python -m services.ingestion                       run until stopped
  python -m services.ingestion --once                one tick, for a cron
  python -m services.ingestion --interval 10m
  python -m services.ingestion --test-notification
  python -m services.ingestion --summary             the daily summary as of now
The exit code is 0 after SIGTERM or Ctrl-C (the current tick is finished first). After five failed
ticks in a row it is the code of the last error."""


def main() -> int:
    """Run as the command line says; return 0."""
    arguments = _parse_arguments()
    configure_logging(verbose=arguments.verbose)
    with report_wrong_settings("HEARTBEAT_URL_MONITOR"):
        monitor = load_monitor_settings(config=arguments.config)
    rules = make_delivery_rules(monitor)
    notifier = Notifier(make_targets(monitor.alert_urls), SYSTEM_CLOCKS, rules)
    if arguments.test_notification:
        return _send_test_message(notifier, rules.formatter)
    if arguments.summary:
        return print_summary(monitor, rules.formatter)
    stop = StopRequest()
    state_dir = ensure_state_dir(monitor.settings.state_dir)
    refusal = ConfigurationError(f"Another monitor runs in {state_dir}: stop it first.")
    loop = Loop(
        monitor,
        notifier,
        rules.formatter,
        SYSTEM_CLOCKS,
        requested_interval=arguments.interval,
        should_stop=stop.is_set,
        deadline=_tick_deadline,
        sleep=stop.sleep,
        fit_slopes=fit_process.fit_slopes,
        heartbeat=Heartbeat(monitor.monitor_heartbeat_url),
    )
    with (
        files.lock_or_refuse(state_dir / "monitor", refusal),
        report_errors(loop.heartbeat),
        loop.announce_errors(),
        resolve_database(monitor.settings),
    ):
        if arguments.once:
            _run_once(loop)
            loop.publication.wait()
        else:
            loop.run()
        loop.heartbeat.wait()
    return EXIT_OK


def _parse_arguments() -> argparse.Namespace:
    parser = make_parser("python -m services.ingestion", __doc__, EPILOG)
    parser.add_argument("--once", action="store_true", help="run one tick, then exit")
    parser.add_argument(
        "--interval",
        type=interval,
        help="such as 90s, 5m, 1h; the loop takes a longer one if the credits require it",
    )
    parser.add_argument(
        "--test-notification",
        action="store_true",
        help="send a test message to every target, then exit",
    )
    parser.add_argument(
        "--summary",
        action="store_true",
        help="print the daily summary as of now, send nothing, then exit",
    )
    parser.add_argument("--config", help="read this file instead of ingest_config.json")
    parser.add_argument("--verbose", action="store_true", help="log every tick")
    return parser.parse_args()


class StopRequest:
    """The first SIGTERM or Ctrl-C ends the loop after the current tick, the second one at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._was_received = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._was_received:
            raise Interrupted(number)
        self._was_received = True
        write_in_signal_handler(b"stopping after this tick\n")
        self._event.set()

    def is_set(self) -> bool:
        """Return whether a signal has arrived."""
        return self._event.is_set()

    def sleep(self, seconds: float) -> None:
        """Sleep until the time is over or a signal arrives."""
        self._event.wait(seconds)


def _run_once(loop: Loop) -> None:
    """Run one tick. Raises its last error."""
    with _tick_deadline():
        report = loop.tick()
    print(report.message)
    if loop.errors:
        raise loop.errors[-1]


@contextlib.contextmanager
def _tick_deadline() -> Iterator[None]:
    """End a tick that hangs. Windows has no alarm signal: there a tick has no deadline."""
    if not hasattr(signal, "alarm"):
        yield
        return
    signal.alarm(TICK_DEADLINE_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


class MessageNotDelivered(SentinelError):
    """An alert target did not accept the test message."""

    exit_code = EXIT_UNHEALTHY


def _send_test_message(notifier: Notifier, formatter: MessageFormatter) -> int:
    """Send a message to every target. Raises MessageNotDelivered if one of them fails."""
    message = messages.compose_test_message(formatter, SYSTEM_CLOCKS.now())
    failures = notifier.send_directly(message)
    if failures:
        raise MessageNotDelivered(f"The test message did not arrive: {'; '.join(failures)}.")
    print(f"The test message arrived at {', '.join(t.label for t in notifier.targets)}.")
    return EXIT_OK


def print_summary(monitor: MonitorSettings, formatter: MessageFormatter) -> int:
    """Print the summary of the last 24 hours. Raises StorageUnavailable."""
    now, settings, options = SYSTEM_CLOCKS.now(), monitor.settings, monitor.options

    def write(connection: Connection) -> Message:
        quotas = stages.read_quotas(settings, now)
        return write_summary(connection, settings, options, formatter, now, lambda: quotas)

    with resolve_database(settings) as address, Session(address) as session:
        message = session.use(write)
    print(f"{message.title}\n{message.body}")
    return EXIT_OK


if __name__ == "__main__":
    run_as_script(main)
