"""Report runs to a dead man's switch: a service that sends an alarm when the reports stop.

The requests follow Healthchecks.io: ADDRESS/start, ADDRESS after a success, and ADDRESS/fail with
the exit code and the message in its body. Other services accept the plain ADDRESS.
https://healthchecks.io/docs/http_api/ https://healthchecks.io/docs/signaling_failures/

A report never fails a run, and delays its end by TOTAL_SECONDS at most. The address is a secret,
because it is all that a report needs: no log and no error repeats it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence

import requests
from pydantic import TypeAdapter, ValidationError

from sentinel.config import read_environment
from sentinel.errors import EXIT_UNEXPECTED, SentinelError
from sentinel.fields import HttpAddress

log = logging.getLogger("sentinel.heartbeat")

TIMEOUT_SECONDS = 2.5  # for a connection, and for the response
TOTAL_SECONDS = 3.0  # with the search for the host's address, which has no timeout of its own
MAX_LINES, MAX_CHARACTERS = 10, 2_000  # of a message
# Between the begins of two ticks that are reported: ticks of a minute may begin a little early.
MIN_PAUSE_SECONDS = 55.0


class Heartbeat:
    """Sends the reports of one process, in threads beside the work and in order.

    Without an address it sends nothing.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._thread: threading.Thread | None = None
        # Monotonic seconds of the begin of the last tick that was reported.
        self._tick_began = float("-inf")
        # Whether a failure was reported.
        self.has_failed = False
        # The error of the last tick that was reported.
        self.tick_error: SentinelError | None = None

    def send_start(self) -> None:
        """Report that a run begins: if its result does not follow, the service sends its alarm."""
        self._send("/start")

    def send_success(self) -> None:
        """Report that a run has succeeded."""
        self._send()

    def send_failure(self, exit_code: int, message: str) -> None:
        """Report that a run has failed, with the last lines of its message."""
        self.has_failed = True
        lines = message.splitlines()[-MAX_LINES:]
        self._send("/fail", "\n".join([f"exit code {exit_code}", *lines])[:MAX_CHARACTERS])

    def send_tick(self, errors: Sequence[SentinelError], began: float) -> None:
        """Report a tick of a loop, about once a minute at most.

        `began` is its begin by the monotonic clock, in seconds: a slow tick delays its report, and
        must not swallow that of the next one.
        """
        if self._is_sending or began - self._tick_began < MIN_PAUSE_SECONDS:
            return
        self._tick_began, self.tick_error = began, errors[-1] if errors else None
        if errors:
            self.send_failure(errors[-1].exit_code, "\n".join(map(str, errors)))
        else:
            self.send_success()

    def wait(self) -> None:
        """Wait until all reports are sent, for TOTAL_SECONDS at most."""
        if self._thread:
            self._thread.join(TOTAL_SECONDS)
        if self._is_sending:
            log.warning("a heartbeat was not accepted: no response after %.0f s", TOTAL_SECONDS)

    @property
    def _is_sending(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _send(self, path: str = "", body: str | None = None) -> None:
        if self._address:
            arguments = (self._thread, self._address + path, body)
            thread = threading.Thread(target=_send_after, args=arguments, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system's limit of threads
                log.warning("a heartbeat was not sent: no thread can be started")
            else:
                self._thread = thread


def _send_after(earlier: threading.Thread | None, url: str, body: str | None) -> None:
    if earlier:
        earlier.join()
    if problem := _request(url, body):
        log.warning("a heartbeat was not accepted: %s", problem)


def _request(url: str, body: str | None) -> str | None:
    """Send one request; return what went wrong, without the address."""
    try:
        with requests.request(
            "GET" if body is None else "POST",
            url,
            data=body and body.encode(errors="replace"),
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
            stream=True,
        ) as response:
            status = response.status_code
    except (requests.RequestException, OSError, ValueError) as error:
        return type(error).__name__  # its text holds the address
    return None if 200 <= status < 300 else f"the server answered {status}"


@contextlib.contextmanager
def watch(address: str | None) -> Iterator[Heartbeat]:
    """Report the start and the result of the block.

    It failed if it sent a failure itself, or if an exception leaves it.
    """
    heartbeat = Heartbeat(address)
    heartbeat.send_start()
    with report_errors(heartbeat):
        yield heartbeat
    if not heartbeat.has_failed:
        heartbeat.send_success()
    heartbeat.wait()


@contextlib.contextmanager
def report_errors(heartbeat: Heartbeat) -> Iterator[None]:
    """Report an exception that leaves the block as a failure, unless it was a tick's error."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, SentinelError):  # its text may hold a secret
            text = f"Unexpected {type(error).__name__}: the log has its traceback."
            heartbeat.send_failure(EXIT_UNEXPECTED, text)
        elif error is not heartbeat.tick_error:
            heartbeat.send_failure(error.exit_code, str(error))
        heartbeat.wait()
        raise


@contextlib.contextmanager
def report_wrong_settings(variable: str) -> Iterator[None]:
    """Report an exception that leaves the block to the address in `variable`, if it is valid.

    For a block that reads the settings: without them no address is known.
    """
    try:
        yield
    except SentinelError:
        with contextlib.suppress(ValidationError):
            address = TypeAdapter(HttpAddress).validate_python(read_environment([]).get(variable))
            with report_errors(Heartbeat(address)):
                raise
        raise
