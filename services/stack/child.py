"""`python -m services.stack.child MODULE [ARGUMENT …]`: run a module as a process of a stack.

Its output goes to a log of its own. Supervisor holds the other end of this process's stdin. So
stdin ends when Supervisor ends, even after a kill -9, and this process then ends itself: no process
outlives its stack.
"""

from __future__ import annotations

import faulthandler
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

from services.stack.log_file import locate_log, redirect_output

# How long a process may take to end. The loop finishes its tick before it ends: a run may take
# 235 s, but mostly takes one second.
STOP_SECONDS = 60


def main() -> None:
    """Run the module that the command line names, as `python -m` would."""
    redirect_output(locate_log(Path(), os.environ["SUPERVISOR_PROCESS_NAME"]))
    faulthandler.enable(2)  # a crash of C code prints where it happened
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_supervisor() -> None:
    """Wait for the end of stdin, then end this process as Supervisor would."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
