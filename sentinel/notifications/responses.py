"""What a target's HTTP response says about a message that did not arrive."""

from __future__ import annotations

import contextlib
import functools
import json
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import requests

from api_library import retry_after_seconds

MAX_BODY_BYTES = 10_000
MAX_WAIT_SECONDS = 1e7  # a longer `retry_after` in a body is nonsense


class SendResult(NamedTuple):
    """The result of one attempt to send a message."""

    has_arrived: bool
    error: str = ""
    # The pause that the target asked for.
    retry_after_seconds: float | None = None
    # The target works and rejected this message.
    is_rejected: bool = False


class ResponseRecorder:
    """Records the HTTP responses that `requests` receives.

    Apprise sends from its own threads and returns only whether a message arrived. The pause that a
    target asks for is in its response. Apprise offers no other way to read it, so this class
    replaces `requests.adapters.HTTPAdapter.send` for the whole process.
    """

    def __init__(self) -> None:
        self._send = requests.adapters.HTTPAdapter.send
        self._responses: list[requests.Response] | None = None
        # Threads that were still sending when their message timed out.
        self._unfinished: list[threading.Thread] = []
        recorder = self

        def send_and_record(adapter: Any, *arguments: Any, **options: Any) -> requests.Response:
            response = recorder._send(adapter, *arguments, **options)
            if recorder._responses is not None:
                recorder._responses.append(response)
            return response

        requests.adapters.HTTPAdapter.send = send_and_record  # type: ignore[assignment, method-assign]

    def add_unfinished(self, thread: threading.Thread) -> None:
        """Remember a thread that is still sending a message that timed out."""
        self._unfinished.append(thread)

    @contextlib.contextmanager
    def recording(self) -> Iterator[list[requests.Response]]:
        """Yield a list that collects the responses received within the block.

        One message is sent at a time. While a thread of an earlier message is unfinished, the
        responses may belong to either message, and the list stays empty.
        """
        self._unfinished = [thread for thread in self._unfinished if thread.is_alive()]
        self._responses = []
        try:
            yield [] if self._unfinished else self._responses
        finally:
            self._responses = None


@functools.cache
def response_recorder() -> ResponseRecorder:
    """Return the process's only recorder. The first call installs it."""
    return ResponseRecorder()


def interpret_failure(
    label: str, responses: Sequence[requests.Response], now: datetime
) -> SendResult:
    """Return the result of a failed attempt from the target's last response.

    `label` names the target in the error.
    """
    if not responses:
        return SendResult(False, f"{label} does not answer")
    response = responses[-1]
    status = response.status_code
    wait = retry_after_seconds(response.headers.get("Retry-After"), now)
    if wait is None:
        wait = _read_retry_after(response)
    # The other 4xx codes are about the target or its key, not about this message.
    is_rejected = 400 <= status < 500 and status not in (401, 403, 404, 408, 429)
    return SendResult(False, f"{label} answered {status}", wait, is_rejected)


def _read_retry_after(response: requests.Response) -> float | None:
    """Return `retry_after` (seconds) from a JSON body of Telegram or Discord.

    https://core.telegram.org/bots/api#responseparameters
    """
    try:
        content = json.loads(response.content[:MAX_BODY_BYTES])
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    for place in (content.get("parameters"), content):
        wait = place.get("retry_after") if isinstance(place, dict) else None
        if isinstance(wait, bool) or not isinstance(wait, int | float):
            continue
        if 0 <= wait < MAX_WAIT_SECONDS:
            return float(wait)
    return None
