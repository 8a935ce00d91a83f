"""What a command does before its other imports: each command imports this module first.

- Ctrl-C during the imports ends the process like any program, without a traceback. Later
  `process.run_as_script` installs the handlers that let a command clean up.
- A closed standard stream is replaced by the null device. Otherwise the next file or socket of the
  process would get the stream's number, and a C library that reports an error would write into it.
"""

from __future__ import annotations

# The C module behind `signal`, which itself imports enum and more. Ctrl-C may come meanwhile.
import _signal  # type: ignore[import-not-found]
import os
import sys


def open_missing_streams() -> None:
    """Connect stdin, stdout and stderr to the null device where they are closed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free number, which is that of the stream. Child processes inherit it.
            number = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def end_quietly_on_interrupt() -> None:
    """Let Ctrl-C end the process at once. A shell that ignores Ctrl-C for it stays obeyed."""
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


end_quietly_on_interrupt()
open_missing_streams()
