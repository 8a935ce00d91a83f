"""Users' strategies in a child process: whatever they do, the parent gets shares or one line."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from safe_zone import ROOT
from sentinel.backtesting import price_series
from sentinel.backtesting.engine import Order
from sentinel.backtesting.portfolio import Portfolio
from sentinel.backtesting.strategies import Strategy
from sentinel.backtesting.strategy_modules import StrategyFailed
from sentinel.backtesting.strategy_source import StrategySource
from sentinel.paper_trading.strategy_process import StrategyProcess
from sentinel.paper_trading.strategy_worker import MAX_PRINTED, DecisionRequest

TIMES = np.linspace(1.8e9, 1.8e9 + 8_100, 10)
REQUEST = DecisionRequest(
    price_series.from_prices(TIMES, np.linspace(1, 10, 10)), 0.0, Portfolio(Decimal(1_000))
)
HALF = "return 0.5"
# Long enough for a strategy that returns on the busiest machine.
PATIENT = 60.0
SHORT = 0.2


def own(body: str, head: str = "") -> Strategy:
    """A strategy with this body of `decide`."""
    function = f"def decide(history, portfolio):\n{textwrap.indent(body, '    ')}\n"
    text = f"import os, signal, sys, time\n{head}\n{function}"
    return Strategy("own.py", {}, StrategySource("own.py", text))


def ask(process: StrategyProcess, body: str, head: str = "") -> list[float]:
    return [order.share for order in process.decide("mine", own(body, head), [REQUEST])]


@pytest.fixture(scope="module")
def patient() -> Iterator[StrategyProcess]:
    with StrategyProcess(wallet_seconds=PATIENT, step_seconds=3600) as process:
        yield process


def has_ended(pid: int) -> bool:
    """Whether a process has ended; it may still wait for its parent."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    return True


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENT
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_strategy_decides_each_request_in_one_process(patient: StrategyProcess) -> None:
    other = DecisionRequest(REQUEST.series, 0.0, Portfolio(Decimal(0), Decimal(2)))
    body = "return 0.25 if portfolio.cash else -1"
    assert patient.decide("mine", own(body), [REQUEST, other]) == [Order(0.25), Order(-1.0)]
    pid = "print(os.getpid())"
    assert ask(patient, f"{pid}; {HALF}") == ask(patient, f"{pid}; {HALF}") == [0.5]


def test_an_error_of_a_strategy_is_one_line_and_the_process_goes_on(
    patient: StrategyProcess,
) -> None:
    with pytest.raises(
        StrategyFailed, match="ZeroDivisionError: division by zero, line 4"
    ) as error:
        ask(patient, "1 / 0")
    assert "\n" not in str(error.value)
    with pytest.raises(StrategyFailed, match="does not load: SyntaxError"):
        ask(patient, HALF, "def wrong(")
    assert ask(patient, HALF) == [0.5]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("os._exit(0)", "exit code 0"),
        ("os._exit(7)", "exit code 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL: it may need more memory"),
    ],
)
def test_a_strategy_that_ends_its_process_costs_only_its_own_wallet(
    patient: StrategyProcess, body: str, message: str
) -> None:
    with pytest.raises(StrategyFailed, match=f"ended its process .{message}"):
        ask(patient, body)
    assert ask(patient, HALF) == [0.5]


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("", "while True: pass"),
        ("while True: pass", HALF),  # while it loads
        ("", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(9)"),
        ("import threading", "while True:\n    try: time.sleep(9)\n    except BaseException: pass"),
    ],
    ids=["endless loop", "endless loop at import", "ignores SIGTERM", "catches everything"],
)
def test_a_strategy_that_hangs_is_ended_after_its_time(head: str, body: str) -> None:
    with (
        StrategyProcess(wallet_seconds=SHORT) as process,
        pytest.raises(StrategyFailed, match=r"did not decide within 0\.2 s and was ended"),
    ):
        ask(process, body, head)


def test_wallets_that_hang_leave_the_others_their_part_of_the_time() -> None:
    with StrategyProcess(step_seconds=4 * SHORT) as process:
        process.share_time(4)
        for _ in range(2):
            with pytest.raises(StrategyFailed, match=r"within 0\.(2|1\d*) s"):
                ask(process, "while True: pass")


def test_the_children_of_a_strategy_end_with_its_process(
    patient: StrategyProcess, tmp_path: Path
) -> None:
    file = tmp_path / "pids"
    fork = (
        f"if os.fork() == 0:\n    print(os.getpid(), file=open({str(file)!r}, 'a'))\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    while True: time.sleep(9)\n"
        f"while not os.path.exists({str(file)!r}): time.sleep(0.01)\n"
    )
    with StrategyProcess(wallet_seconds=PATIENT) as process:
        assert ask(process, fork + HALF) == [0.5]
    with pytest.raises(StrategyFailed, match="exit code 3"):
        ask(patient, fork + "os._exit(3)")  # its child holds the pipes open
    pids = [int(line) for line in file.read_text().split()]
    assert len(pids) == 2
    for pid in pids:
        wait_for(functools.partial(has_ended, pid))


