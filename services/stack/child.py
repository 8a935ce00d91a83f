"""`python -m services.stack.child MODULE [ARGUMENT …]`: run a module as a process of a stack.

Supervisor holds the other end of this process's stdin. So stdin ends when Supervisor ends, even
after a kill -9, and this process then ends itself: no process outlives its stack.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

from services.stack.supervisor_config import STOP_SECONDS


def main() -> None:
    """Run the module that the command line names, as `python -m` would."""
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_supervisor() -> None:
    """Wait for the end of stdin, then end this process as Supervisor would."""
    while os.read(0, 1):
        pass
    # Supervisor read the output too. Without a reader, a line that is printed would be an error.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
