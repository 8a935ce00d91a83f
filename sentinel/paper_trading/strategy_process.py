"""Asks the users' own strategies in a child process with a time limit.

A strategy that hangs, ends its process or takes all memory costs its own wallet one step. The child
is killed with all its children, and the next wallet gets a new one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, Self

from safe_zone import ROOT
from sentinel import child_process
from sentinel.backtesting.engine import Order
from sentinel.backtesting.portfolio import EXIT_REASONS
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.strategy_modules import StrategyFailed
from sentinel.paper_trading import strategy_worker
from sentinel.paper_trading.strategy_worker import DecisionRequest

log = logging.getLogger("sentinel.strategies")

WALLET_SECONDS = 30.0  # for one wallet
STEP_SECONDS = 60.0  # for all wallets of a step together
START_SECONDS = 30.0  # for the interpreter and its imports, on a busy machine
POLL_SECONDS = 0.1  # between two looks at the child and at a signal
MAX_LINE_BYTES = 100_000  # of a response
MAX_ERROR = 1_000  # characters
FORGED = "The strategy wrote into the response of its process"
# Everything else in the environment, such as DATABASE_URL and tokens, is no business of a strategy.
KEPT_VARIABLES = (
    *("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SYSTEMROOT"),
    *("PYTHONPATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
)


class StrategyProcess:
    """The child process of one step; it starts with the first request. Use as a context manager."""

    def __init__(
        self,
        *,
        wallet_seconds: float = WALLET_SECONDS,
        step_seconds: float = STEP_SECONDS,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._wallet_seconds = wallet_seconds
        self._seconds_left = step_seconds
        self._should_stop = should_stop
        self._waiting_wallets = 1
        self._process: subprocess.Popen[bytes] | None = None
        # The lines that the child has written; None after the last one.
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def share_time(self, wallets: int) -> None:
        """Divide the time that is left among as many wallets.

        A strategy that hangs at every step therefore leaves the others their part. What one does
        not need is divided among those after it.
        """
        self._waiting_wallets = wallets

    def decide(
        self, wallet: str, strategy: Strategy, requests: Sequence[DecisionRequest]
    ) -> list[Order]:
        """Return what the strategy orders for each request.

        What the strategy prints is logged with the wallet's name. Raises StrategyFailed, also if it
        takes too long or ends its process.
        """
        try:
            response = self._ask(self._prepare(), wallet, strategy, requests)
            orders = None if "error" in response else _check_orders(response, len(requests))
        except BaseException:
            self._kill()
            raise
        if orders is None:
            raise StrategyFailed(str(response["error"])[:MAX_ERROR])
        return orders

    def _ask(
        self,
        process: subprocess.Popen[bytes],
        wallet: str,
        strategy: Strategy,
        requests: Sequence[DecisionRequest],
    ) -> Mapping[str, Any]:
        limit = min(self._wallet_seconds, self._seconds_left / max(1, self._waiting_wallets))
        self._waiting_wallets -= 1
        began, request_id = time.monotonic(), secrets.token_hex(16)
        try:
            _run_in_thread(_write, process.stdin, request_id, strategy, requests)
            response = self._receive(process, wallet, limit)
        finally:
            self._seconds_left = max(0.0, self._seconds_left - (time.monotonic() - began))
        if response.get("id") != request_id:
            raise StrategyFailed(FORGED)
        return response

    def _prepare(self) -> subprocess.Popen[bytes]:
        """Return the running child, or a new one.

        A child that has ended or written since its last response did so for the wallet before: the
        next one gets a new child.
        """
        if self._process and (self._process.poll() is not None or not self._lines.empty()):
            self._kill()
        return self._process or self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        try:
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", strategy_worker.__name__, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
                env=environment,
                start_new_session=True,  # a process group of its own, which is killed as a whole
            )
        except OSError as error:
            raise StrategyFailed(
                f"The process for users' strategies did not start ({error.strerror})"
            ) from error
        self._lines = queue.SimpleQueue()
        _run_in_thread(_read, process.stdout, self._lines)
        self._receive(process, "", START_SECONDS)
        return process

    def _receive(
        self, process: subprocess.Popen[bytes], wallet: str, limit: float
    ) -> Mapping[str, Any]:
        """Return the next response, and log what the strategy prints before it.

        Raises StrategyFailed after `limit` seconds, if the process ends, or if this one has to.
        """
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            if self._should_stop():
                raise StrategyFailed("The step ends before its strategy has decided")
            try:
                line = self._lines.get(timeout=min(POLL_SECONDS, left))
            except queue.Empty:
                # A process that the strategy has forked may hold the pipe open.
                if process.poll() is None:
                    continue
                line = None
            if line is None:
                raise StrategyFailed(f"The strategy ended its process ({_describe_end(process)})")
            message = _parse(line)
            if "printed" not in message:
                return message
            log.warning("wallet '%s' printed: %s", wallet, message["printed"])
        raise StrategyFailed(
            f"The strategy did not decide within {limit:.3g} s and was ended. The next step asks "
            "it again"
        )

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        child_process.kill_group(process)
        if process.stdin:
            with contextlib.suppress(OSError):  # what the child has not read is lost
                process.stdin.close()


def _run_in_thread(function: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()


def _write(
    stream: IO[bytes], request_id: str, strategy: Strategy, requests: Sequence[DecisionRequest]
) -> None:
    """Send requests, in a thread: a child that does not read must not block its parent."""
    with contextlib.suppress(OSError, ValueError):  # the child has ended
        strategy_worker.write_request(stream, request_id, strategy, requests)


def _read(stream: IO[bytes], lines: queue.SimpleQueue[bytes | None]) -> None:
    """Put the lines of a child into a queue, in a thread."""
    with stream:
        while line := stream.readline(MAX_LINE_BYTES):
            lines.put(line)
    lines.put(None)


def _parse(line: bytes) -> Mapping[str, Any]:
    """Return a message of the child. Raises StrategyFailed: the user's code may write there too."""
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise StrategyFailed(FORGED)
    return message


def _check_orders(response: Mapping[str, Any], count: int) -> list[Order]:
    """Return the orders of a response. Raises StrategyFailed: the user's code may write its own."""
    try:
        orders = [Order(*fields) for fields in response["orders"]]
    except (KeyError, TypeError):
        orders = []
    if len(orders) == count and all(
        isinstance(order.share, int | float)
        and -1 <= order.share <= 1
        and order.reason in (None, *EXIT_REASONS)
        and isinstance(order.unblocks, bool)
        for order in orders
    ):
        return orders
    raise StrategyFailed(FORGED)


def _describe_end(process: subprocess.Popen[bytes]) -> str:
    """Return how a process ended, such as `exit code 3` or `SIGSEGV`."""
    try:
        code = process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return "it closed its output"
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}: it may need more memory than there is" if name == "SIGKILL" else name