def test_a_strategy_that_returns_twice_through_a_fork_decides_once(
    patient: StrategyProcess,
) -> None:
    assert ask(patient, "return 0.5 if os.fork() else -0.5") == [0.5]
    assert ask(patient, "return 0.25") == [0.25]


def test_what_a_strategy_prints_is_logged_with_the_wallets_name_and_bounded(
    patient: StrategyProcess, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert ask(patient, f"print('mean', 7)\nsys.stderr.write('and')\n{HALF}") == [0.5]
    assert caplog.messages == ["wallet 'mine' printed: mean 7", "wallet 'mine' printed: and"]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert ask(patient, f"print('x' * 10_000_000)\nos.write(1, b'y' * 10_000)\n{HALF}") == [0.5]
    assert caplog.messages[0] == f"wallet 'mine' printed: {'x' * MAX_PRINTED}"
    assert len(caplog.messages) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce RLIMIT_DATA")
def test_a_strategy_that_takes_too_much_memory_fails_in_one_line(patient: StrategyProcess) -> None:
    with pytest.raises(StrategyFailed, match="MemoryError"):
        ask(patient, "x = bytearray(10 * 1024**3)")
    assert ask(patient, HALF) == [0.5]


def test_a_strategy_sees_no_secret_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hunter2@host/db")
    monkeypatch.setenv("COINGECKO_API_KEY", "a-demo-key")
    body = f"print(sorted(os.environ), open('/proc/self/environ').read())\n{HALF}"
    with StrategyProcess(wallet_seconds=PATIENT) as process:
        assert ask(process, body) == [0.5]
    assert "PATH" in caplog.text
    assert "hunter2" not in caplog.text
    assert "a-demo-key" not in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        *('{"orders": [[5]]}', '{"orders": [[NaN]]}', '{"orders": [[1, "no reason"]]}'),
        *(
            '{"orders": "all"}',
            "[1]",
            "\\x80",
            '{"orders": [[0.5]]}',
            '{"error": "mine", "id": ""}',
        ),
    ],
)
def test_a_response_that_a_strategy_has_written_itself_is_refused(
    patient: StrategyProcess, line: str
) -> None:
    body = (
        "for number in range(3, 20):\n"
        "    try: os.write(number, LINE)\n    except OSError: pass\n"
        "while True: time.sleep(9)"
    )
    with pytest.raises(StrategyFailed, match="wrote into the response"):
        ask(patient, body, f"LINE = b'{line}\\n'")


LATER = """
import threading
def write():
    for number in range(3, 20):
        try: os.write(number, b'{"orders": [[1]]}\\n')
        except OSError: pass
def do_later(work, path):
    def wait():
        while not os.path.exists(path): time.sleep(0.01)
        work()
    threading.Thread(target=wait).start()
"""


def test_a_response_that_a_strategy_writes_later_is_not_read_as_the_next_one(
    patient: StrategyProcess, tmp_path: Path
) -> None:
    asked = str(tmp_path / "asked")
    assert ask(patient, f"do_later(write, {asked!r})\n{HALF}", LATER) == [0.5]
    with pytest.raises(StrategyFailed, match="wrote into the response"):
        ask(patient, f"open({asked!r}, 'w')\nwhile True: time.sleep(9)")
    assert ask(patient, "return 0.25") == [0.25]


@pytest.mark.parametrize("work", ["write", "lambda: os._exit(3)"])
def test_what_a_strategy_does_after_its_response_costs_the_next_wallet_nothing(
    patient: StrategyProcess, tmp_path: Path, work: str
) -> None:
    file = tmp_path / "go"
    assert ask(patient, f"do_later({work}, {str(file)!r})\n{HALF}", LATER) == [0.5]
    file.touch()
    wait_for(lambda: not patient._lines.empty())  # also after the process has ended
    assert ask(patient, "return 0.25") == [0.25]


def test_a_stopped_step_ends_the_child_before_its_time(tmp_path: Path) -> None:
    file = tmp_path / "began"
    with (
        StrategyProcess(wallet_seconds=PATIENT, should_stop=file.exists) as process,
        pytest.raises(StrategyFailed, match="The step ends before its strategy has decided"),
    ):
        ask(process, f"open({str(file)!r}, 'w')\nwhile True: pass")


@pytest.mark.skipif(sys.platform == "win32", reason="reads /proc")
def test_a_parent_killed_with_minus_nine_leaves_no_child(tmp_path: Path) -> None:
    """The parent watch looks once a second."""
    file, script = tmp_path / "pids", tmp_path / "parent.py"
    body = (
        f"if os.fork() == 0: time.sleep(600)\nprint(os.getpid(), file=open({str(file)!r}, 'w'))\n"
        "while True: pass"
    )
    script.write_text(
        "from tests.sentinel.paper_trading.test_strategy_process import *\n"
        f"ask(StrategyProcess(), {body!r})\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as parent:
        wait_for(lambda: file.exists() and file.read_text().endswith("\n"))
        parent.send_signal(signal.SIGKILL)
    group = int(file.read_text())
    wait_for(lambda: not _is_group_running(group))


def _is_group_running(group: int) -> bool:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _parent, found = path.read_text().rpartition(")")[2].split()[:3]
            if int(found) == group and state not in "ZX":
                return True
    return False
