"""Child processes that end with their parent, and with their own children."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable

PARENT_CHECK_SECONDS = 1.0


def end_self() -> None:
    """End this process at once."""
    os._exit(1)


def end_group() -> None:
    """End this process and all others of its process group at once."""
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    end_self()


def end_with_parent(parent: int, end: Callable[[], None] = end_self) -> None:
    """Prepare a child: it ignores Ctrl-C, which its parent handles, and ends with its parent.

    `parent` is the parent's process id: the parent may have ended already. `end` ends this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_CHECK_SECONDS)
        end()

    threading.Thread(target=watch_parent, daemon=True).start()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a child that leads its own process group (`start_new_session`), and its children.

    A child that ignores SIGTERM ends too. Its children end even if it has ended before them.
    """
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        pass  # all of them have ended
    process.wait()
