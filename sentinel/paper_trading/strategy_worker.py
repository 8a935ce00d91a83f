"""The child process that runs the users' own strategies for the wallets.

`python -m sentinel.paper_trading.strategy_worker PARENT` reads requests from stdin, each a pickle
after its length, and writes lines of JSON to stdout. The parent reads numbers and text only: the
user's code runs here. `strategy_process` is the parent's side.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sentinel import child_process
from sentinel.backtesting.engine import Order
from sentinel.backtesting.portfolio import Portfolio
from sentinel.backtesting.price_series import PriceSeries
from sentinel.backtesting.strategies import Strategy
from sentinel.errors import SentinelError

if sys.platform != "win32":
    import resource

LENGTH_BYTES = 8  # before each request, big-endian
MAX_PRINTED = 2_000  # characters of what a strategy prints for one request
MAX_MEMORY_BYTES = 2 * 1024**3
# Code that never releases the interpreter keeps this process from noticing that its parent has
# ended. Then this limit of the system ends it.
MAX_CPU_SECONDS = 300


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """What a strategy needs to decide at the newest observation of one coin."""

    series: PriceSeries
    # UNIX seconds. The prices before it are for the strategy's averages only.
    started_at: float
    portfolio: Portfolio


def decide(strategy: Strategy, request: DecisionRequest) -> Order:
    """Return what a strategy orders at the newest observation. Raises StrategyFailed."""
    signals = strategy.build_signals(request.series, request.started_at)
    return signals.place_order(len(request.series) - 1, request.portfolio)


def write_request(
    stream: IO[bytes], request_id: str, strategy: Strategy, requests: Sequence[DecisionRequest]
) -> None:
    """Send the requests of one wallet to the child. Raises OSError if the child has ended.

    The response repeats `request_id`.
    """
    content = pickle.dumps((request_id, strategy, requests))
    stream.write(len(content).to_bytes(LENGTH_BYTES, "big"))
    stream.write(content)
    stream.flush()


def _read_request(stream: IO[bytes]) -> tuple[str, Strategy, Sequence[DecisionRequest]] | None:
    """Return the next request, or None if the parent sends no more."""
    length = stream.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    content = stream.read(int.from_bytes(length, "big"))
    request_id, strategy, requests = pickle.loads(content)  # noqa: S301  # nosec B301 - from the parent
    return request_id, strategy, requests


class _Printer(io.TextIOBase):
    """Sends what a strategy prints to the parent, MAX_PRINTED characters of each request."""

    def __init__(self, responses: IO[bytes]) -> None:
        self._responses = responses
        self._line = ""
        self._left = MAX_PRINTED

    def begin(self) -> None:
        self._line, self._left = "", MAX_PRINTED

    def write(self, text: str, /) -> int:
        shown = text[: self._left]
        self._left -= len(shown)
        *lines, self._line = (self._line + shown).split("\n")
        for line in lines:
            _send(self._responses, "printed", line)
        return len(text)

    def end(self) -> None:
        if self._line:
            _send(self._responses, "printed", self._line)
        if not self._left:
            _send(self._responses, "printed", f"(only the first {MAX_PRINTED} characters)")


def main() -> None:
    """Respond to requests until the parent sends no more."""
    requests, responses = _take_streams()
    child_process.end_with_parent(int(sys.argv[1]), child_process.end_group)
    _limit_resources()
    printer, own = _Printer(responses), os.getpid()
    sys.stdout = sys.stderr = printer
    _send(responses, "ready", True)
    while request := _read_request(requests):
        request_id, strategy, asked = request
        printer.begin()
        kind, value = _respond(strategy, asked)
        if os.getpid() != own:  # the strategy forked, and this is the copy
            os._exit(0)
        printer.end()
        _send(responses, kind, value, request_id)


def _respond(strategy: Strategy, requests: Sequence[DecisionRequest]) -> tuple[str, object]:
    try:
        return "orders", [decide(strategy, request) for request in requests]
    except SentinelError as error:
        return "error", str(error)
    except Exception as error:  # noqa: BLE001 - such as MemoryError, outside the user's function
        return "error", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _take_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Return stdin and stdout for the protocol, and give the user's code the null device."""
    requests, responses = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    return requests, responses


def _limit_resources() -> None:
    """Limit memory and processor time, and let the system end this process first if memory ends."""
    if sys.platform == "win32":
        return
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # Linux only
        Path("/proc/self/oom_score_adj").write_text("1000")


def _send(stream: IO[bytes], kind: str, value: object, request_id: str = "") -> None:
    stream.write(json.dumps({kind: value, "id": request_id}).encode() + b"\n")
    stream.flush()


if __name__ == "__main__":
    main()
